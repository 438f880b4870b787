//! What steps announce, told to clients of both revisions by every gateway of the project.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::timeout;

use super::stateless::open;
use crate::support::LIMIT;
use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const PACK: &str = r#"
session: {watched: {type: boolean}}
prompts:
  plan: {messages: [{role: user, text: Plan it.}]}
resources:
  note: {uri: "notes:///{name}", text: "{{ args.name }}"}
tools:
  tell:
    description: Says what has changed.
    input: {type: object, required: [name], properties: {name: {type: string}}}
    steps:
      - announce: {tools: true, prompts: true, updated: ["notes:///{{ args.name }}"]}
        as: told
    reply: {text: "{{ told.everywhere }}"}
  watch:
    description: Begins to look for new notes.
    steps: [{set: {watched: true}}]
    reply: {text: Yes.}
timers:
  look:
    every: 1s
    when: session.watched
    steps: [{announce: {resources: true}}]
listeners:
  moved:
    subject: "{{ project.namespace }}.moved"
    steps: [{announce: {resources: true}}]
"#;

const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated notes:///a";

fn serve(place: &Place) -> Served {
    place.write("notes/notes.yaml", PACK);
    Served::with(place, "packs: [./notes]\n")
}

/// Does something again and again until all of this is heard, and nothing else. A stream is accepted before it listens, and a
/// gateway may begin before it hears the others.
async fn hears(events: &mut Events, wanted: &[&str], again: impl AsyncFn()) {
    let (mut heard, started) = (BTreeSet::new(), Instant::now());
    while heard.len() < wanted.len() {
        again().await;
        while let Ok(event) = timeout(Duration::from_millis(500), events.push()).await {
            let method = event.data["method"].as_str().unwrap();
            let uri = event.data["params"]["uri"].as_str();
            let text = uri.map_or(method.to_owned(), |uri| format!("{method} {uri}"));
            assert!(wanted.contains(&text.as_str()), "{text}");
            heard.insert(text);
            if heard.len() == wanted.len() {
                return;
            }
        }
        assert!(started.elapsed() < LIMIT, "{heard:?}");
    }
}

async fn subscribe(web: &Web, method: &str, uri: &str) {
    let params = json!({"uri": uri});
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    assert_eq!(web.post(&call).await.status(), 200);
}

#[tokio::test]
async fn every_gateway_tells_its_clients_what_a_tool_announces() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (one, two) = (serve(&place), serve(&place));
    let web = Web::begin(&one.url).await;
    let tell = async || assert_eq!(web.said("tell", json!({"name": "a"})).await, "true");
    let wanted = json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["notes:///a"],
    });
    for gateway in [&one, &two] {
        let old = Web::begin(&gateway.url).await;
        subscribe(&old, "resources/subscribe", "notes:///a").await;
        subscribe(&old, "resources/subscribe", "notes:///b").await;
        let mut events = old.listen(None).await;
        hears(&mut events, &[TOOLS, PROMPTS, UPDATED], tell).await;
        let (mut events, accepted) = open(&gateway.url, None, wanted.clone()).await;
        assert_eq!(accepted, wanted);
        hears(&mut events, &[TOOLS, PROMPTS, UPDATED], tell).await;
    }
    // Who no longer wants to hear of it hears of the lists alone.
    let old = Web::begin(&two.url).await;
    subscribe(&old, "resources/subscribe", "notes:///a").await;
    subscribe(&old, "resources/unsubscribe", "notes:///a").await;
    let mut events = old.listen(None).await;
    hears(&mut events, &[TOOLS, PROMPTS], tell).await;
}

#[tokio::test]
async fn timers_and_listeners_announce_too() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (one, two) = (serve(&place), serve(&place));
    let web = Web::begin(&one.url).await;
    let wanted = json!({"resourcesListChanged": true, "toolsListChanged": true});
    let client = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("{}.moved", place.namespace);
    let moved = async || {
        client.publish(subject.clone(), "x".into()).await.unwrap();
        client.flush().await.unwrap();
    };
    let (mut events, _) = open(&two.url, None, wanted.clone()).await;
    hears(&mut events, &[RESOURCES], moved).await;
    assert_eq!(web.said("watch", json!({})).await, "Yes.");
    let (mut events, _) = open(&two.url, None, wanted).await;
    hears(&mut events, &[RESOURCES], async || {}).await;
}
