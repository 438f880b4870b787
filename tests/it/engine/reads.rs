//! `read` of several subjects, and `subjects`.

use serde_json::json;

use super::Tools;
use crate::bus::other_program;
use crate::support::server::NatsServer;

const PACK: &str = r#"
streams:
  log: {name: LOG, subjects: ["log.>"]}
tools:
  send:
    description: x
    input: {type: object, required: [to], properties: {to: {type: string}}}
    steps:
      - publish: {stream: log, subject: "log.{{ args.to }}", payload: "{{ args.to }}"}
    reply: {text: x}
  pair:
    description: x
    input: {type: object, properties: {limit: {type: integer, default: 3}, cursor: {type: string}}}
    output: {type: object, properties: {page: {}}}
    steps:
      - read: {stream: log, subjects: [log.a, "log.{{ 'b' }}", "log.*.never"], limit: "{{ args.limit }}", page: "{{ args.cursor | default(none) }}", select: "{{ item.seq }}"}
        as: page
    reply: {structured: {page: "{{ page }}"}}
  listed:
    description: x
    input: {type: object, required: [of], properties: {of: {}}}
    output: {type: object, properties: {seqs: {}}}
    steps:
      - read: {stream: log, subjects: "{{ args.of }}", after: 0, limit: 9, select: "{{ item.seq }}"}
        as: page
        else: "{{ error.kind }}"
    reply: {structured: {seqs: "{{ page.messages }}"}}
  names:
    description: x
    input: {type: object, properties: {cursor: {type: string}, least: {type: integer, default: 1}}}
    output: {type: object, properties: {page: {}}}
    steps:
      - subjects: {stream: log, subject: "log.*", limit: 2, page: "{{ args.cursor | default(none) }}", where: item.messages >= args.least}
        as: page
        else: "{{ error.kind }}"
    reply: {structured: {page: "{{ page }}"}}
"#;

async fn tools(server: &NatsServer) -> Tools {
    let tools = Tools::new(server, PACK).await;
    for to in ["a", "c", "b", "a", "b", "b"] {
        tools.ok("send", json!({"to": to})).await;
    }
    tools
}

#[tokio::test]
async fn several_subjects_are_one_history() {
    let server = NatsServer::start();
    let tools = tools(&server).await;
    let page = tools.ok("pair", json!({})).await["page"].clone();
    assert_eq!(page["messages"], json!([4, 5, 6]));
    assert_eq!(
        (&page["total"], &page["last_seq"]),
        (&json!(6), &json!(6)),
        "{page}"
    );
    let older = tools.ok("pair", json!({"cursor": page["next"]})).await["page"].clone();
    assert_eq!(older["messages"], json!([1, 3]));
    assert_eq!(older["next"], json!(null));

    let listed = async |of| tools.ok("listed", json!({"of": of})).await["seqs"].clone();
    assert_eq!(listed(json!(["log.c", "log.a"])).await, json!([1, 2, 4]));
    for bad in [
        json!([]),
        json!("log.a"),
        json!(["log.*"]),
        json!([">"]),
        json!([1]),
        json!(vec!["log.a"; 17]),
    ] {
        let kind = tools.fails("listed", json!({"of": bad})).await;
        assert_eq!(kind, "range", "{bad}");
    }
    for bad in [json!(["log..a"]), json!(["$JS.API.x"]), json!(["log.a b"])] {
        tools.fails("listed", json!({"of": bad})).await;
    }
}

#[tokio::test]
async fn subjects_are_listed_page_by_page() {
    let server = NatsServer::start();
    let tools = tools(&server).await;
    let item =
        |name, messages: u64| json!({"subject": format!("log.{name}"), "messages": messages});
    let page = tools.ok("names", json!({})).await["page"].clone();
    assert_eq!(page["items"], json!([item("a", 2), item("b", 3)]));
    assert_eq!((&page["count"], &page["total"]), (&json!(2), &json!(3)));
    // What is new sorts before the page that follows.
    tools.ok("send", json!({"to": "aa"})).await;
    let last = tools.ok("names", json!({"cursor": page["next"]})).await["page"].clone();
    assert_eq!(last["items"], json!([item("c", 1)]));
    assert_eq!((&last["total"], &last["next"]), (&json!(4), &json!(null)));
    let more = tools.ok("names", json!({"least": 2})).await["page"].clone();
    assert_eq!((&more["total"], &more["next"]), (&json!(2), &json!(null)));
    let wrong = json!({"least": 2, "cursor": page["next"]});
    assert_eq!(tools.fails("names", wrong).await, "cursor");

    let other = other_program(&server).await;
    other.delete_stream("LOG").await.unwrap();
    let none = tools.ok("names", json!({})).await["page"].clone();
    assert_eq!((&none["items"], &none["total"]), (&json!([]), &json!(0)));
}
