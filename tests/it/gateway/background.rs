//! What a session does by itself: timers, listeners, and the steps at its end.

use std::time::Duration;

use async_nats::jetstream::{self, kv};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::presence;
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::{NatsServer, settled};
use crate::support::{LIMIT, signal};

/// How soon a gateway must be gone.
const END: Duration = Duration::from_secs(2);

/// A place with the pack `presence`, and the bucket it writes as another program sees it.
struct Watched {
    place: Place,
    config: String,
    plain: async_nats::Client,
}

impl Watched {
    async fn on(server: &NatsServer) -> Self {
        let place = Place::on(server);
        Self {
            config: presence(&place, &["./presence"]),
            plain: async_nats::connect(server.url()).await.unwrap(),
            place,
        }
    }

    fn serve(&self) -> std::process::Command {
        self.place.command(&["serve", "-c", &self.config])
    }

    async fn entry(&self, name: &str) -> Option<kv::Entry> {
        let bucket = format!("{}_present", self.place.namespace);
        let context = jetstream::new(self.plain.clone());
        let bucket = context.get_key_value(bucket).await.unwrap();
        bucket.entry(name).await.unwrap()
    }

    async fn value(&self, name: &str) -> Value {
        let entry = self.entry(name).await.unwrap();
        assert_eq!(entry.operation, kv::Operation::Put);
        serde_json::from_slice(&entry.value).unwrap()
    }

    /// It was written and then removed.
    async fn said_goodbye(&self, name: &str) -> bool {
        let entry = self.entry(name).await.unwrap();
        entry.operation == kv::Operation::Delete
    }
}

#[tokio::test]
async fn a_timer_beats_once_its_condition_holds_and_a_broken_one_is_logged_once() {
    let server = NatsServer::start();
    let watched = Watched::on(&server).await;
    let agent = Agent::start(watched.serve()).await;
    agent.ok("presence_join", json!({"name": "ada"})).await;
    let started = std::time::Instant::now();
    loop {
        let value = watched.value("ada").await;
        if value["beats"].as_u64() >= Some(3) {
            assert_eq!(value["join"], "presence_join");
            break;
        }
        assert!(started.elapsed() < LIMIT, "{value}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(2000), "{took:?}");
    let log = agent.stderr();
    assert_eq!(log.matches("This one never works.").count(), 1, "{log}");
    agent.close().await;
}

#[tokio::test]
async fn a_listener_answers_a_plain_request_in_order_and_is_gone_with_its_session() {
    let server = NatsServer::start();
    let watched = Watched::on(&server).await;
    let agent = Agent::start(watched.serve()).await;
    // The very first call finds the session listening.
    let answer = agent.ok("presence_ping", json!({})).await;
    assert_eq!(answer.text, "?nobody");
    agent.ok("presence_join", json!({"name": "ada"})).await;
    let session = watched.value("ada").await["session"].clone();
    let session = session.as_str().unwrap();
    let subject = format!("{}.present.{session}", watched.place.namespace);
    let ask = |text: &str| {
        let payload = text.to_owned().into();
        watched.plain.request(subject.clone(), payload)
    };
    for n in 0..20 {
        let answer = ask(&json!({ "question": n }).to_string()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer, json!({"asked": n, "name": "ada"}));
    }
    // Steps that fail send no answer, and the next message is handled.
    let failed = tokio::time::timeout(Duration::from_millis(300), ask("fail")).await;
    assert!(failed.is_err());
    ask(r#"{"question": 1}"#).await.unwrap();
    agent.close().await;
    let gone = ask("{}").await.unwrap_err();
    assert_eq!(gone.kind(), async_nats::RequestErrorKind::NoResponders);
}

#[tokio::test]
async fn a_listener_outlives_the_loss_of_the_server() {
    let mut server = NatsServer::start();
    let watched = Watched::on(&server).await;
    let agent = Agent::start(watched.serve()).await;
    agent.ok("presence_ping", json!({})).await;
    server.kill();
    agent.refused("presence_ping", json!({})).await;
    server.restart();
    let started = std::time::Instant::now();
    while agent.call("presence_ping", json!({})).await.error {
        assert!(started.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_session_closes_in_order_at_the_end_of_input_at_a_signal_and_after_a_single_call() {
    let server = NatsServer::start();
    let watched = Watched::on(&server).await;
    for (name, signalled) in [("ada", None), ("bob", Some("-TERM")), ("cyn", Some("-INT"))] {
        let mut raw = Raw::start(watched.serve());
        let (text, error) = raw.tool("join", "presence_join", json!({ "name": name }));
        assert!(!error, "{text}");
        assert!(!watched.said_goodbye(name).await);
        match signalled {
            None => raw.hang_up(),
            Some(signalled) => signal(signalled, raw.pid()),
        }
        let (status, took) = raw.wait();
        assert!(status.success() && took < END, "{name}: {status} {took:?}");
        assert!(watched.said_goodbye(name).await, "{name}: {}", raw.stderr());
    }
    let called = ["call", "-c", &watched.config, "presence_join", "name=dan"];
    let done = watched.place.run(&called);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(watched.said_goodbye("dan").await, "{done:?}");
    let done = watched
        .place
        .run(&["call", "-c", &watched.config, "presence_ping"]);
    assert_eq!(done.stdout, "?nobody\n", "{done:?}");
}

#[tokio::test]
async fn an_interrupted_single_call_closes_its_session_too() {
    let server = NatsServer::start();
    let watched = Watched::on(&server).await;
    let subject = format!("{}.silent", watched.place.namespace);
    let mut silent = watched.plain.subscribe(subject).await.unwrap();
    settled(&watched.plain).await;
    let args = ["call", "-c", &watched.config, "presence_wait"];
    let mut raw = Raw::spawn(watched.place.command(&args));
    silent.next().await.unwrap();
    signal("-INT", raw.pid());
    let (status, took) = raw.wait();
    assert!(!status.success() && took < END, "{status} {took:?}");
    assert!(raw.stderr().contains("cancelled"), "{}", raw.stderr());
    assert!(watched.said_goodbye("ann").await, "{}", raw.stderr());
}

#[tokio::test]
async fn closing_steps_do_not_hold_the_end_when_nats_hangs_or_is_gone() {
    for hang in [true, false] {
        let mut server = NatsServer::start();
        let watched = Watched::on(&server).await;
        let mut raw = Raw::start(watched.serve());
        raw.tool("join", "presence_join", json!({"name": "ada"}));
        match hang {
            true => signal("-STOP", server.pid()),
            false => server.kill(),
        }
        signal("-TERM", raw.pid());
        let (status, took) = raw.wait();
        println!("the end of a session, hanging server {hang}: {took:?}");
        assert!(status.success() && took < END, "{hang}: {status} {took:?}");
    }
}
