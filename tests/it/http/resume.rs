//! The stream of pushes: each once, in order, over lost connections.

use serde_json::{Value, json};

use super::{desk, serve};
use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// The texts of the next pushes, and the id of the last.
async fn texts(events: &mut Events, count: usize) -> (Vec<Value>, String) {
    let (mut texts, mut id) = (Vec::new(), String::new());
    while texts.len() < count {
        let event = events.push().await;
        assert_eq!(event.data["method"], "notifications/desk", "{event:?}");
        texts.push(event.data["params"]["text"].clone());
        id = event.id.expect("an id");
    }
    (texts, id)
}

fn numbers(range: std::ops::Range<usize>) -> Vec<Value> {
    range.map(|n| n.to_string().into()).collect()
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event_that_was_seen() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let served = serve(&place);
    let (hearing, saying) = (Web::begin(&served.url).await, Web::begin(&served.url).await);
    hearing.said("desk_name", json!({"name": "ada"})).await;
    let mut events = hearing.listen(None).await;
    let first = events.next().await.unwrap();
    assert_eq!(first.data, Value::Null);
    assert!(first.id.is_some() && first.retry == Some(3000), "{first:?}");
    for n in 0..10 {
        saying
            .said("desk_say", json!({"text": n.to_string()}))
            .await;
    }
    assert_eq!(texts(&mut events, 10).await.0, numbers(0..10));
    // Lost in the middle: the client has only seen so much.
    let mut again = hearing.listen(first.id.as_deref()).await;
    let (heard, id) = texts(&mut again, 4).await;
    assert_eq!(heard, numbers(0..4));
    assert_eq!(events.next().await, None, "a second stream ends the first");
    drop(again);
    for n in 10..13 {
        saying
            .said("desk_say", json!({"text": n.to_string()}))
            .await;
    }
    let mut last = hearing.listen(Some(&id)).await;
    assert_eq!(texts(&mut last, 9).await.0, numbers(4..13));
}

#[tokio::test]
async fn a_stream_that_says_nothing_of_itself_goes_on_by_the_session() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let served = serve(&place);
    let hearing = Web::begin(&served.url).await;
    hearing.said("desk_name", json!({"name": "ada"})).await;
    // Nobody listens yet.
    for n in 0..3 {
        hearing
            .said("desk_say", json!({"text": n.to_string()}))
            .await;
    }
    let mut events = hearing.listen(Some("nonsense")).await;
    assert_eq!(texts(&mut events, 3).await.0, numbers(0..3));
    assert_eq!(hearing.said("desk_push", json!({})).await, "pushed");
    assert_eq!(texts(&mut events, 1).await.0, [json!("pushed")]);
}

#[tokio::test]
async fn a_client_that_comes_back_to_other_tools_is_told_once() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut served = serve(&place);
    let web = Web::begin(&served.url).await;
    web.said("desk_name", json!({"name": "ada"})).await;
    let mut events = web.listen(None).await;
    let seen = events.next().await.unwrap().id;
    served.kill();

    desk(&place);
    let other = Served::with(&place, "packs: [./desk, warp]\n");
    let web = web.at(&other.url);
    web.said("desk_say", json!({"text": "while away"})).await;
    let mut events = web.listen(seen.as_deref()).await;
    assert_eq!(events.next().await.unwrap().data, Value::Null);
    let changed = events.next().await.unwrap();
    assert_eq!(changed.data["method"], "notifications/tools/list_changed");
    assert_eq!(texts(&mut events, 1).await.0, [json!("while away")]);
    let handle = web.said("warp_handle_get", json!({})).await;
    assert!(handle.starts_with("No handle set"), "{handle}");
    // It has been told, and what it has not seen of the rest comes again.
    let mut events = web.listen(changed.id.as_deref()).await;
    assert_eq!(texts(&mut events, 1).await.0, [json!("while away")]);
}
