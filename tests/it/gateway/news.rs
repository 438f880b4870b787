//! News of changed tools and resources, over pipes.

use std::sync::Arc;

use jacquard::gateway::{Change, Gateway, stdio};
use jacquard::project::Environment;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::setup;
use crate::support::LIMIT;
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// A client on pipes of a gateway in this process.
struct Pipe {
    gateway: Arc<Gateway>,
    writer: WriteHalf<DuplexStream>,
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
}

impl Pipe {
    async fn open(server: &NatsServer) -> Self {
        let place = Place::on(server);
        let env: Environment = [("NATS_URL", "")].into_iter().collect();
        let gateway = Gateway::start(setup(&place, server), &env).await.unwrap();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(theirs);
        let served = stdio::serve_on(gateway.clone(), reader, writer, CancellationToken::new());
        tokio::spawn(served);
        let (reader, writer) = tokio::io::split(ours);
        Self {
            gateway,
            writer,
            lines: BufReader::new(reader).lines(),
        }
    }

    async fn say(&mut self, message: Value) {
        let line = format!("{message}\n");
        self.writer.write_all(line.as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let line = timeout(LIMIT, self.lines.next_line()).await;
        let line = line.expect("a line in time").unwrap().expect("a line");
        serde_json::from_str(&line).unwrap()
    }

    /// Asks something; the next thing to be heard is the answer.
    async fn ask(&mut self, id: u32, method: &str, params: Value) -> Value {
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await;
        let answer = self.hear().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }
}

#[tokio::test]
async fn a_client_hears_equal_news_once() {
    let server = NatsServer::start();
    let mut pipe = Pipe::open(&server).await;
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    });
    pipe.ask(1, "initialize", hello).await;
    pipe.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    pipe.ask(2, "tools/list", json!({})).await;
    for change in [
        Change::Tools,
        Change::Updated("a:/1".into()),
        Change::Tools,
        Change::Resources,
        Change::Tools,
    ] {
        pipe.gateway.announce(change);
    }
    for method in ["tools", "resources"] {
        let news = pipe.hear().await;
        assert_eq!(
            news["method"],
            format!("notifications/{method}/list_changed")
        );
    }
    pipe.ask(3, "tools/list", json!({})).await;
    pipe.gateway.announce(Change::Tools);
    let news = pipe.hear().await;
    assert_eq!(news["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_client_without_initialize_hears_what_it_asks_for() {
    let server = NatsServer::start();
    let mut pipe = Pipe::open(&server).await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    pipe.ask(1, "tools/list", json!({"_meta": meta})).await;
    pipe.gateway.announce(Change::Tools);
    pipe.say(json!({
        "jsonrpc": "2.0", "id": 2, "method": "subscriptions/listen",
        "params": {"_meta": meta, "notifications": {"toolsListChanged": true, "promptsListChanged": true}},
    }))
    .await;
    let accepted = pipe.hear().await;
    assert_eq!(
        accepted["params"]["notifications"],
        json!({"toolsListChanged": true}),
        "{accepted}"
    );
    pipe.ask(3, "tools/list", json!({"_meta": meta})).await;
    for change in [Change::Resources, Change::Tools, Change::Tools] {
        pipe.gateway.announce(change);
    }
    let news = pipe.hear().await;
    assert_eq!(news["method"], "notifications/tools/list_changed", "{news}");
    let of = &news["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
    assert_eq!(*of, json!(2), "{news}");
    pipe.ask(4, "tools/list", json!({"_meta": meta})).await;
}
