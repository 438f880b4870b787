//! `lease`

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::Tools;
use crate::support::server::{NatsServer, settled};

const PACK: &str = r#"
buckets:
  names: {name: names}
tools:
  take:
    description: x
    input:
      type: object
      required: [keys, holder]
      properties: {keys: {}, holder: {type: string}}
    output: {type: object, properties: {lease: {}}}
    steps:
      - lease:
          bucket: names
          keys: "{{ args.keys }}"
          holder: "{{ args.holder }}"
          value: {at: "{{ now() }}"}
          alive: "alive.{{ item.value.holder }}"
        as: lease
        else: "{{ error.kind }}"
    reply: {structured: {lease: "{{ lease }}"}}
  put:
    description: x
    input: {type: object, required: [value], properties: {value: {}}}
    steps:
      - put: {bucket: names, key: odd, value: "{{ args.value }}"}
    reply: {text: done}
"#;

/// Answers as a living holder does, until dropped; or listens and never answers.
async fn living(server: &NatsServer, holder: &str, answers: bool) -> async_nats::Client {
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut asked = client.subscribe(format!("alive.{holder}")).await.unwrap();
    let answering = client.clone();
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            if answers {
                let reply = message.reply.unwrap();
                answering.publish(reply, "".into()).await.unwrap();
            }
        }
    });
    settled(&client).await;
    client
}

async fn take(tools: &Tools, keys: &[&str], holder: &str) -> (Value, Value, Value) {
    let mut done = tools
        .ok("take", json!({"keys": keys, "holder": holder}))
        .await;
    let lease = done["lease"].take();
    (
        lease["key"].clone(),
        lease["index"].clone(),
        lease["taken_over"].clone(),
    )
}

#[tokio::test]
async fn the_first_key_that_no_living_holder_has() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let keys = ["a", "b", "c"];
    assert_eq!(
        take(&tools, &keys, "one").await,
        (json!("a"), json!(0), json!(false))
    );
    // Its own.
    assert_eq!(
        take(&tools, &keys, "one").await,
        (json!("a"), json!(0), json!(false))
    );
    let alive = living(&server, "one", true).await;
    let other = living(&server, "two", true).await;
    assert_eq!(
        take(&tools, &keys, "two").await,
        (json!("b"), json!(1), json!(false))
    );
    // Both live.
    assert_eq!(
        take(&tools, &keys, "three").await,
        (json!("c"), json!(2), json!(false))
    );
    let refused = tools.fails("take", json!({"keys": ["a", "b"], "holder": "four"}));
    assert_eq!(refused.await, "already_exists");
    // The first dies.
    alive.drain().await.unwrap();
    settled(&other).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(
        take(&tools, &keys, "four").await,
        (json!("a"), json!(0), json!(true))
    );
    // Whoever watches all subjects keeps NATS from saying that nobody listens: then silence tells.
    let _watcher = living(&server, ">", false).await;
    other.drain().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(
        take(&tools, &["b"], "five").await,
        (json!("b"), json!(0), json!(true))
    );
}

#[tokio::test]
async fn what_is_no_list_of_keys_is_refused() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let many: Vec<String> = (0..101).map(|n| format!("k{n}")).collect();
    for keys in [
        json!([]),
        json!("a"),
        json!([1]),
        json!({"a": 1}),
        json!(many),
    ] {
        let kind = tools
            .fails("take", json!({"keys": keys, "holder": "h"}))
            .await;
        assert_eq!(kind, "range", "{keys}");
    }
    let kind = tools
        .fails("take", json!({"keys": ["a b"], "holder": "h"}))
        .await;
    assert_eq!(kind, "invalid_key");
}

#[tokio::test]
async fn what_names_no_holder_is_held_by_nobody() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    for odd in [
        json!("something else"),
        json!(5),
        json!([1]),
        json!({}),
        json!({"holder": 5}),
        json!({"holder": ""}),
        json!({"holder": "a.b > *"}),
        json!({"holder": {"holder": "one"}}),
        json!({"holder": "long".repeat(10_000)}),
    ] {
        tools.ok("put", json!({"value": odd})).await;
        assert_eq!(
            take(&tools, &["odd"], "heir").await,
            (json!("odd"), json!(0), json!(true)),
            "{odd}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_holder_has_one_heir() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let keys: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
    for key in &keys {
        take(&tools, &[key], "dead").await;
    }
    let mut heirs = Vec::new();
    let mut alive = Vec::new();
    for n in 0..10 {
        let holder = format!("heir{n}");
        alive.push(living(&server, &holder, true).await);
        let (tools, keys) = (tools.clone(), keys.clone());
        heirs.push(tokio::spawn(async move {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            take(&tools, &keys, &holder).await
        }));
    }
    let mut got = Vec::new();
    for heir in heirs {
        let (key, _, taken_over) = heir.await.unwrap();
        assert_eq!(taken_over, true);
        got.push(key.to_string());
    }
    got.sort();
    got.dedup();
    assert_eq!(got.len(), keys.len(), "each key has one heir");
}
