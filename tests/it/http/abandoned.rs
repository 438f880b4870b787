//! Sessions that clients open and never come back for.

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// How many are opened before memory is looked at, and then again.
const HALF: usize = 5_000;
const AT_ONCE: usize = 32;
const MIB: u64 = 1 << 20;

/// Opens so many sessions; gives the last.
async fn open(web: &Web, count: usize) -> String {
    let opened = stream::iter(0..count).map(|_| async {
        let response = web.initialize().await;
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"].to_str().unwrap();
        let id = id.to_owned();
        response.text().await.unwrap();
        id
    });
    let ids: Vec<String> = opened.buffer_unordered(AT_ONCE).collect().await;
    ids.last().unwrap().clone()
}

#[tokio::test]
async fn ten_thousand_of_them_do_not_grow_memory() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = "packs: [agents]\nhttp: {sessions: {max: 500, sweep: 1s}}\n";
    let served = Served::with(&place, config);
    let first = Web::begin(&served.url).await;
    let args = json!({"name": "ada", "description": "Was here first"});
    first.said("agent_register", args).await;

    let web = Web::new(&served.url);
    let start = served.memory();
    let middle = open(&web, HALF).await;
    let half = served.memory();
    let last = open(&web, HALF).await;
    let whole = served.memory();
    let all = [start, half, whole].map(|bytes| bytes / MIB);
    println!("MiB at the start, after {HALF} and {}: {all:?}", 2 * HALF);
    assert!(whole < half + half / 10 + 8 * MIB, "{all:?}");
    assert!(whole < start + 192 * MIB, "{all:?}");

    // All of them can still be used.
    let args = json!({"name": "ada", "channel": "plans", "message": "still here"});
    let said = first.said("channel_send", args).await;
    assert!(said.starts_with("Message logged to #plans"), "{said}");
    for id in [middle, last] {
        let mut web = web.clone();
        web.session = Some(id);
        let said = web.said("channel_list", json!({})).await;
        assert!(said.contains("#plans (1 messages)"), "{said}");
    }
    let health = served.url.replace("/mcp", "/health");
    let health: serde_json::Value = reqwest::get(health).await.unwrap().json().await.unwrap();
    let sessions = health["sessions"].as_u64().unwrap();
    assert!((1..=500).contains(&sessions), "{health}");
}
