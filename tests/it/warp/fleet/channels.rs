//! Eight writers and four readers of one channel: whoever pages back while others post sees each message once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::list;
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// A channel that drops nothing during the test.
const PROJECT: &str = r#"{
  "namespace": "NAMESPACE",
  "channels": [{"name": "busy", "description": "All at once", "maxMessages": 1000000, "maxBytes": 1073741824, "maxAge": "1h"}]
}"#;
const WALKS: usize = 4;

/// What was acknowledged, by sequence.
type Acknowledged = Mutex<BTreeMap<u64, String>>;

async fn write(agent: &Agent, who: usize, acknowledged: &Acknowledged, stop: &AtomicBool) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let text = format!("{who}-{number}");
        let args = json!({"channel": "busy", "message": text});
        let answer = agent.ok("warp_channels_send", args).await;
        let seq = answer.structured["seq"].as_u64().unwrap();
        let before = acknowledged.lock().unwrap().insert(seq, text);
        assert_eq!(before, None, "two messages with the sequence {seq}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// All pages from the newest to the start: sequences and texts, newest first.
async fn walk(agent: &Agent, limit: usize) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let mut args = json!({"channel": "busy", "limit": limit});
        if !cursor.is_null() {
            args["cursor"] = cursor;
        }
        let page = agent.ok("warp_channels_read", args).await;
        let messages = list(&page, "messages");
        seen.extend(messages.iter().rev().map(|message| {
            let text = super::super::text(&message["message"]);
            (message["seq"].as_u64().unwrap(), text)
        }));
        cursor = page.structured["nextCursor"].clone();
        if cursor.is_null() {
            return seen;
        }
        assert_eq!(messages.len(), limit, "a page in the middle is full");
    }
}

async fn read(agent: &Agent, acknowledged: &Acknowledged) -> usize {
    let mut most = 0;
    for round in 0..WALKS {
        let before = acknowledged.lock().unwrap().clone();
        let seen = walk(agent, [20, 7, 100, 50][round % 4]).await;
        let newest = seen.first().map_or(0, |(seq, _)| *seq);
        assert!(
            newest >= *before.last_key_value().unwrap().0,
            "the newest page begins with {newest}, and more was acknowledged before"
        );
        let expected: Vec<u64> = (1..=newest).rev().collect();
        let seqs: Vec<u64> = seen.iter().map(|(seq, _)| *seq).collect();
        assert!(
            seqs == expected,
            "repeated, skipped or out of order: {seqs:?}"
        );
        for (seq, text) in &seen {
            if let Some(acknowledged) = before.get(seq) {
                assert_eq!(text, acknowledged, "sequence {seq}");
            }
        }
        most = seen.len();
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_page_back_while_others_post_see_each_message_once() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.project(&PROJECT.replace("NAMESPACE", &place.namespace));
    let names: Vec<String> = (0..12).map(|number| format!("agent-{number}")).collect();
    let agents = join_all(names.iter().map(|name| Agent::named(&place, name))).await;
    let (writers, readers) = agents.split_at(8);
    let (acknowledged, stop) = (Acknowledged::default(), AtomicBool::new(false));
    let writing = writers
        .iter()
        .enumerate()
        .map(|(who, agent)| write(agent, who, &acknowledged, &stop));
    let reading = async {
        while acknowledged.lock().unwrap().len() < 200 {
            sleep(Duration::from_millis(20)).await;
        }
        let walks = join_all(readers.iter().map(|agent| read(agent, &acknowledged))).await;
        stop.store(true, Ordering::Relaxed);
        walks
    };
    let (_, walks) = tokio::join!(join_all(writing), reading);
    println!("messages of the last walks: {walks:?}");
    // At rest everything is there once, and nothing else.
    let seen = walk(&readers[0], 1000).await;
    let seen: BTreeMap<u64, String> = seen.into_iter().collect();
    assert_eq!(seen, *acknowledged.lock().unwrap());
}
