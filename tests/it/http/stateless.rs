//! Clients of the version of MCP that has no sessions.

use reqwest::Method;
use serde_json::{Value, json};

use super::serve;
use crate::support::http::Web;
use crate::support::place::Place;
use crate::support::server::NatsServer;

const VERSION: &str = "2026-07-28";

/// Calls a tool, and gives the text.
async fn said(url: &str, session: Option<&str>, tool: &str, args: Value) -> String {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": tool, "arguments": args, "_meta": {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }},
    });
    let mut request = Web::new(url).request(Method::POST).json(&body);
    request = request.header("mcp-protocol-version", VERSION);
    request = request
        .header("mcp-method", "tools/call")
        .header("mcp-name", tool);
    if let Some(session) = session {
        request = request.header("jacquard-session", session);
    }
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
