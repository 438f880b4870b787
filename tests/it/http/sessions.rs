//! One gateway with many sessions: each has a state of its own, and an end.

use std::time::Duration;

use async_nats::jetstream::{self, kv};
use futures_util::StreamExt as _;
use jacquard::gateway::sessions::SessionOptions;
use serde_json::{Value, json};

use super::{serve, setup, silent};
use crate::support::LIMIT;
use crate::support::http::{Web, Within};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// Waits until the gateway has so many sessions in memory.
async fn in_memory(within: &Within, count: usize) {
    let started = std::time::Instant::now();
    while within.gateway.sessions().memory != count {
        let counts = within.gateway.sessions();
        assert!(started.elapsed() < LIMIT, "{counts:?} and not {count}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A bucket as another program sees it.
pub(super) async fn bucket(server: &NatsServer, name: &str) -> kv::Store {
    let client = async_nats::connect(server.url()).await.unwrap();
    jetstream::new(client).get_key_value(name).await.unwrap()
}

/// What the pack's steps left behind.
pub(super) async fn trace(server: &NatsServer, place: &Place, key: &str) -> Option<Value> {
    let bucket = bucket(server, &format!("{}_traces", place.namespace)).await;
    let bytes = bucket.get(key).await.unwrap();
    bytes.map(|b| serde_json::from_slice(&b).unwrap_or_else(|_| String::from_utf8_lossy(&b).into()))
}

#[tokio::test]
async fn sessions_are_apart_and_end_by_delete() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let served = serve(&place);
    let (one, other) = (Web::begin(&served.url).await, Web::begin(&served.url).await);
    let id = one.said("desk_name", json!({"name": "ada"})).await;
    assert_ne!(
        one.session.as_deref(),
        Some(id.as_str()),
        "the id is no secret"
    );
    assert_eq!(one.said("desk_who", json!({})).await, "ada plain");
    assert_eq!(other.said("desk_who", json!({})).await, "nobody plain");

    let sessions = bucket(&server, "jacquard-sessions").await;
    let record = sessions.get(&id).await.unwrap().expect("a record");
    let record = String::from_utf8(record.to_vec()).unwrap();
    assert!(record.contains("ada"), "{record}");
    assert!(
        !record.contains(one.session.as_deref().unwrap()),
        "{record}"
    );

    assert_eq!(one.end().await, 204);
    let (status, answer) = one.call("desk_who", json!({})).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!(-32001)));
    assert_eq!(one.end().await, 404);
    let close = trace(&server, &place, &format!("close.{id}")).await;
    assert_eq!(close, Some("ada".into()));
    assert!(sessions.get(&id).await.unwrap().is_none());
    assert_eq!(other.said("desk_who", json!({})).await, "nobody plain");
    assert!(!served.stderr().contains(one.session.as_deref().unwrap()));
}

#[tokio::test]
async fn a_request_for_a_session_that_never_was_is_refused() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let served = serve(&place);
    let mut web = Web::new(&served.url);
    web.session = Some("nosuchsession".to_owned());
    assert_eq!(web.call("desk_who", json!({})).await.0, 404);
    let get = web.request(reqwest::Method::GET).send().await.unwrap();
    assert_eq!(get.status(), 404);
}

#[tokio::test]
async fn two_requests_with_one_id_are_told_apart() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let served = serve(&place);
    let web = Web::begin(&served.url).await;
    let mut silent = silent(&place, &server).await;
    // Both have the JSON-RPC id 1.
    let slow = web.clone();
    let slow = tokio::spawn(async move { slow.call("desk_wait", json!({})).await });
    let asked = tokio::time::timeout(LIMIT, silent.next()).await;
    assert!(asked.unwrap().is_some());
    let (_, refused) = web.call("desk_who", json!({})).await;
    let why = refused["error"]["message"].as_str();
    assert!(why.is_some_and(|m| m.contains("id")), "{refused}");
    let (_, answer) = slow.await.unwrap();
    let waited = answer["result"]["content"][0]["text"].as_str();
    assert!(
        waited.is_some_and(|text| text.contains("no answer")),
        "{answer}"
    );
}

#[tokio::test]
async fn an_idle_session_leaves_memory_and_goes_on_where_it_was() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let options = SessionOptions {
        unbound: Duration::from_millis(200),
        idle: Duration::from_millis(900),
        sweep: Duration::from_millis(50),
        ..SessionOptions::default()
    };
    let within = Within::start(setup(&place, &server), options).await;
    let (bound, unbound) = (Web::begin(&within.url).await, Web::begin(&within.url).await);
    let id = bound.said("desk_name", json!({"name": "ada"})).await;
    in_memory(&within, 1).await;
    in_memory(&within, 0).await;
    // With an open stream it stays.
    let mut events = bound.listen(None).await;
    events.next().await.expect("the first event");
    assert_eq!(unbound.said("desk_who", json!({})).await, "nobody plain");
    in_memory(&within, 2).await;
    in_memory(&within, 1).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(within.gateway.sessions().memory, 1);
    assert_eq!(bound.said("desk_who", json!({})).await, "ada plain");
    let resumed = trace(&server, &place, &format!("resume.{id}")).await;
    assert_eq!(resumed, Some("ada".into()));
    assert_eq!(trace(&server, &place, &format!("close.{id}")).await, None);
}

#[tokio::test]
async fn memory_is_bounded_and_who_is_busy_stays() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let options = SessionOptions {
        max: 3,
        ..SessionOptions::default()
    };
    let within = Within::start(setup(&place, &server), options).await;
    let first = Web::begin(&within.url).await;
    first.said("desk_name", json!({"name": "ada"})).await;
    for _ in 0..20 {
        Web::begin(&within.url).await;
        assert!(within.gateway.sessions().memory <= 3);
    }
    assert_eq!(first.said("desk_who", json!({})).await, "ada plain");

    let mut streams = Vec::new();
    for _ in 0..3 {
        let web = Web::begin(&within.url).await;
        let mut events = web.listen(None).await;
        events.next().await.expect("the first event");
        streams.push((web, events));
    }
    let refused = Web::new(&within.url).initialize().await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(first.call("desk_who", json!({})).await.0, 503);
    streams.pop();
    let started = std::time::Instant::now();
    while first.call("desk_who", json!({})).await.0 != 200 {
        assert!(started.elapsed() < LIMIT, "there is room again");
    }
}
