//! What tells how the gateway fares.

use reqwest::Method;
use serde_json::{Value, json};

use super::gate::{Gate, config};
use crate::support::LIMIT;
use crate::support::place::Place;
use crate::support::server::NatsServer;

async fn json_of(gate: &Gate, path: &str) -> (u16, Value) {
    let response = gate.get(path).await;
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn until(gate: &Gate, path: &str, holds: impl Fn(u16, &Value) -> bool) -> Value {
    let started = std::time::Instant::now();
    loop {
        let (status, body) = json_of(gate, path).await;
        if holds(status, &body) {
            return body;
        }
        assert!(started.elapsed() < LIMIT, "{path}: {status} {body}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn health_and_readiness_follow_nats() {
    let mut nats = NatsServer::stopped("");
    nats.reserve_port();
    let gate = Gate::on(Place::at(&nats.url()), &config(""));
    let body = until(&gate, "/ready", |status, _| status == 503).await;
    assert_eq!(body["ready"], false);
    assert!(
        body["reasons"][0].as_str().unwrap().starts_with("NATS is "),
        "{body}"
    );
    let (status, health) = json_of(&gate, "/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("ok")));
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    assert_ne!(health["nats"], "connected");
    nats.restart();
    let body = until(&gate, "/ready", |status, _| status == 200).await;
    assert_eq!(
        (&body["ready"], &body["reasons"]),
        (&json!(true), &json!([]))
    );
    nats.kill();
    until(&gate, "/ready", |status, _| status == 503).await;
    until(&gate, "/health", |_, body| body["nats"] == "disconnected").await;
    nats.restart();
    until(&gate, "/ready", |status, _| status == 200).await;
    let text = gate.get("/metrics").await.text().await.unwrap();
    assert!(text.contains("jacquard_nats_reconnects_total 1"), "{text}");
    // Probes come under any name, and ask for nothing else.
    let probe = gate
        .request(Method::HEAD, "/health")
        .header("host", "10.0.0.7");
    let probe = probe.send().await.unwrap();
    assert_eq!(probe.status(), 200);
    let wrong = gate.request(Method::POST, "/ready").send().await.unwrap();
    assert_eq!(wrong.status(), 405);
}

#[tokio::test]
async fn a_gateway_that_is_of_use_without_nats_is_ready_without() {
    let mut nats = NatsServer::stopped("");
    nats.reserve_port();
    let config = config("nats: {required: false}\n");
    let gate = Gate::on(Place::at(&nats.url()), &config);
    until(&gate, "/health", |_, body| body["nats"] == "disconnected").await;
    let (status, body) = json_of(&gate, "/ready").await;
    assert_eq!((status, body), (200, json!({"ready": true, "reasons": []})));
    // Nor does it run a server of its own where no address is given.
    let gate = Gate::on(Place::without_nats(), &config);
    until(&gate, "/health", |_, body| body["nats"] != "connecting").await;
    let (status, _) = json_of(&gate, "/ready").await;
    assert_eq!(status, 200);
    assert!(!gate.place.data_dir().exists(), "{}", gate.stderr());
}

#[tokio::test]
async fn calls_are_counted() {
    let gate = Gate::start(&config(""));
    until(&gate, "/ready", |status, _| status == 200).await;
    let session = gate.begin("/mcp", None).await;
    for (name, args) in [
        ("warp_handle_get", json!({})),
        (
            "warp_channels_send",
            json!({"channel": "roadmap", "message": "x"}),
        ),
        ("nope", json!({})),
    ] {
        let params = json!({"name": name, "arguments": args});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        gate.ask("/mcp", None, &session, body).await;
    }
    let response = gate.get("/metrics").await;
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = response.text().await.unwrap();
    for line in [
        "jacquard_tool_calls_total{tool=\"warp_handle_get\",outcome=\"ok\"} 1",
        "jacquard_tool_calls_total{tool=\"warp_channels_send\",outcome=\"error\"} 1",
        "jacquard_tool_call_seconds_count{tool=\"warp_handle_get\"} 1",
        "jacquard_errors_total{kind=\"",
        "jacquard_nats_connected 1",
        "jacquard_http_requests_total{status=\"200\"}",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("nope"), "{text}");
    let evil = gate
        .request(Method::GET, "/metrics")
        .header("host", "evil.example");
    assert_eq!(evil.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn metrics_are_for_those_who_may_log_in() {
    let token = "ann-token-0123456789";
    let gate = Gate::start(&config(&format!(
        "auth: {{tokens: [{{name: ann, token: {token}}}]}}\n"
    )));
    assert_eq!(gate.get("/metrics").await.status(), 401);
    let login = gate.request(Method::GET, "/metrics").bearer_auth(token);
    assert_eq!(login.send().await.unwrap().status(), 200);
    assert_eq!(gate.get("/health").await.status(), 200);
}
