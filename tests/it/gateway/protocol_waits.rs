//! Calls that wait, and are cut off: by a cancellation, by the end of input, by a signal, by a client that is gone. What they
//! waited for is not lost, what comes after it is not done, and nobody is answered.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::{NatsServer, settled};
use crate::support::{LIMIT, signal, wait_for};

const CONFIG: &str = "packs: [./waits]\n";

/// A project with tools that wait, and what they publish.
struct Waits {
    place: Place,
    config: String,
    runtime: tokio::runtime::Runtime,
    begun: async_nats::Subscriber,
    done: async_nats::Subscriber,
    asked: async_nats::Subscriber,
}

impl Waits {
    fn on(server: &NatsServer) -> Self {
        let place = Place::on(server);
        place.write("waits/waits.yaml", include_str!("waits.yaml"));
        let config = place.write("jacquard.yaml", CONFIG);
        let config = config.to_string_lossy().into_owned();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let subject = |name: &str| format!("{}.{name}", place.namespace);
        let (begun, done, asked) = runtime.block_on(async {
            let client = async_nats::connect(server.url()).await.unwrap();
            let begun = client.subscribe(subject("waits.begun")).await.unwrap();
            let done = client.subscribe(subject("waits.done")).await.unwrap();
            let asked = client.subscribe(subject("ask.silent")).await.unwrap();
            settled(&client).await;
            (begun, done, asked)
        });
        Self {
            place,
            config,
            runtime,
            begun,
            done,
            asked,
        }
    }

    /// A client on stdio whose gateway is connected.
    fn raw(&mut self) -> Raw {
        let mut raw = Raw::start(self.place.command(&["serve", "-c", &self.config]));
        wait_for("the connection", || {
            !raw.tool("ready", "add", json!({"id": "first"})).1
        });
        let (text, error) = raw.tool("first", "claim", json!({}));
        assert!(!error, "{text}");
        self.begins();
        raw
    }

    /// A call has begun.
    fn begins(&mut self) -> String {
        hear(&self.runtime, &mut self.begun)
    }

    /// The next call that went on after its wait.
    fn went_on(&mut self) -> String {
        hear(&self.runtime, &mut self.done)
    }
}

fn hear(runtime: &tokio::runtime::Runtime, from: &mut async_nats::Subscriber) -> String {
    let next = async { tokio::time::timeout(LIMIT, from.next()).await };
    let message = runtime.block_on(next).expect("a message in time").unwrap();
    String::from_utf8(message.payload.to_vec()).unwrap()
}

fn cancel(raw: &mut Raw, id: Value) {
    let params = json!({"requestId": id, "reason": "enough"});
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    raw.line(&cancelled.to_string());
}

fn structured(raw: &mut Raw, id: &str, tool: &str) -> Value {
    raw.call(id, tool, json!({}));
    raw.answer(id)["result"]["structuredContent"].take()
}

#[test]
fn a_cancelled_sleep_or_request_does_not_go_on() {
    let server = NatsServer::start();
    let mut waits = Waits::on(&server);
    let mut raw = waits.raw();
    raw.call(1, "nap", json!({"name": "cancelled", "seconds": 1}));
    assert_eq!(waits.begins(), "cancelled");
    cancel(&mut raw, json!(1));
    raw.call("asked", "ask", json!({"name": "cancelled"}));
    hear(&waits.runtime, &mut waits.asked);
    cancel(&mut raw, json!("asked"));
    // Longer than the sleep that was cancelled.
    let (text, error) = raw.tool("after", "nap", json!({"name": "after", "seconds": 1.5}));
    assert!(!error && text == "after", "{text}");
    assert_eq!(waits.went_on(), "after");
    for id in [json!(1), json!("asked")] {
        assert_eq!(raw.answer_within(&id, Duration::ZERO), None);
    }
    raw.close();
}

