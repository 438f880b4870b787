//! Lines for the log of the client, over both transports and in both revisions of the protocol.

use serde_json::{Value, json};

use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

const PACK: &str = r#"
tools:
  backup:
    description: Writes three lines.
    steps:
      - log: {level: debug, text: looking}
      - log: {text: "two files", logger: files}
        as: info
      - log: {level: error, data: {left: 1}}
    reply: {text: "{{ info.told }}"}
"#;

const CONFIG: &str = "packs: [./backup]\n";

fn config(place: &Place) -> String {
    place.write("backup/backup.yaml", PACK);
    let path = place.write("jacquard.yaml", CONFIG);
    path.to_string_lossy().into_owned()
}

fn info() -> Value {
    json!({"level": "info", "logger": "files", "data": "two files"})
}

fn error() -> Value {
    json!({"level": "error", "logger": "backup", "data": {"left": 1}})
}

/// The lines that come before the answer to a call, and what it says.
async fn lines(web: &Web, meta: Value) -> (Vec<Value>, Value) {
    let params = json!({"name": "backup", "arguments": {}, "_meta": meta});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let mut events = Events::of(web.post(&call).await);
    let mut lines = Vec::new();
    loop {
        let event = events.push().await.data;
        if event["method"] == "notifications/message" {
            lines.push(event["params"].clone());
            continue;
        }
        return (lines, event["result"]["content"][0]["text"].clone());
    }
}

#[test]
fn a_client_on_stdio_gets_the_lines_of_the_level_that_it_wants() {
    let place = Place::without_nats();
    let config = config(&place);
    let mut raw = Raw::spawn(place.command(&["serve", "-c", &config]));
    let begun = raw.initialize();
    assert_eq!(begun["result"]["capabilities"]["logging"], json!({}));
    raw.call(1, "backup", json!({}));
    assert_eq!(raw.notification("notifications/message"), info());
    assert_eq!(raw.notification("notifications/message"), error());
    assert_eq!(raw.answer(1)["result"]["content"][0]["text"], "true");
    raw.request(2, "logging/setLevel", json!({"level": "warning"}));
    assert_eq!(raw.answer(2)["result"], json!({}));
    raw.call(3, "backup", json!({}));
    assert_eq!(raw.notification("notifications/message"), error());
    assert_eq!(raw.answer(3)["result"]["content"][0]["text"], "false");
    raw.request(4, "logging/setLevel", json!({"level": "loud"}));
    assert_eq!(raw.answer(4)["error"]["code"], -32602);
    raw.close();
}

#[tokio::test]
async fn the_level_of_a_session_holds_in_another_gateway() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    config(&place);
    let (one, other) = (Served::with(&place, CONFIG), Served::with(&place, CONFIG));
    let web = Web::begin(&one.url).await;
    let told = lines(&web, json!({})).await;
    assert_eq!(told, (vec![info(), error()], json!("true")));
    let level = json!({"jsonrpc": "2.0", "id": 2, "method": "logging/setLevel", "params": {"level": "alert"}});
    assert_eq!(web.post(&level).await.status(), 200);
    let told = lines(&web.at(&other.url), json!({})).await;
    assert_eq!(told, (vec![], json!("false")));
}
