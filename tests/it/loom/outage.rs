//! What calls of a gateway share: NATS that goes and comes back, subscriptions, and a second gateway.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::desk::Desk;
use crate::bus::{monitored, subscriptions};
use crate::support::LIMIT;
use crate::support::http::{Served, Web};
use crate::support::server::NatsServer;
use crate::support::wait_for;

/// Whether `/ready` says so, and what it says.
async fn ready(served: &Served) -> (u16, Value) {
    let answer = reqwest::get(format!("http://{}/ready", served.address())).await;
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn until_ready(served: &Served, wanted: u16) -> Value {
    let begun = Instant::now();
    loop {
        let (status, body) = ready(served).await;
        if status == wanted {
            return body;
        }
        assert!(begun.elapsed() < LIMIT, "{status} {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Neither the call nor the gateway of the original survives this.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_nats_is_survived() {
    let mut server = NatsServer::start();
    let desk = Desk::new(&server);
    let plain = desk.mesh(&server).await;
    let served = desk.served();
    let web = Web::begin(&served.url).await;
    let answer = web.said("plain", json!({"text": "before"})).await;
    assert!(answer.contains("before"), "{answer}");
    until_ready(&served, 200).await;
    let begun = Instant::now();
    let open = tokio::spawn({
        let web = web.clone();
        async move {
            web.call("plain", json!({"text": "a", "do": ["nothing"]}))
                .await
        }
    });
    wait_for("the task", || plain.tasks().len() == 2);
    server.kill();
    // It cannot be known what becomes of the task: said soon, not after its 20 seconds.
    let (_, answer) = open.await.unwrap();
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{answer}");
    let body = until_ready(&served, 503).await;
    assert_eq!(body["ready"], false, "{body}");
    let (_, answer) = web.call("plain", json!({"text": "meanwhile"})).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    server.restart();
    until_ready(&served, 200).await;
    let begun = Instant::now();
    loop {
        let (_, answer) = web.call("plain", json!({"text": "after"})).await;
        if answer["result"]["isError"] != true {
            assert_eq!(answer["result"]["structuredContent"]["text"], "after");
            break;
        }
        // The worker is not back yet.
        assert!(begun.elapsed() < LIMIT, "{answer}");
    }
}

/// The original has a subscription for each call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_share_the_subscriptions_of_the_gateway() {
    let (server, port) = monitored();
    let desk = Desk::new(&server);
    let plain = desk.mesh(&server).await;
    let agent = desk.agent().await;
    agent.ok("plain", json!({"text": "a"})).await;
    agent.ok("steps", json!({"text": "a"})).await;
    let before = subscriptions(port).await;
    let calls = (0..100).map(|n| {
        let tool = ["plain", "steps"][n % 2];
        agent.ok(
            tool,
            json!({"text": "a", "do": ["wait", "echo"], "ms": 500}),
        )
    });
    let looking = async {
        while plain.tasks().len() < 51 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(subscriptions(port).await, before);
    };
    tokio::join!(join_all(calls), looking);
    wait_for("all of them", || plain.done() == 102);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_one_nats_have_each_their_own_results() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let plain = desk.mesh(&server).await;
    let agents = [desk.agent().await, desk.agent().await];
    let calls = (0..200).map(|n| {
        let agent = &agents[n % 2];
        async move {
            // The first come back last.
            let args = json!({"text": n.to_string(), "do": ["wait", "echo"], "ms": 200 - n});
            let answer = agent.ok("plain", args).await;
            assert_eq!(answer.structured["text"], n.to_string());
        }
    });
    join_all(calls).await;
    let goals = agents.iter().enumerate().map(|(n, agent)| async move {
        let answer = agent.ok("steps", json!({"text": n.to_string()})).await;
        assert_eq!(answer.structured["text"], n.to_string());
    });
    join_all(goals).await;
    assert_eq!(plain.done(), 202);
}