#[test]
fn a_cancelled_claim_leaves_the_work_to_others() {
    let server = NatsServer::start();
    let mut waits = Waits::on(&server);
    let mut raw = waits.raw();
    raw.call(1, "claim", json!({"wait": "25s"}));
    waits.begins();
    cancel(&mut raw, json!(1));
    raw.tool("add", "add", json!({"id": "work"}));
    let claimed = structured(&mut raw, "again", "claim");
    assert_eq!(claimed, json!({"found": true, "id": "work", "attempt": 1}));
    assert_eq!(raw.answer_within(&json!(1), Duration::ZERO), None);
    raw.close();
}

#[test]
fn a_cancelled_take_leaves_the_messages_to_others() {
    let server = NatsServer::start();
    let mut waits = Waits::on(&server);
    let mut raw = waits.raw();
    raw.call(1, "news", json!({"wait": "25s"}));
    waits.begins();
    cancel(&mut raw, json!(1));
    raw.tool("tell", "tell", json!({"text": "new"}));
    let taken = structured(&mut raw, "again", "news");
    assert_eq!(taken, json!({"news": ["new"]}));
    assert_eq!(raw.answer_within(&json!(1), Duration::ZERO), None);
    raw.close();
}

#[test]
fn a_gateway_that_ends_in_a_wait_leaves_everything_to_others() {
    let server = NatsServer::start();
    let mut waits = Waits::on(&server);
    let ends: [fn(&mut Raw); 2] = [Raw::hang_up, |raw| signal("-TERM", raw.pid())];
    for (round, end) in ends.into_iter().enumerate() {
        let mut raw = waits.raw();
        raw.call(1, "claim", json!({"wait": "25s"}));
        raw.call(2, "news", json!({"wait": "25s"}));
        raw.call(3, "nap", json!({"name": "cut off", "seconds": 3}));
        (0..3).for_each(|_| drop(waits.begins()));
        end(&mut raw);
        let (status, took) = raw.wait();
        assert!(
            status.success() && took < Duration::from_secs(3),
            "{round}: {took:?}"
        );
        for id in 1..=3 {
            // Who still reads is told that nothing came of it.
            let answer = raw.answer_within(&json!(id), Duration::ZERO);
            let answer = answer.unwrap_or_default();
            assert_eq!(answer.get("result"), None, "{round}: {answer}");
        }
        let mut other = Raw::start(waits.place.command(&["serve", "-c", &waits.config]));
        let work = format!("work {round}");
        wait_for("the connection", || {
            !other.tool("add", "add", json!({"id": work})).1
        });
        other.tool("tell", "tell", json!({"text": work}));
        let claimed = structured(&mut other, "claim", "claim");
        assert_eq!(claimed, json!({"found": true, "id": work, "attempt": 1}));
        assert_eq!(
            structured(&mut other, "news", "news"),
            json!({"news": [work]})
        );
        (0..2).for_each(|_| drop(waits.begins()));
        other.tool("nap", "nap", json!({"name": work, "seconds": 3.5}));
        assert_eq!(waits.begins(), work);
        assert_eq!(waits.went_on(), work);
        other.close();
    }
}

#[test]
fn cancelling_what_is_not_running_harms_nothing() {
    let server = NatsServer::start();
    let mut waits = Waits::on(&server);
    let mut raw = waits.raw();
    raw.request(7, "ping", json!({}));
    raw.answer(7);
    for id in [json!(7), json!("7"), json!(99), Value::Null, json!({})] {
        cancel(&mut raw, id);
    }
    raw.line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
    // An id is a number or a text: the one is not the other.
    raw.call(8, "nap", json!({"name": "kept", "seconds": 0.3}));
    waits.begins();
    cancel(&mut raw, json!("8"));
    assert_eq!(raw.answer(8)["result"]["content"][0]["text"], "kept");
    // Late: the answer is there already, and the session goes on.
    cancel(&mut raw, json!(8));
    raw.request(9, "ping", json!({}));
    assert_eq!(raw.answer(9)["result"], json!({}));
    raw.close();
}

