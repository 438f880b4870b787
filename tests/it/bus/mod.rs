//! The NATS layer against a real server.

mod auth;
mod bucket;
mod busy;
mod connection;
mod feed;
mod merged;
mod mirror;
mod queue;
mod read;
mod stream;
mod subscribe;

use crate::support::server::NatsServer;
use jacquard::bus::{Bus, BusConfig, Outgoing, Stream, StreamSpec};
use std::time::Duration;

pub const SOON: Duration = Duration::from_secs(5);

pub fn config(url: impl Into<String>) -> BusConfig {
    BusConfig {
        servers: vec![url.into()],
        ..BusConfig::default()
    }
}

pub async fn connected(config: BusConfig) -> Bus {
    let bus = Bus::connect(config).await.unwrap();
    bus.wait_connected(SOON).await.unwrap();
    bus
}

pub async fn bus(server: &NatsServer) -> Bus {
    connected(config(server.url())).await
}

pub fn spec(name: &str, subject: &str) -> StreamSpec {
    StreamSpec {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        ..StreamSpec::default()
    }
}

pub async fn fill(stream: &Stream, subject: &str, count: usize) {
    for index in 0..count {
        let message = Outgoing::new(subject, index.to_string());
        stream.publish(message, None).await.unwrap();
    }
}

/// A client of its own, to do what another program would do.
pub async fn other_program(server: &NatsServer) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

/// Deletes a stream behind our back. The pause is for nats-server: with 2.15.1 a stream that is made
/// again within a few milliseconds now and then still has the last message of the deleted one.
pub async fn vanish(other: &async_nats::jetstream::Context, stream: &str) {
    other.delete_stream(stream).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// A server with its monitoring endpoint, and the port of that.
pub fn monitored() -> (NatsServer, u16) {
    let any = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = any.local_addr().unwrap().port();
    drop(any);
    let server = NatsServer::with_config(&format!("http: \"127.0.0.1:{port}\""));
    (server, port)
}

/// The number of subscriptions the server knows, from its monitoring endpoint.
pub async fn subscriptions(port: u16) -> u64 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let ask = b"GET /subsz HTTP/1.0\r\n\r\n";
    socket.write_all(ask).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body["num_subscriptions"].as_u64().unwrap()
}
