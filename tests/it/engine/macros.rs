//! Macros, and steps whose failures are results.

use serde_json::json;

use super::Tools;
use crate::support::server::NatsServer;

const PACK: &str = r#"
session:
  last: {type: string}
macros:
  keep:
    params: [word]
    steps:
      - require: word != 'no'
        else: "{{ word }} is refused"
      - set: {last: "{{ word }}"}
      - let: {mine: "{{ word | upper }}"}
    result: {kept: "{{ mine }}", before: "{{ session.last | default('') }}"}
  both:
    params: [first, second]
    steps:
      - use: {macro: keep, with: {word: "{{ first }}"}}
      - use: {macro: keep, with: {word: "{{ second }}"}}
        as: kept
    result: "{{ kept }}"
  nothing:
    steps:
      - let: {x: 1}
tools:
  both:
    description: x
    input: {type: object, required: [first, second], properties: {first: {type: string}, second: {type: string}}}
    output: {type: object, properties: {kept: {}, mine: {}, last: {}}}
    steps:
      - let: {mine: outside}
      - use: {macro: both, with: {first: "{{ args.first }}", second: "{{ args.second }}"}}
        as: kept
    reply: {structured: {kept: "{{ kept }}", mine: "{{ mine }}", last: "{{ session.last | default('') }}"}}
  each:
    description: x
    output: {type: object, properties: {told: {}, nothing: {}, last: {}}}
    steps:
      - use: {macro: keep, with: {word: "{{ item }}"}}
        each: "['a', 'no', 'b']"
        continue_on_error: true
        select: "{{ result.kept if result.error is undefined else result.error.kind ~ ': ' ~ result.error.message }}"
        as: told
      - use: {macro: nothing}
        as: nothing
    reply: {structured: {told: "{{ told }}", nothing: "{{ nothing }}", last: "{{ session.last | default('') }}"}}
"#;

#[tokio::test]
async fn a_macro_has_names_of_its_own_and_fails_in_its_own_words() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let done = tools.ok("both", json!({"first": "a", "second": "b"})).await;
    assert_eq!(
        done,
        json!({"kept": {"kept": "B", "before": "b"}, "mine": "outside", "last": "b"})
    );
    let refused = tools
        .fails("both", json!({"first": "a", "second": "no"}))
        .await;
    assert_eq!(refused, "no is refused");
}

#[tokio::test]
async fn what_goes_wrong_can_be_a_result() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let done = tools.ok("each", json!({})).await;
    assert_eq!(
        done,
        json!({"told": ["A", "require: no is refused", "B"], "nothing": null, "last": "b"})
    );
}
