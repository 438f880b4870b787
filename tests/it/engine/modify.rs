//! `modify`, and `get` and `delete` beside it.

use serde_json::json;

use super::Tools;
use crate::support::server::NatsServer;

const PACK: &str = r#"
buckets:
  b: {name: b, history: 5}
tools:
  put:
    description: x
    input: {type: object, required: [value], properties: {value: {}}}
    output: {type: object, properties: {revision: {}}}
    steps:
      - put: {bucket: b, key: k, value: "{{ args.value }}"}
        as: done
    reply: {structured: {revision: "{{ done.revision }}"}}
  add:
    description: x
    input: {type: object, properties: {note: {type: string}, only: {type: integer}}}
    output: {type: object, properties: {done: {}}}
    steps:
      - modify:
          bucket: b
          key: k
          where: args.only is not defined or item.value.n == args.only
          set: {n: "{{ item.value.n + 1 }}", note: "{{ args.note | default(omit) }}"}
        as: done
        else: "{{ error.kind }}"
    reply: {structured: {done: "{{ done }}"}}
  get:
    description: x
    input: {type: object, properties: {least: {type: integer, default: 0}}}
    output: {type: object, properties: {entry: {}}}
    steps:
      - get: {bucket: b, key: k, where: item.value.n >= args.least, select: {number: "{{ item.value.n }}"}}
        as: entry
    reply: {structured: {entry: "{{ entry }}"}}
  delete:
    description: x
    input: {type: object, properties: {revision: {type: integer}}}
    steps:
      - delete: {bucket: b, key: k, revision: "{{ args.revision }}"}
        when: args.revision is defined
        else: "{{ error.kind }}"
      - delete: {bucket: b, key: k}
        when: args.revision is not defined
    reply: {text: done}
"#;

#[tokio::test]
async fn fields_are_replaced_and_the_others_stay() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    assert_eq!(tools.fails("add", json!({})).await, "not_found");
    tools.ok("put", json!({"value": "no object"})).await;
    assert_eq!(tools.fails("add", json!({})).await, "range");
    let value = json!({"z": [1, {"b": 1, "a": 2}], "n": 1, "a": null});
    tools.ok("put", json!({"value": value})).await;
    let done = tools.ok("add", json!({})).await;
    assert_eq!(done["done"]["before"], value);
    assert_eq!(
        done["done"]["after"].to_string(),
        r#"{"z":[1,{"b":1,"a":2}],"n":2,"a":null}"#
    );
    let done = tools.ok("add", json!({"note": "x", "only": 2})).await;
    assert_eq!(done["done"]["after"]["note"], "x");
    let entry = tools.ok("get", json!({})).await;
    assert_eq!(entry["entry"]["revision"], done["done"]["revision"]);
    assert_eq!(tools.fails("add", json!({"only": 2})).await, "conflict");
    assert_eq!(
        tools.ok("get", json!({})).await,
        entry,
        "nothing was written"
    );
}

#[tokio::test]
async fn an_entry_that_does_not_fit_counts_as_not_there() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    tools.ok("put", json!({"value": {"n": 3}})).await;
    let entry = tools.ok("get", json!({"least": 3})).await["entry"].clone();
    assert_eq!(
        (&entry["found"], &entry["value"]),
        (&json!(true), &json!({"number": 3}))
    );
    assert_eq!(entry["text"], r#"{"n":3}"#);
    let entry = tools.ok("get", json!({"least": 4})).await["entry"].clone();
    assert_eq!(
        (&entry["found"], &entry["value"]),
        (&json!(false), &json!(null))
    );
}

#[tokio::test]
async fn a_revision_guards_a_deletion() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let old = tools.ok("put", json!({"value": {"n": 1}})).await;
    let new = tools.ok("put", json!({"value": {"n": 2}})).await;
    assert_eq!(tools.fails("delete", old).await, "conflict");
    assert_eq!(tools.ok("get", json!({})).await["entry"]["found"], true);
    tools.ok("delete", new).await;
    assert_eq!(tools.ok("get", json!({})).await["entry"]["found"], false);
    tools.ok("delete", json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_lost_whoever_else_changes_the_entry() {
    const WRITERS: usize = 10;
    const EACH: usize = 20;
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    tools
        .ok("put", json!({"value": {"n": 0, "kept": true}}))
        .await;
    let started = std::time::Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let tools = tools.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    tools.ok("add", json!({})).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    println!(
        "{WRITERS} writers changed one entry {EACH} times each in {:?}",
        started.elapsed()
    );
    let entry = tools.ok("get", json!({})).await;
    assert_eq!(entry["entry"]["value"]["number"], WRITERS * EACH);
}
