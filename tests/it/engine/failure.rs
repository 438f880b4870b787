//! `failure`: how a tool words what went wrong; and `call.ms`.

use serde_json::json;

use super::Tools;
use crate::support::server::NatsServer;

const PACK: &str = r#"
buckets: {notes: {name: notes}}
tools:
  get:
    description: x
    input: {type: object, required: [key], properties: {key: {type: string}}}
    steps:
      - let: {first: "{{ args.key | upper }}"}
      - require: args.key != 'no'
        else: "Not {{ args.key }}"
      - get: {bucket: notes, key: "{{ args.key }}"}
        as: entry
      - fail: "Gone: {{ args.key }}"
        when: not entry.found
      - let: {last: 1}
    failure: "{{ error.kind }}: {{ error.message }} ({{ first }}, {{ entry is none or entry.found }}, {{ last is none }}, {{ call.ms < 60000 }})"
    reply: {text: "{{ call.ms >= 0 and call.ms < 60000 }} {{ call.ms is integer }}"}
  broken:
    description: x
    steps:
      - fail: The reason
    failure: "{{ error.message | int | fixed(1) }}"
    reply: {text: x}
"#;

#[tokio::test]
async fn a_failure_is_told_in_the_words_of_its_tool() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let said = tools.fails("get", json!({"key": "no"})).await;
    assert_eq!(said, "require: Not no (NO, true, true, true)");
    let said = tools.fails("get", json!({"key": "a"})).await;
    assert_eq!(said, "fail: Gone: a (A, false, true, true)");
    // The arguments are not its business, and words that fail themselves do not hide the reason.
    let said = tools.fails("get", json!({})).await;
    assert!(said.starts_with("Error: the arguments"), "{said}");
    assert_eq!(tools.fails("broken", json!({})).await, "The reason");
}
