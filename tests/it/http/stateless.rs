//! Clients of the version of MCP that has no sessions.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::serve;
use crate::support::LIMIT;
use crate::support::http::{Events, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const VERSION: &str = "2026-07-28";
/// What a client declares that knows tasks.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A request with what this version wants to be in it.
pub fn request(
    url: &str,
    session: Option<&str>,
    method: &str,
    mut params: Value,
) -> reqwest::RequestBuilder {
    let names = ["name", "taskId", "uri"].map(|key| params[key].as_str());
    let name = names.into_iter().flatten().next();
    let name = name.map(str::to_owned);
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(VERSION);
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "t", "version": "1"});
    meta["io.modelcontextprotocol/clientCapabilities"] =
        json!({"elicitation": {}, "extensions": {TASKS: {}}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut request = Web::new(url).request(Method::POST).json(&body);
    request = request.header("mcp-protocol-version", VERSION);
    request = request.header("mcp-method", method);
    if let Some(name) = name {
        request = request.header("mcp-name", name);
    }
    if let Some(session) = session {
        request = request.header("jacquard-session", session);
    }
    request
}

/// Calls a tool, and gives the text.
async fn said(url: &str, session: Option<&str>, tool: &str, args: Value) -> String {
    let params = json!({"name": tool, "arguments": args});
    let request = request(url, session, "tools/call", params);
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status} {text}"));
    match answer["result"]["content"][0]["text"].as_str() {
        Some(text) => text.to_owned(),
        None => answer["error"]["message"]
            .as_str()
            .expect("an error")
            .to_owned(),
    }
}

/// Opens the stream of a session's pushes.
async fn listen(url: &str, session: &str) -> Events {
    let wanted = json!({"toolsListChanged": true});
    open(url, Some(session), wanted).await.0
}

/// Opens a stream; its first message says what of this it takes.
pub async fn open(url: &str, session: Option<&str>, wanted: Value) -> (Events, Value) {
    let params = json!({"notifications": wanted});
    let request = request(url, session, "subscriptions/listen", params);
    let response = timeout(LIMIT, request.send())
        .await
        .expect("an answer in time");
    let mut events = Events::of(response.unwrap());
    let mut first = events.push().await;
    assert_eq!(
        first.data["method"],
        "notifications/subscriptions/acknowledged"
    );
    (events, first.data["params"]["notifications"].take())
}

async fn hears(events: &mut Events, text: &str) {
    let event = events.push().await;
    assert_eq!(event.data["method"], "notifications/desk");
    assert_eq!(event.data["params"], json!({"text": text, "to": "ada"}));
}

#[tokio::test]
async fn requests_that_name_a_session_share_its_state_on_any_gateway() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (first, second) = (serve(&place), serve(&place));
    let named = Some("mine");
    let id = said(&first.url, named, "desk_name", json!({"name": "ada"})).await;
    assert_eq!(
        said(&first.url, named, "desk_who", json!({})).await,
        "ada plain"
    );
    assert_eq!(
        said(&second.url, named, "desk_who", json!({})).await,
        "ada plain"
    );
    let again = said(&second.url, named, "desk_name", json!({"name": "eve"})).await;
    assert_eq!(again, id);
    assert_eq!(
        said(&first.url, named, "desk_who", json!({})).await,
        "eve plain"
    );
    assert_eq!(
        said(&first.url, Some("other"), "desk_who", json!({})).await,
        "nobody plain"
    );
    let long = "x".repeat(200);
    let refused = said(&first.url, Some(&long), "desk_who", json!({})).await;
    assert!(refused.contains("jacquard-session"), "{refused}");
}

#[tokio::test]
async fn a_request_that_names_none_stands_alone() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let served = serve(&place);
    let id = said(&served.url, None, "desk_name", json!({"name": "ada"})).await;
    assert_eq!(
        said(&served.url, None, "desk_who", json!({})).await,
        "nobody plain"
    );
    let close = super::sessions::trace(&server, &place, &format!("close.{id}")).await;
    assert_eq!(close, Some("ada".into()));
}

#[tokio::test]
async fn a_subscription_carries_the_pushes_of_the_session_that_it_names() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (mut first, second) = (serve(&place), serve(&place));
    let say = async |url: &str, text: &str| {
        said(url, Some("other"), "desk_say", json!({"text": text})).await
    };
    said(
        &first.url,
        Some("mine"),
        "desk_name",
        json!({"name": "ada"}),
    )
    .await;
    let mut events = listen(&first.url, "mine").await;
    say(&first.url, "one").await;
    hears(&mut events, "one").await;
    say(&second.url, "two").await;
    hears(&mut events, "two").await;
    drop(events);
    // The stream is closed; what comes now follows, also elsewhere.
    say(&first.url, "three").await;
    let mut events = listen(&first.url, "mine").await;
    hears(&mut events, "three").await;
    first.kill();
    say(&second.url, "four").await;
    let mut events = listen(&second.url, "mine").await;
    loop {
        // This version has no event ids: what was heard last may come again.
        let event = events.push().await;
        match event.data["params"]["text"].as_str() {
            Some("four") => break,
            Some("one" | "two" | "three") => {}
            _ => panic!("{event:?}"),
        }
    }
    say(&second.url, "five").await;
    hears(&mut events, "five").await;
}
