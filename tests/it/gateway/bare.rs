//! Started with nothing said about NATS.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::{signal, wait_for};

/// A gateway would rightly use a server that listens there.
fn nobody_at_the_default_address() {
    assert!(
        TcpStream::connect("127.0.0.1:4222").is_err(),
        "something listens on 127.0.0.1:4222, where a gateway looks for NATS first: stop it for this test"
    );
}

fn status(place: &Place) -> Value {
    let done = place.run(&["nats", "status"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    serde_json::from_str(&done.stdout).unwrap()
}

#[tokio::test]
async fn a_bare_start_runs_a_local_server_that_gateways_share_and_that_ends_with_the_last() {
    nobody_at_the_default_address();
    let place = Place::without_nats();
    let command = place.command(&["serve"]);
    let started = Instant::now();
    let one = Agent::start(command).await;
    one.ok("warp_handle_set", json!({"handle": "one"})).await;
    one.ok(
        "warp_channels_send",
        json!({"channel": "roadmap", "message": "Hi"}),
    )
    .await;
    println!(
        "from a bare start to the first post: {:?}",
        started.elapsed()
    );
    let two = Agent::named(&place, "two").await;
    let read = two
        .ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    assert_eq!(read.structured["messages"][0]["handle"], "one");
    let before = status(&place);
    assert_eq!(before["running"], true);
    assert_eq!(before["supervised"], true);
    assert!(
        before["url"]
            .as_str()
            .unwrap()
            .starts_with("nats://127.0.0.1:")
    );

    signal("-KILL", one.pid);
    for n in 0..5 {
        let args = json!({"channel": "roadmap", "message": format!("still here {n}")});
        two.ok("warp_channels_send", args).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        status(&place)["pid"],
        before["pid"],
        "the same server lives on"
    );
    two.close().await;
    wait_for("the server to end", || status(&place)["running"] == false);
    wait_for("the supervisor to end", || {
        status(&place)["supervised"] == false
    });
}

#[tokio::test]
async fn a_local_server_that_is_killed_comes_back_with_its_messages() {
    nobody_at_the_default_address();
    let place = Place::without_nats();
    let agent = Agent::named(&place, "one").await;
    let note = json!({"channel": "roadmap", "message": "Hi"});
    agent.ok("warp_channels_send", note.clone()).await;
    signal("-KILL", status(&place)["pid"].as_u64().unwrap() as u32);
    let started = Instant::now();
    while agent.call("warp_channels_send", note.clone()).await.error {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{}",
            agent.stderr()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "works after the local server was killed: {:?}",
        started.elapsed()
    );
    let read = agent
        .ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    assert!(
        read.structured["total"].as_u64() >= Some(2),
        "{}",
        read.text
    );
    agent.close().await;
    wait_for("the server to end", || status(&place)["running"] == false);
}

#[tokio::test]
async fn without_a_local_server_a_call_says_at_once_that_there_is_no_nats() {
    nobody_at_the_default_address();
    let place = Place::without_nats();
    let config = place.write("no-local.yaml", "packs: [warp]\nnats: {local: false}\n");
    for args in [
        &["serve", "--no-local-nats"][..],
        &["--no-local-nats"],
        &["serve", "--config", config.to_str().unwrap()],
    ] {
        let agent = Agent::start(place.command(args)).await;
        let started = Instant::now();
        let text = agent
            .refused("warp_channels_read", json!({"channel": "roadmap"}))
            .await;
        assert!(started.elapsed() < Duration::from_millis(500), "{args:?}");
        assert!(text.contains("127.0.0.1:4222"), "{args:?}: {text}");
        assert!(!place.data_dir().exists(), "{args:?}: no folder is made");
        agent.close().await;
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_had_is_explained_on_standard_error() {
    nobody_at_the_default_address();
    let place = Place::without_nats();
    let mut command: Command = place.command(&["serve"]);
    command.env("NATS_SERVER", "/nowhere/nats-server");
    let agent = Agent::start(command).await;
    let started = Instant::now();
    let text = agent
        .refused("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let stderr = agent.stderr();
    assert!(stderr.contains("/nowhere/nats-server"), "{stderr}");
    println!("what the model reads: {text}");
}
