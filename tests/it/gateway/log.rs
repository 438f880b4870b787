//! Lines for the log of the client, over both transports and in both revisions of the protocol.

use serde_json::{Value, json};

use crate::http::stateless::request;
use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

const PACK: &str = r#"
macros:
  note: {params: [what], steps: [{log: {level: notice, text: "{{ what }}"}}]}
prompts:
  plan:
    steps: [{use: {macro: note, with: {what: a plan}}}]
    messages: [{role: user, text: Plan it.}]
resources:
  state:
    uri: "state:///"
    steps: [{log: {level: warning, text: read}}]
    text: x
tools:
  later:
    description: Writes a line while nobody listens.
    task: true
    steps:
      - log: {level: error, text: late}
        as: late
    reply: {text: "{{ late.told }}"}
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

/// Asks as a client without `initialize` that wants lines from this level on, if any: the lines' data, and the answer.
fn asked(
    raw: &mut Raw,
    method: &str,
    mut params: Value,
    level: Option<&str>,
) -> (Vec<Value>, Value) {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(level) = level {
        params["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
    }
    raw.request(method, method, params);
    let answer = raw.answer(method);
    let mut lines = Vec::new();
    for message in raw.waiting() {
        assert_eq!(message["method"], "notifications/message", "{message}");
        lines.push(message["params"]["data"].clone());
    }
    raw.told("notifications/message");
    (lines, answer)
}

#[test]
fn a_request_that_stands_alone_says_which_lines_it_wants() {
    let place = Place::without_nats();
    let config = config(&place);
    let mut raw = Raw::spawn(place.command(&["serve", "-c", &config]));
    let backup = || json!({"name": "backup", "arguments": {}});
    let (two, left) = (json!("two files"), json!({"left": 1}));
    for (level, wanted) in [
        (None, vec![]),
        (
            Some("debug"),
            vec![json!("looking"), two.clone(), left.clone()],
        ),
        (Some("info"), vec![two, left.clone()]),
        (Some("error"), vec![left]),
        (Some("emergency"), vec![]),
    ] {
        let (lines, answer) = asked(&mut raw, "tools/call", backup(), level);
        assert_eq!(lines, wanted, "{level:?}: {answer}");
        let told = matches!(level, Some("debug" | "info")).to_string();
        assert_eq!(answer["result"]["content"][0]["text"], told, "{answer}");
    }
    let (plan, state) = (json!({"name": "plan"}), json!({"uri": "state:///"}));
    for (level, of_prompt, of_resource) in [
        (None, vec![], vec![]),
        (Some("notice"), vec![json!("a plan")], vec![json!("read")]),
        (Some("warning"), vec![], vec![json!("read")]),
    ] {
        let (lines, answer) = asked(&mut raw, "prompts/get", plan.clone(), level);
        assert!(answer["result"]["messages"].is_array(), "{answer}");
        assert_eq!(lines, of_prompt, "{level:?}");
        let (lines, answer) = asked(&mut raw, "resources/read", state.clone(), level);
        assert!(answer["result"]["contents"].is_array(), "{answer}");
        assert_eq!(lines, of_resource, "{level:?}");
    }
    // What is no level asks for none.
    let (lines, answer) = asked(&mut raw, "tools/call", backup(), Some("loud"));
    assert_eq!(
        (lines, &answer["result"]["isError"]),
        (vec![], &json!(false))
    );
    raw.close();
}

#[tokio::test]
async fn lines_go_over_the_response_of_their_request_and_a_task_has_none() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    config(&place);
    let served = Served::with(&place, CONFIG);
    let level = json!({"io.modelcontextprotocol/logLevel": "error"});
    let call = |tool: &str| {
        let params = json!({"name": tool, "arguments": {}, "_meta": level});
        request(&served.url, None, "tools/call", params)
    };
    let mut events = Events::of(call("backup").send().await.unwrap());
    assert_eq!(events.push().await.data["params"], error());
    let answer = events.push().await.data;
    assert_eq!(answer["result"]["content"][0]["text"], "false", "{answer}");
    assert_eq!(events.next().await, None);
    let begun: Value = call("later").send().await.unwrap().json().await.unwrap();
    let id = begun["result"]["taskId"].as_str().unwrap();
    let state = loop {
        let get = request(&served.url, None, "tasks/get", json!({"taskId": id}));
        let state: Value = get.send().await.unwrap().json().await.unwrap();
        if state["result"]["status"] != "working" {
            break state;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let text = &state["result"]["result"]["content"][0]["text"];
    assert_eq!(*text, "false", "{state}");
}
