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
    // There is nothing more of that call.
    let mut late = web.listen(first.id.as_deref()).await;
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
