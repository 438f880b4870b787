//! Gateways over HTTP, and a client that sees what goes over the wire.

use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use jacquard::gateway::sessions::{SessionOptions, service};
use jacquard::gateway::{Gateway, Setup};
use jacquard::project::Environment;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::LIMIT;
use super::listening::Listening;
use super::place::Place;

/// The version of MCP that the client speaks.
const VERSION: &str = "2025-06-18";

/// A gateway of its own process. Dropping it kills it.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub url: String,
    stderr: Arc<Mutex<String>>,
}

impl Served {
    /// `serve --http` with more arguments, on a free port.
    pub fn start(place: &Place, args: &[&str]) -> Self {
        Self::at("127.0.0.1:0", place, args)
    }

    /// The same at this address. It does not reload by itself: a config that was written just now may be taken for one that has
    /// changed since it was read.
    pub fn at(address: &str, place: &Place, args: &[&str]) -> Self {
        let mut all = vec!["serve", "--http", address, "--no-watch"];
        all.extend(args);
        Self::run(place.command(&all))
    }

    /// One that watches what it serves.
    pub fn watching(place: &Place, args: &[&str]) -> Self {
        let mut all = vec!["serve", "--http", "127.0.0.1:0"];
        all.extend(args);
        Self::run(place.command(&all))
    }

    /// The same with a config of this text, written into the place.
    pub fn with(place: &Place, config: &str) -> Self {
        let path = place.write("served.yaml", config);
        Self::start(place, &["--config", &path.to_string_lossy()])
    }

    /// A command that serves HTTP.
    pub fn run(command: Command) -> Self {
        let Listening { child, url, stderr } = Listening::start(command);
        Self { child, url, stderr }
    }

    /// Where it listens, without scheme and path.
    pub fn address(&self) -> &str {
        let address = self.url.strip_prefix("http://").unwrap();
        address.strip_suffix("/mcp").unwrap()
    }

    /// Waits until it has this many sessions in memory.
    pub async fn has_sessions(&self, count: u64) {
        self.has("sessions", count).await;
    }

    /// Waits until it has this many of what `/health` counts.
    pub async fn has(&self, what: &str, count: u64) {
        let health = format!("http://{}/health", self.address());
        let started = std::time::Instant::now();
        loop {
            let health = reqwest::get(&health).await.unwrap();
            let health: Value = health.json().await.unwrap();
            if health[what] == count {
                return;
            }
            assert!(started.elapsed() < LIMIT, "{health} and not {count} {what}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// What it logged.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// The memory it uses, in bytes; 0 where the system does not tell.
    pub fn memory(&self) -> u64 {
        super::memory(self.child.id()).unwrap_or_default()
    }

    /// Ends it at once, without any farewell.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        super::signal("-TERM", self.child.id());
        let started = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < LIMIT, "the gateway does not end");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- stderr of {}\n{}", self.url, self.stderr());
        }
    }
}

