//! A gateway over HTTP with a config of its own, and plain requests to it.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::LIMIT;
use crate::support::http::Served;
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// What MCP wants to be accepted.
pub const BOTH: &str = "application/json, text/event-stream";

/// A running gateway. Dropping it kills it.
pub struct Gate {
    served: Served,
    /// `http://127.0.0.1:PORT`
    pub origin: String,
    http: reqwest::Client,
    pub place: Place,
    /// The server that it uses.
    pub nats: Option<NatsServer>,
}

/// A config that serves the pack `warp` at a free port.
pub fn config(more: &str) -> String {
    format!("packs: [warp]\ntransport: http\nhttp:\n  address: 127.0.0.1:0\n{more}")
}

impl Gate {
    /// With a config (see [`config`]) and a server of its own.
    pub fn start(config: &str) -> Self {
        let nats = NatsServer::start();
        let mut gate = Self::on(Place::on(&nats), config);
        gate.nats = Some(nats);
        gate
    }

    /// With a config, at a place.
    pub fn on(place: Place, config: &str) -> Self {
        let path = place.write("gate.yaml", config);
        let served = Served::run(place.command(&[
            "serve",
            "--no-watch",
            "--config",
            &path.to_string_lossy(),
        ]));
        Self {
            origin: served.url.trim_end_matches("/mcp").to_owned(),
            served,
            http: reqwest::Client::builder().timeout(LIMIT).build().unwrap(),
            place,
            nats: None,
        }
    }

    /// What it logged.
    pub fn stderr(&self) -> String {
        self.served.stderr()
    }

    /// `127.0.0.1:PORT`
    pub fn authority(&self) -> &str {
        self.origin.strip_prefix("http://").unwrap()
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// A well-formed POST to `/mcp` with this body, to be changed.
    pub fn post(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request(Method::POST, "/mcp")
            .header("accept", BOTH)
            .header("content-type", "application/json")
            .body(body)
    }

    /// Begins a session at a path; gives its id.
    pub async fn begin(&self, path: &str, token: Option<&str>) -> String {
        let request = self.request(Method::POST, path).header("accept", BOTH);
        let response = with(request, token)
            .json(&initialize())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        response.text().await.unwrap();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let request = self.request(Method::POST, path).header("accept", BOTH);
        let request = with(request, token).header("mcp-session-id", &id);
        assert_eq!(
            request.json(&initialized).send().await.unwrap().status(),
            202
        );
        id
    }

    /// The JSON-RPC answer to a message of a session.
    pub async fn ask(&self, path: &str, token: Option<&str>, session: &str, body: Value) -> Value {
        let request = self.request(Method::POST, path).header("accept", BOTH);
        let request = with(request, token).header("mcp-session-id", session);
        let response = request.json(&body).send().await.unwrap();
        message(&response.text().await.unwrap())
    }

    /// Asks it to end; gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.served.stop().code()
    }
}

fn with(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

pub fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    })
}

/// The message in a body: the last event's, or all of it.
fn message(text: &str) -> Value {
    let data = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: {"));
    let data = data.map_or_else(|| text.to_owned(), |rest| format!("{{{rest}"));
    serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Status and JSON-RPC error of a refusal: its form is checked.
pub async fn refusal(response: Response) -> (u16, i64, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["jsonrpc"], "2.0", "{body}");
    assert!(body.get("id").is_some(), "{body}");
    let code = body["error"]["code"].as_i64().unwrap();
    let text = body["error"]["message"].as_str().unwrap().to_owned();
    assert!(!text.is_empty());
    (status, code, text)
}

/// A time that is long enough for something not to happen any more.
pub const A_WHILE: Duration = Duration::from_millis(300);
