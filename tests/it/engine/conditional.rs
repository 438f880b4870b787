//! Tools and streams that are there only if the settings say so.

use serde_json::json;

use super::Tools;
use crate::bus::other_program;
use crate::support::server::NatsServer;

const PACK: &str = r#"
settings:
  type: object
  properties: {groups: {type: array, default: [read]}, inner: {type: object, default: {}}}
streams:
  kept: {when: "'read' in config.groups", name: KEPT, subjects: ["kept.>"]}
  lost: {when: "'write' in config.groups", name: LOST, subjects: ["lost.>"]}
  each: {when: "'write' in config.groups", params: [who], name: "EACH_{{ who }}", subjects: ["each.{{ who }}"]}
tools:
  notes.read:
    when: "'read' in config.groups and project.namespace"
    description: "{{ tools['notes.read'] }} beside {{ tools['notes.write'] }}"
    steps:
      - info: {stream: kept}
        as: info
    reply: {text: "{{ info.messages }}"}
  notes.write:
    when: "'write' in config.groups"
    description: x
    reply: {text: x}
  notes.absent:
    when: config.inner.deep.er == 1
    description: x
    reply: {text: x}
  lost:
    description: x
    steps:
      - publish: {stream: lost, subject: lost.x, payload: 1}
    reply: {text: x}
  each:
    description: x
    steps:
      - publish: {stream: each, with: {who: ada}, payload: 1}
        else: "{{ error.kind }}"
    reply: {text: x}
"#;

#[tokio::test]
async fn what_the_settings_leave_out_is_not_there() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let catalog = tools.engine.catalog();
    assert!(catalog.tool("notes.write").is_none() && catalog.tool("notes.absent").is_none());
    let read = catalog.tool("notes.read").unwrap();
    assert_eq!(read.description, "notes.read beside notes.write");
    assert_eq!(tools.call("notes.read", json!({})).await.text, "0");
    let text = tools.fails("lost", json!({})).await;
    assert!(
        text.contains("the stream `lost` of the pack `p` is not there"),
        "{text}"
    );
    assert_eq!(tools.fails("each", json!({})).await, "not_found");
    tools.engine.prepare().await;
    assert!(tools.engine.unready().is_empty());
    let other = other_program(&server).await;
    assert!(other.get_stream("KEPT").await.is_ok());
    assert!(other.get_stream("LOST").await.is_err());
}