/// A gateway in this process, for what is set by its options.
pub struct Within {
    pub gateway: Arc<Gateway>,
    /// Where it listens.
    pub url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Within {
    pub async fn start(setup: Setup, options: SessionOptions) -> Self {
        let env: Environment = [("NATS_URL", "")].into_iter().collect();
        let gateway = Gateway::start(setup, &env).await.unwrap();
        let bus = gateway.nats().bus();
        bus.wait_connected(LIMIT).await.unwrap();
        let front = service(&gateway, options);
        let answer = move |request: axum::extract::Request| {
            let front = front.clone();
            async move { front.handle(request).await }
        };
        let router = axum::Router::new().route("/mcp", axum::routing::any(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { gateway, url, task }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client with a session, or none yet.
#[derive(Clone)]
pub struct Web {
    http: reqwest::Client,
    pub url: String,
    pub session: Option<String>,
    /// What it logs in with.
    pub token: Option<String>,
}

/// A server-sent event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub data: Value,
    pub retry: Option<u64>,
}

impl Web {
    pub fn new(url: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: url.to_owned(),
            session: None,
            token: None,
        }
    }

    /// A client that has begun a session.
    pub async fn begin(url: &str) -> Self {
        Self::begin_as(url, None).await
    }

    /// The same for one that logs in, if it has a token.
    pub async fn begin_as(url: &str, token: Option<&str>) -> Self {
        Self::begin_with(url, token, json!({})).await
    }

    /// The same for one that can do this.
    pub async fn begin_with(url: &str, token: Option<&str>, capabilities: Value) -> Self {
        let mut web = Self::new(url);
        web.token = token.map(str::to_owned);
        let response = web.initialize_as(capabilities).await;
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"].to_str().unwrap();
        web.session = Some(id.to_owned());
        response.text().await.unwrap();
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(web.post(&initialized).await.status(), 202);
        web
    }

    /// The same session by another gateway.
    pub fn at(&self, url: &str) -> Self {
        let url = url.to_owned();
        Self {
            url,
            ..self.clone()
        }
    }

    /// The same session by somebody who logs in with this, or not at all.
    pub fn with(&self, token: Option<&str>) -> Self {
        let token = token.map(str::to_owned);
        Self {
            token,
            ..self.clone()
        }
    }

    pub async fn initialize(&self) -> Response {
        self.initialize_as(json!({})).await
    }

    async fn initialize_as(&self, capabilities: Value) -> Response {
        self.post(&json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {"protocolVersion": VERSION, "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}},
        }))
        .await
    }

    pub fn request(&self, method: Method) -> reqwest::RequestBuilder {
        let mut request = self.http.request(method, &self.url);
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
            request = request.header("mcp-protocol-version", VERSION);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.header("accept", "application/json, text/event-stream")
    }

    pub async fn post(&self, body: &Value) -> Response {
        let sent = self.request(Method::POST).json(body).send();
        let sent = timeout(LIMIT, sent).await.expect("an answer in time");
        sent.unwrap()
    }

    /// Calls a tool, and gives the status and the JSON-RPC answer.
    pub async fn call(&self, tool: &str, args: Value) -> (u16, Value) {
        let response = self
            .post(&json!({
                "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": tool, "arguments": args},
            }))
            .await;
        let status = response.status().as_u16();
        let text = timeout(LIMIT, response.text())
            .await
            .expect("an answer in time");
        let text = text.unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        (status, serde_json::from_str(data.unwrap_or(&text)).unwrap())
    }

    /// The text that a tool answers with.
    pub async fn said(&self, tool: &str, args: Value) -> String {
        let (status, answer) = self.call(tool, args).await;
        assert_eq!(status, 200, "{tool}: {answer}");
        let text = answer["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("{tool}: {answer}"))
            .to_owned()
    }

    pub async fn end(&self) -> u16 {
        let sent = self.request(Method::DELETE).send().await;
        sent.unwrap().status().as_u16()
    }

    /// Opens the stream of pushes.
    pub async fn listen(&self, after: Option<&str>) -> Events {
        let mut request = self.request(Method::GET);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let response = timeout(LIMIT, request.send())
            .await
            .expect("an answer in time");
        Events::of(response.unwrap())
    }
}

/// An open stream of events.
pub struct Events {
    response: std::pin::Pin<Box<dyn futures_util::Stream<Item = Vec<u8>> + Send>>,
    buffer: String,
}

impl Events {
    /// What a response carries.
    pub fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self {
            response: Box::pin(
                response
                    .bytes_stream()
                    .map(|b| b.map(|b| b.to_vec()).unwrap_or_default()),
            ),
            buffer: String::new(),
        }
    }

    /// The next event; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Event> {
        let next = timeout(4 * LIMIT, self.read()).await;
        next.expect("an event in time")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (event, rest) = (parse(event), rest.to_owned());
                self.buffer = rest;
                match event {
                    Some(event) => return Some(event),
                    // A sign of life.
                    None => continue,
                }
            }
            let bytes = self.response.next().await.filter(|b| !b.is_empty())?;
            self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next push; the event before it must not be the end.
    pub async fn push(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.data != Value::Null {
                return event;
            }
        }
    }
}

fn parse(text: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut any = false;
    for line in text.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => event.id = Some(value.to_owned()),
            "data" if !value.is_empty() => event.data = serde_json::from_str(value).unwrap(),
            "retry" => event.retry = Some(value.parse().unwrap()),
            "data" => {}
            _ => continue,
        }
        any = true;
    }
    any.then_some(event)
}
