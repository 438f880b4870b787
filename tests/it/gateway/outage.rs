//! NATS comes late, goes, and comes back; streams vanish.

use std::time::{Duration, Instant};

use async_nats::jetstream;
use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::place::{self, Place};
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

/// "At once", on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(500);
/// How soon a call works again once the server listens.
const SOON: Duration = Duration::from_millis(1500);

fn note() -> Value {
    json!({"channel": "roadmap", "message": "note"})
}

/// Posts until it works, and says how long that took.
async fn until_it_works(agent: &Agent) -> Duration {
    let started = Instant::now();
    loop {
        let answer = agent.call("warp_channels_send", note()).await;
        if !answer.error {
            return started.elapsed();
        }
        assert!(started.elapsed() < SOON * 4, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn without_nats_a_session_opens_at_once_calls_fail_at_once_and_work_when_it_comes() {
    let mut server = NatsServer::stopped("");
    let port = server.reserve_port();
    let place = Place::on(&server);

    let started = Instant::now();
    let agent = Agent::at(&place).await;
    let took = started.elapsed();
    println!("initialize and tools/list without NATS: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(agent.tools.len(), place::tools_of("warp"));

    // What needs no NATS works.
    agent
        .ok("warp_handle_set", json!({"handle": "planner"}))
        .await;
    agent.ok("warp_channels_list", json!({})).await;
    for (tool, args) in [
        ("warp_channels_send", note()),
        ("warp_channels_read", json!({"channel": "roadmap"})),
        ("warp_channels_status", json!({})),
    ] {
        let started = Instant::now();
        let text = agent.refused(tool, args).await;
        assert!(
            started.elapsed() < AT_ONCE,
            "{tool}: {:?}",
            started.elapsed()
        );
        assert!(
            text.contains(&format!("127.0.0.1:{port}")),
            "it says where: {text}"
        );
    }
    server.restart();
    let took = until_it_works(&agent).await;
    println!("works after NATS came: {took:?}");
    assert!(took < SOON, "{took:?}");
}

#[tokio::test]
async fn after_a_kill_calls_fail_fast_work_again_soon_and_no_acknowledged_post_is_lost() {
    let mut server = NatsServer::start();
    let agent = Agent::named(&Place::on(&server), "planner").await;
    let mut stored = Vec::new();
    for round in 0..3 {
        for _ in 0..20 {
            let sent = agent.ok("warp_channels_send", note()).await;
            stored.push(sent.structured["seq"].as_u64().unwrap());
        }
        // One call is on its way when the server is killed.
        let flying = agent.call("warp_channels_send", note());
        let (answer, ()) = tokio::join!(flying, async { server.kill() });
        stored.extend(answer.structured["seq"].as_u64());
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..3 {
            let started = Instant::now();
            agent.refused("warp_channels_send", note()).await;
            let took = started.elapsed();
            assert!(took < AT_ONCE, "round {round}: {took:?}");
        }
        server.restart();
        let took = until_it_works(&agent).await;
        println!("works after a restart: {took:?}");
        assert!(took < SOON, "round {round}: {took:?}");
    }
    let args = json!({"channel": "roadmap", "limit": 1000});
    let page = agent.ok("warp_channels_read", args).await;
    let found = page.structured["messages"].as_array().unwrap();
    for seq in stored {
        assert!(
            found.iter().any(|m| m["seq"] == seq),
            "{seq} was acknowledged"
        );
    }
}

#[tokio::test]
async fn a_stream_that_vanishes_is_made_again_with_its_limits_by_the_next_post() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = Agent::named(&place, "planner").await;
    let plain = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let name = format!("{}_ROADMAP", place.namespace);
    for round in 0..3 {
        agent.ok("warp_channels_send", note()).await;
        crate::bus::vanish(&plain, &name).await;
        if round == 1 {
            let read = agent
                .ok("warp_channels_read", json!({"channel": "roadmap"}))
                .await;
            assert_eq!(read.structured["total"], 0);
            let status = agent.ok("warp_channels_status", json!({})).await;
            assert_eq!(status.structured["channels"][0]["messages"], 0);
        }
        let sent = agent.ok("warp_channels_send", note()).await;
        assert_eq!(sent.structured["seq"], 1, "round {round}");
        let stream = plain.get_stream(&name).await.unwrap();
        let config = &stream.cached_info().config;
        assert_eq!((config.max_messages, config.max_bytes), (500, 1_048_576));
        assert_eq!(config.max_age, Duration::from_secs(48 * 3600));
    }
}

#[test]
fn a_server_that_comes_back_empty_has_the_streams_again_before_anybody_calls() {
    let mut server = NatsServer::start();
    let place = Place::on(&server);
    let mut raw = Raw::start(place.command(&["serve"]));
    let exists = |raw: &mut Raw, id: &str| {
        raw.call(id, "warp_channels_status", json!({"channel": "roadmap"}));
        raw.answer(id)["result"]["structuredContent"]["channels"][0]["exists"] == true
    };
    crate::support::wait_for("the stream", || exists(&mut raw, "a"));
    server.kill();
    std::fs::remove_dir_all(server.dir().join("store")).unwrap();
    server.restart();
    crate::support::wait_for("the stream again", || exists(&mut raw, "b"));
    raw.close();
}
