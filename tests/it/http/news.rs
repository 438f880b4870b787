//! News of changed tools and resources, over HTTP.

use std::time::Duration;

use jacquard::gateway::sessions::SessionOptions;
use jacquard::gateway::{Change, Gateway};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::setup;
use super::stateless::open;
use crate::support::http::{Events, Served, Web, Within};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const TOOLS: &str = "notifications/tools/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated";

async fn within(server: &NatsServer) -> Within {
    let place = Place::on(server);
    Within::start(setup(&place, server), SessionOptions::default()).await
}

async fn method(events: &mut Events) -> Value {
    events.push().await.data["method"].take()
}

fn announce(gateway: &Gateway, changes: &[Change]) {
    changes.iter().for_each(|c| gateway.announce(c.clone()));
}

#[tokio::test]
async fn every_session_hears_of_a_change_and_keeps_it_until_its_stream_opens() {
    let server = NatsServer::start();
    let within = within(&server).await;
    let (one, other) = (Web::begin(&within.url).await, Web::begin(&within.url).await);
    let mut events = one.listen(None).await;
    announce(&within.gateway, &[Change::Resources, Change::Tools]);
    assert_eq!(method(&mut events).await, RESOURCES);
    assert_eq!(method(&mut events).await, TOOLS);
    announce(&within.gateway, &[Change::Resources]);
    // The one that has no stream yet.
    let mut late = other.listen(None).await;
    assert_eq!(method(&mut late).await, RESOURCES);
    assert_eq!(method(&mut late).await, TOOLS);
    announce(
        &within.gateway,
        &[Change::Updated("a:/1".into()), Change::Tools],
    );
    assert_eq!(method(&mut late).await, TOOLS);
    for method_told in [RESOURCES, TOOLS] {
        assert_eq!(method(&mut events).await, method_told);
    }
}

#[tokio::test]
async fn streams_without_sessions_hear_what_they_ask_for() {
    let server = NatsServer::start();
    let within = within(&server).await;
    let wanted = json!({"toolsListChanged": true, "resourceSubscriptions": ["a:/1"]});
    for named in [None, Some("mine")] {
        let (mut events, _) = open(&within.url, named, wanted.clone()).await;
        // Once it is answered, the stream listens.
        let web = Web::begin(&within.url).await;
        web.said("desk_who", json!({})).await;
        announce(
            &within.gateway,
            &[Change::Resources, Change::Tools, Change::Tools],
        );
        assert_eq!(method(&mut events).await, TOOLS);
        announce(&within.gateway, &[Change::Resources, Change::Tools]);
        assert_eq!(method(&mut events).await, TOOLS);
    }
}

#[tokio::test]
async fn a_stream_without_a_session_hears_of_the_files_it_names() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("files/plan.md", "1");
    place.write("files/other.md", "1");
    place.write("pack/pack.yaml", include_str!("../gateway/resources.yaml"));
    let served = Served::with(&place, "packs: [./pack]\nallow: {read: [files]}\n");
    let wanted =
        json!({"resourcesListChanged": true, "resourceSubscriptions": ["workspace:///plan.md"]});
    let (mut events, accepted) = open(&served.url, None, wanted.clone()).await;
    assert_eq!(accepted, wanted);
    place.write("files/other.md", "two");
    // The stream is accepted before it listens, so what is written in that moment is not told: write until it is.
    let mut text = "two".to_owned();
    let updated = loop {
        text.push('!');
        place.write("files/plan.md", &text);
        if let Ok(event) = timeout(Duration::from_secs(1), events.push()).await {
            break event.data;
        }
    };
    assert_eq!(updated["method"], UPDATED);
    assert_eq!(updated["params"]["uri"], "workspace:///plan.md");
    place.write("files/new.md", "1");
    let mut told = method(&mut events).await;
    while told == UPDATED {
        told = method(&mut events).await;
    }
    assert_eq!(told, RESOURCES);
}
