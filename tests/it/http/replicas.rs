//! Several gateways on one NATS: any of them goes on with any session.

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::time::timeout;

use super::sessions::trace;
use super::{serve, silent};
use crate::support::LIMIT;
use crate::support::http::Web;
use crate::support::place::Place;
use crate::support::server::NatsServer;

#[tokio::test]
async fn a_session_outlives_its_gateway() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (mut first, second) = (serve(&place), serve(&place));
    let web = Web::begin(&first.url).await;
    let id = web.said("desk_name", json!({"name": "ada"})).await;
    let mut events = web.listen(None).await;
    events.next().await.expect("the first event");
    web.said("desk_say", json!({"text": "before"})).await;
    let before = events.push().await;
    assert_eq!(before.data["params"]["text"], "before");
    first.kill();
    assert_eq!(events.next().await, None);

    let web = web.at(&second.url);
    web.said("desk_say", json!({"text": "between"})).await;
    let mut events = web.listen(before.id.as_deref()).await;
    let between = events.push().await;
    assert_eq!(
        between.data["params"],
        json!({"text": "between", "to": "ada"})
    );
    assert_eq!(web.said("desk_who", json!({})).await, "ada plain");
    let resumed = trace(&server, &place, &format!("resume.{id}")).await;
    assert_eq!(resumed, Some("ada".into()));
    assert_eq!(trace(&server, &place, &format!("close.{id}")).await, None);
}

#[tokio::test]
async fn two_gateways_take_turns() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (first, second) = (serve(&place), serve(&place));
    let web = Web::begin(&first.url).await;
    let other = web.at(&second.url);
    for round in 1..=10 {
        let turn = if round % 2 == 0 { &web } else { &other };
        assert_eq!(turn.said("desk_count", json!({})).await, round.to_string());
    }
    // The stream of one ends when the other gets a request.
    let mut events = web.listen(None).await;
    events.next().await.expect("the first event");
    assert_eq!(other.said("desk_count", json!({})).await, "11");
    assert_eq!(events.next().await, None);
    assert_eq!(other.end().await, 204);
    assert_eq!(web.call("desk_who", json!({})).await.0, 404);
}

#[tokio::test]
async fn a_stopped_gateway_hands_its_sessions_over_and_answers_what_runs() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (mut first, second) = (serve(&place), serve(&place));
    let web = Web::begin(&first.url).await;
    let id = web.said("desk_name", json!({"name": "ada"})).await;
    let mut events = web.listen(None).await;
    events.next().await.expect("the first event");
    let mut silent = silent(&place, &server).await;
    let slow = web.clone();
    let slow = tokio::spawn(async move { slow.call("desk_wait", json!({})).await });
    let asked = timeout(LIMIT, silent.next()).await;
    assert!(asked.unwrap().is_some());
    let stopping = tokio::task::spawn_blocking(move || first.stop());
    let (status, answer) = slow.await.unwrap();
    assert_eq!(status, 200);
    let waited = answer["result"]["content"][0]["text"].as_str();
    assert!(
        waited.is_some_and(|text| text.contains("no answer")),
        "{answer}"
    );
    assert!(stopping.await.unwrap().success());
    assert_eq!(events.next().await, None);
    let web = web.at(&second.url);
    assert_eq!(web.said("desk_who", json!({})).await, "ada plain");
    assert_eq!(trace(&server, &place, &format!("close.{id}")).await, None);
}
