//! `check`, `drop` and `sleep`.

use serde_json::json;

use super::Tools;
use crate::bus::other_program;
use crate::support::server::NatsServer;

const PACK: &str = r#"
schemas:
  task:
    type: object
    required: [title]
    properties:
      title: {type: string, minLength: 3}
      level: {type: integer, default: 5}
      more: {type: object, default: {}, properties: {deep: {type: boolean, default: true}}}
  number: {type: number}
streams:
  inbox: {params: [who], name: "IN_{{ who }}", subjects: ["in.{{ who }}"]}
tools:
  check:
    description: x
    input: {type: object, required: [value], properties: {value: {}, name: {type: string, default: task}}}
    output: {type: object, properties: {value: {}}}
    steps:
      - check: {value: "{{ args.value }}", schema: "{{ args.name }}"}
        as: value
        else: "{{ error.kind }}"
    reply: {structured: {value: "{{ value }}"}}
  words:
    description: x
    steps:
      - check: {value: {titel: x, level: "5"}, schema: task}
    reply: {text: x}
  send:
    description: x
    steps:
      - publish: {stream: inbox, with: {who: ada}, payload: 1}
    reply: {text: x}
  sleep:
    description: x
    input: {type: object, required: [for], properties: {for: {}}}
    output: {type: object, properties: {done: {}}}
    steps:
      - sleep: "{{ args.for }}"
        as: done
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {done: "{{ done }}"}}
  drop:
    description: x
    output: {type: object, properties: {done: {}}}
    steps:
      - drop: {stream: inbox, with: {who: ada}, empty: true}
        as: done
    reply: {structured: {done: "{{ done }}"}}
"#;

#[tokio::test]
async fn a_value_is_checked_and_completed() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let done = tools
        .ok("check", json!({"value": {"title": "Ship", "more": {}}}))
        .await;
    assert_eq!(
        done["value"],
        json!({"title": "Ship", "more": {"deep": true}, "level": 5})
    );
    assert_eq!(
        tools
            .ok("check", json!({"value": 5, "name": "number"}))
            .await["value"],
        5
    );
    for value in [
        json!({}),
        json!({"title": "x"}),
        json!(1),
        json!({"title": "Ship", "level": "5"}),
    ] {
        assert_eq!(
            tools.fails("check", json!({"value": value})).await,
            "invalid"
        );
    }
    let unknown = json!({"value": 5, "name": "numbr"});
    assert_eq!(tools.fails("check", unknown).await, "not_found");
    let text = tools.fails("words", json!({})).await;
    for part in ["`task`", "`title` is missing", "`level`"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn only_an_empty_stream_is_dropped() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let other = other_program(&server).await;
    let dropped = |done: serde_json::Value| done["done"].clone();
    let stays = |messages: u64| json!({"stream": "IN_ada", "dropped": false, "messages": messages});
    assert_eq!(dropped(tools.ok("drop", json!({})).await), stays(0));
    tools.ok("send", json!({})).await;
    assert_eq!(dropped(tools.ok("drop", json!({})).await), stays(1));
    let mut stream = other.get_stream("IN_ada").await.unwrap();
    stream.purge().await.unwrap();
    let done = json!({"stream": "IN_ada", "dropped": true, "messages": 0});
    assert_eq!(dropped(tools.ok("drop", json!({})).await), done);
    assert!(other.get_stream("IN_ada").await.is_err());
    // It is made again for whoever needs it.
    tools.ok("send", json!({})).await;
    stream = other.get_stream("IN_ada").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
}

#[tokio::test]
async fn a_call_sleeps_for_seconds_or_a_span() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    for (given, ms) in [(json!(0.05), 50), (json!("60ms"), 60), (json!(0), 0)] {
        let began = std::time::Instant::now();
        let done = tools.ok("sleep", json!({"for": given})).await;
        assert_eq!(done["done"], json!({"ms": ms}));
        assert!(began.elapsed() >= std::time::Duration::from_millis(ms));
    }
    for wrong in [
        json!(-1),
        json!("soon"),
        json!(null),
        json!(3600.5),
        json!("61m"),
        json!(1e300),
    ] {
        let text = tools.fails("sleep", json!({"for": wrong})).await;
        assert!(text.starts_with("range: `sleep` is"), "{text}");
    }
    let endless = tools.call("sleep", json!({"for": 3600}));
    let limit = std::time::Duration::from_millis(50);
    assert!(tokio::time::timeout(limit, endless).await.is_err());
}
