//! `find` in tables that streams feed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Tools;
use crate::bus::{other_program, vanish};
use crate::support::LIMIT;
use crate::support::server::NatsServer;

const PACK: &str = r#"
streams:
  beats: {name: beats, subjects: ["beat.*", "other.*"], storage: memory}
tables:
  agents:
    stream: beats
    subjects: ["beat.*"]
    when: item.data.id is string
    key: item.data.id
    value: "{{ omit if item.data.gone else {'name': item.data.name, 'at': item.subject} }}"
    ttl: 10m
    max_entries: 3
  short:
    stream: beats
    key: item.seq
    value: "{{ item.data }}"
    ttl: 1s
tools:
  beat:
    description: x
    input: {type: object, required: [data], properties: {data: {}, subject: {type: string, default: beat}}}
    steps:
      - publish: {stream: beats, subject: "{{ args.subject }}.x", payload: "{{ args.data }}"}
    reply: {text: x}
  find:
    description: x
    input: {type: object, properties: {fresh: {type: boolean}, limit: {type: integer, default: 10}, not: {type: string, default: ''}}}
    output: {type: object, properties: {found: {}}}
    steps:
      - find: {table: agents, where: item.key != args.not, sort: item.value.name, limit: "{{ args.limit }}"}
        as: found
        else: "{{ error.kind }}"
    reply: {structured: {found: "{{ found }}"}}
  fresh:
    description: x
    output: {type: object, properties: {found: {}}}
    steps:
      - find: {table: agents, fresh: true, select: "{{ item.key }}={{ item.value.name }}"}
        as: found
        else: "{{ error.kind }}"
    reply: {structured: {found: "{{ found.items }}"}}
  short:
    description: x
    output: {type: object, properties: {found: {}}}
    steps:
      - find: {table: short}
        as: found
    reply: {structured: {found: "{{ found.total }}"}}
"#;

/// Waits until the condition holds.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < LIMIT, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn beat(tools: &Tools, id: &str, name: &str) {
    let data = json!({"data": {"id": id, "name": name}});
    tools.call("beat", data).await;
}

async fn fresh(tools: &Tools) -> Value {
    tools.ok("fresh", json!({})).await["found"].clone()
}

#[tokio::test]
async fn what_is_stored_is_found_at_once_and_what_was_stored_before_too() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    assert_eq!(fresh(&tools).await, json!([]));
    for n in 0..20 {
        beat(&tools, "a", &format!("n{n}")).await;
        assert_eq!(fresh(&tools).await, json!([format!("a=n{n}")]));
    }
    // Another gateway begins with what was stored before it.
    let late = Tools::new(&server, PACK).await;
    let found = late.ok("find", json!({})).await["found"].clone();
    assert_eq!((&found["count"], &found["total"]), (&json!(1), &json!(1)));
    let item = &found["items"][0];
    assert_eq!(item["key"], "a");
    assert_eq!(item["value"], json!({"name": "n19", "at": "beat.x"}));
    assert!(item["time"].as_str().is_some_and(|t| t.starts_with("20")));
    // Nothing is found because nothing fits, not because nothing is known yet.
    let found = late.ok("find", json!({"not": "a"})).await["found"].clone();
    assert_eq!(found, json!({"count": 0, "total": 0, "items": []}));
}

#[tokio::test]
async fn messages_make_change_and_take_away_entries() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    for (id, name) in [("a", "zoe"), ("b", "bob"), ("c", "eve")] {
        beat(&tools, id, name).await;
    }
    // None of these is for the table, or can be read.
    for data in [
        json!("text"),
        json!({"id": 5}),
        json!({"name": "x"}),
        json!([1]),
    ] {
        tools.call("beat", json!({"data": data})).await;
    }
    let data = json!({"id": "d", "name": "dan"});
    tools
        .call("beat", json!({"data": data, "subject": "other"}))
        .await;
    assert_eq!(fresh(&tools).await, json!(["a=zoe", "b=bob", "c=eve"]));
    let found = tools.ok("find", json!({"limit": 2})).await["found"].clone();
    assert_eq!((&found["count"], &found["total"]), (&json!(2), &json!(3)));
    let names = |found: &Value| -> Vec<Value> {
        let items = found["items"].as_array().unwrap();
        items.iter().map(|i| i["value"]["name"].clone()).collect()
    };
    assert_eq!(names(&found), ["bob", "eve"]);
    // It has room for three: the one whose message is the oldest goes.
    beat(&tools, "a", "amy").await;
    beat(&tools, "e", "ed").await;
    assert_eq!(fresh(&tools).await, json!(["a=amy", "c=eve", "e=ed"]));
    tools
        .call("beat", json!({"data": {"id": "c", "gone": true}}))
        .await;
    assert_eq!(fresh(&tools).await, json!(["a=amy", "e=ed"]));
    // Who is not asked to be sure hears of it soon.
    let plain = other_program(&server).await;
    let data = r#"{"id":"f","name":"flo"}"#;
    let ack = plain.publish("beat.y", data.into()).await.unwrap();
    ack.await.unwrap();
    until("the beat", async || {
        let found = tools.ok("find", json!({})).await["found"].clone();
        names(&found).contains(&json!("flo"))
    })
    .await;
}

#[tokio::test]
async fn entries_end_by_themselves() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    beat(&tools, "a", "ann").await;
    until("the end of the entry", async || {
        tools.ok("short", json!({})).await["found"] == 0
    })
    .await;
    // The other table keeps it longer.
    assert_eq!(fresh(&tools).await, json!(["a=ann"]));
}

#[tokio::test]
async fn without_nats_nothing_is_claimed() {
    let mut server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    beat(&tools, "a", "ann").await;
    assert_eq!(fresh(&tools).await, json!(["a=ann"]));
    server.kill();
    until("the loss of the connection", async || {
        tools.call("find", json!({})).await.is_error
    })
    .await;
    for tool in ["find", "fresh"] {
        assert_eq!(tools.fails(tool, json!({})).await, "disconnected");
    }
    server.restart();
    // The stream was in memory: it is made again, and the table follows.
    until("the table after the restart", async || {
        beat(&tools, "b", "bob").await;
        let reply = tools.call("fresh", json!({})).await;
        reply
            .structured
            .is_some_and(|s| s["found"].to_string().contains("b=bob"))
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_made_anew_is_not_taken_for_the_old_one() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    for n in 0..20 {
        beat(&tools, "a", &format!("n{n}")).await;
    }
    assert_eq!(fresh(&tools).await, json!(["a=n19"]));
    let plain = other_program(&server).await;
    for (id, name) in [("b", "bob"), ("c", "eve")] {
        vanish(&plain, "beats").await;
        // It has fewer messages now than the table has read of the old one.
        beat(&tools, id, name).await;
        let added = json!(format!("{id}={name}"));
        until("the table of the new stream", async || {
            // Until then the call says that it is not sure.
            let reply = tools.call("fresh", json!({})).await;
            let found = reply.structured.filter(|_| !reply.is_error);
            if let Some(found) = &found {
                let found = found["found"].as_array().unwrap();
                assert!(found.contains(&added), "{found:?}");
            }
            found.is_some()
        })
        .await;
    }
}
