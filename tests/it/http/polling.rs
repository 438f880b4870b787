//! Clients that come back for the answer of a call: the response ends before.

use serde_json::{Value, json};

use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const PACK: &str = r#"
tools:
  slow:
    description: Lets the client come back.
    steps:
      - hang_up: {retry: 0.2}
        as: left
      - log: {text: while away}
      - sleep: 0.3
    reply: {text: "{{ left.hung_up }}"}
  steps:
    description: Tells how far it is while the client is away.
    input: {type: object, required: [name], properties: {name: {type: string}}}
    steps:
      - progress: {done: 1, total: 3, message: begun}
      - hang_up: {retry: 100ms}
      - progress: {done: 2, total: 3, message: "{{ args.name }} is away"}
      - sleep: 0.3
    reply: {text: "{{ args.name }}"}
  plain:
    description: Takes its time.
    input: {type: object, properties: {for: {type: number, default: 0.5}}}
    steps: [{sleep: "{{ args.for }}"}]
    reply: {text: "done after {{ args.for }}"}
"#;

/// A session of a client that knows how to come back.
async fn begin(url: &str, version: &str) -> Web {
    let mut web = Web::new(url);
    let begin = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    });
    let response = web.post(&begin).await;
    let id = response.headers()["mcp-session-id"].to_str().unwrap();
    web.session = Some(id.to_owned());
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(web.post(&initialized).await.status(), 202);
    web
}

async fn call(web: &Web, id: u32, tool: &str, args: Value) -> Events {
    let params = json!({"name": tool, "arguments": args});
    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
    Events::of(web.post(&call).await)
}

fn said(event: &Value) -> &str {
    event["result"]["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn a_client_that_is_hung_up_on_comes_back_for_the_answer() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("p/p.yaml", PACK);
    let served = Served::with(&place, "packs: [./p]\n");
    let web = begin(&served.url, "2025-11-25").await;
    let mut events = call(&web, 1, "slow", json!({})).await;
    let first = events.next().await.unwrap();
    assert!(first.id.is_some() && first.data == Value::Null, "{first:?}");
    let end = events.next().await.unwrap();
    assert_eq!((end.retry, end.data), (Some(200), Value::Null));
    assert_eq!(events.next().await, None);
    let mut again = web.listen(first.id.as_deref()).await;
    let line = again.push().await;
    assert_eq!(line.data["params"]["data"], "while away");
    let answer = again.push().await;
    assert_eq!(
        (said(&answer.data), &answer.data["id"]),
        ("true", &json!(1))
    );
    assert!(answer.id.is_some() && answer.id != first.id);
    assert_eq!(again.next().await, None);
    // There is nothing more of that call for who has the answer.
    let mut late = web.listen(answer.id.as_deref()).await;
    assert_eq!(late.next().await, None);
    // Older clients would not know what to make of it.
    let web = begin(&served.url, "2025-06-18").await;
    let mut events = call(&web, 1, "slow", json!({})).await;
    assert_eq!(events.push().await.data["method"], "notifications/message");
    assert_eq!(said(&events.push().await.data), "false");
}

#[tokio::test]
async fn responses_are_closed_after_a_time_and_several_are_open_at_once() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("p/p.yaml", PACK);
    let served = Served::with(&place, "packs: [./p]\nhttp: {close_after: 300ms}\n");
    let web = begin(&served.url, "2025-11-25").await;
    let mut slow = call(&web, 1, "plain", json!({"for": 2})).await;
    let mut quick = call(&web, 2, "plain", json!({"for": 0})).await;
    let first = slow.next().await.unwrap();
    assert!(first.id.is_some());
    assert_eq!(said(&quick.push().await.data), "done after 0");
    assert_eq!(slow.next().await.unwrap().retry, Some(3000));
    assert_eq!(slow.next().await, None, "it was open for long enough");
    let mut id = first.id;
    let answer = loop {
        let mut again = web.listen(id.as_deref()).await;
        id = again.next().await.unwrap().id;
        match again.next().await {
            Some(event) if event.data != Value::Null => break event.data,
            _ => continue,
        }
    };
    assert_eq!(said(&answer), "done after 2");
}

/// Calls `steps`, and leaves when it is hung up on; the id of the last event.
async fn hung_up_on(web: &Web, id: u32, name: &str) -> String {
    let params =
        json!({"name": "steps", "arguments": {"name": name}, "_meta": {"progressToken": name}});
    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
    let mut events = Events::of(web.post(&call).await);
    // What it told just before may come before or after.
    let mut last = None;
    loop {
        let event = events.next().await.expect("the end comes with a time");
        last = event.id.or(last);
        if event.retry == Some(100) {
            break;
        }
    }
    assert_eq!(events.next().await, None);
    last.unwrap()
}

#[tokio::test]
async fn two_that_come_back_at_once_get_each_their_own() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("p/p.yaml", PACK);
    let served = Served::with(&place, "packs: [./p]\n");
    let web = begin(&served.url, "2025-11-25").await;
    let (ann, bob) = tokio::join!(hung_up_on(&web, 1, "ann"), hung_up_on(&web, 2, "bob"));
    // A session sees nothing of another's calls, whose ids of events mean nothing to it.
    let other = begin(&served.url, "2025-11-25").await;
    let mut nothing = other.listen(Some(&ann)).await;
    assert_eq!(nothing.next().await, None);
    for (id, last, name) in [(1, ann, "ann"), (2, bob, "bob")] {
        let mut again = web.listen(Some(&last)).await;
        let mut told = Vec::new();
        let answer = loop {
            let event = again.push().await.data;
            if event["method"].is_string() {
                assert_eq!(event["params"]["progressToken"], name, "{event}");
                told.push(event["params"]["message"].as_str().unwrap().to_owned());
                continue;
            }
            break event;
        };
        assert_eq!(told.last(), Some(&format!("{name} is away")));
        assert_eq!((said(&answer), &answer["id"]), (name, &json!(id)));
        assert_eq!(again.next().await, None);
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_on_its_way_is_given_again() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("p/p.yaml", PACK);
    let served = Served::with(&place, "packs: [./p]\n");
    let web = begin(&served.url, "2025-11-25").await;
    // The connection goes away before the answer.
    let mut events = call(&web, 1, "plain", json!({"for": 0.3})).await;
    let first = events.next().await.unwrap().id;
    drop(events);
    let mut again = web.listen(first.as_deref()).await;
    assert_eq!(said(&again.push().await.data), "done after 0.3");
    // It went out, and the client says that it has seen no more than the beginning: once and again.
    let mut events = call(&web, 2, "plain", json!({"for": 0})).await;
    let mut seen = events.next().await.unwrap().id;
    assert_eq!(said(&events.push().await.data), "done after 0");
    for _ in 0..3 {
        let mut again = web.listen(seen.as_deref()).await;
        let began = again.next().await.unwrap();
        assert_eq!(began.data, Value::Null);
        let answer = again.push().await;
        assert_eq!(
            (said(&answer.data), &answer.data["id"]),
            ("done after 0", &json!(2))
        );
        assert_eq!(again.next().await, None);
        seen = began.id;
        let mut after = web.listen(answer.id.as_deref()).await;
        assert_eq!(after.next().await, None);
    }
    // A new request of the same id has nothing to do with it.
    let mut events = call(&web, 2, "plain", json!({"for": 0.1})).await;
    events.next().await.unwrap();
    let mut taken = web.listen(seen.as_deref()).await;
    assert_eq!(said(&taken.push().await.data), "done after 0.1");
}