#[test]
fn progress_has_the_token_of_its_call_grows_and_ends_with_the_answer() {
    let server = NatsServer::start();
    let mut waits = Waits::on(&server);
    let mut raw = waits.raw();
    for (id, token) in [
        (1, json!("a")),
        (2, json!(5)),
        (3, json!("5")),
        (4, json!(0)),
        (5, json!("")),
    ] {
        let meta = json!({"progressToken": token});
        let params = json!({"name": "count", "arguments": {}, "_meta": meta});
        raw.request(id, "tools/call", params);
        let mut last = 0.0;
        for _ in 0..3 {
            let told = raw.notification("notifications/progress");
            assert_eq!(told["progressToken"], token, "{told}");
            let now = told["progress"].as_f64().unwrap();
            assert!(now > last, "{told}");
            last = now;
        }
        raw.answer(id);
        assert_eq!(raw.told("notifications/progress"), 0);
    }
    // Who does not ask, or wrongly, is told nothing, and is answered.
    for (id, meta) in [
        (11, json!({})),
        (12, json!({"progressToken": null})),
        (13, json!({"progressToken": {}})),
    ] {
        let params = json!({"name": "count", "arguments": {}, "_meta": meta});
        raw.request(id, "tools/call", params);
        let answer = raw.answer(id);
        assert_eq!(answer["result"]["content"][0]["text"], "counted", "{meta}");
        assert_eq!(raw.told("notifications/progress"), 0, "{meta}");
    }
    raw.close();
}

/// A call of the version that has no sessions.
fn call(web: &Web, tool: &str, args: Value) -> reqwest::RequestBuilder {
    let version = "2026-07-28";
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": tool, "arguments": args, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    web.request(Method::POST)
        .header("mcp-protocol-version", version)
        .header("mcp-method", "tools/call")
        .header("mcp-name", tool)
        .json(&body)
}

#[test]
fn a_client_over_http_that_is_gone_or_cancels_ends_its_call() {
    let server = NatsServer::start();
    let mut waits = Waits::on(&server);
    let gateway = Served::start(&waits.place, &["-c", &waits.config]);
    let web = Web::new(&gateway.url);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let add = |id: &str| {
        let sent = call(&web, "add", json!({"id": id})).send();
        let answer = runtime.block_on(sent).unwrap();
        let answer: Value = runtime.block_on(answer.json()).unwrap();
        answer["result"]["isError"] == false
    };
    wait_for("the connection", || add("first"));

    // Without a session, a connection that ends is a cancellation.
    for (tool, args) in [
        ("nap", json!({"name": "gone", "seconds": 1})),
        ("claim", json!({"wait": "25s"})),
    ] {
        if tool == "claim" {
            let taken = runtime.block_on(call(&web, "claim", json!({})).send());
            taken.unwrap();
            waits.begins();
        }
        let gone = runtime.spawn(call(&web, tool, args).send());
        waits.begins();
        gone.abort();
        let _ = runtime.block_on(gone);
    }
    // In a session, a message is.
    let session = runtime.block_on(Web::begin(&gateway.url));
    let slow = json!({
        "jsonrpc": "2.0", "id": 5, "method": "tools/call",
        "params": {"name": "nap", "arguments": {"name": "cancelled", "seconds": 1}},
    });
    let asking = session.clone();
    let slow = runtime.spawn(async move { asking.post(&slow).await.text().await });
    assert_eq!(waits.begins(), "cancelled");
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    assert_eq!(runtime.block_on(session.post(&cancelled)).status(), 202);
    let text = runtime.block_on(slow).unwrap().unwrap();
    assert!(!text.contains("result"), "{text}");

    assert!(add("work"));
    let (_, claimed) = runtime.block_on(session.call("claim", json!({})));
    let claimed = &claimed["result"]["structuredContent"];
    assert_eq!(*claimed, json!({"found": true, "id": "work", "attempt": 1}));
    waits.begins();
    let after = json!({"name": "after", "seconds": 1.5});
    assert_eq!(runtime.block_on(session.said("nap", after)), "after");
    assert_eq!(waits.went_on(), "after");
}
