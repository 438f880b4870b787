//! The edges of the protocol, with raw lines. [`Raw`] checks every line of standard output in all of these.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::own_pack;
use crate::support::place::{self, Place};
use crate::support::raw::Raw;
use crate::support::server::{NatsServer, settled};
use crate::support::{memory, signal};

/// How soon a gateway must be gone.
const END: Duration = Duration::from_secs(2);

fn raw(place: &Place) -> Raw {
    let mut command = place.command(&["serve"]);
    command.env("LOG_LEVEL", "debug");
    Raw::start(command)
}

/// A gateway with a tool that can wait, and somebody who is asked and does not answer.
fn waiting(server: &NatsServer) -> (Place, Raw, Silent) {
    let place = Place::on(server);
    let config = own_pack(&place);
    let silent = Silent::listen(server, &format!("{}.ask.silent", place.namespace));
    let mut raw = Raw::start(place.command(&["serve", "-c", config.to_str().unwrap()]));
    // Connected, so that a call is not merely refused.
    crate::support::wait_for("the connection", || {
        let args = json!({"key": "k"});
        !raw.tool("ready", "mine_recall", args).1
    });
    (place, raw, silent)
}

/// Hears requests and never answers.
struct Silent {
    runtime: tokio::runtime::Runtime,
    heard: async_nats::Subscriber,
}

impl Silent {
    fn listen(server: &NatsServer, subject: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let heard = runtime.block_on(async {
            let client = async_nats::connect(server.url()).await.unwrap();
            let heard = client.subscribe(subject.to_owned()).await.unwrap();
            settled(&client).await;
            heard
        });
        Self { runtime, heard }
    }

    /// Waits for a request.
    fn hear(&mut self) {
        let next = async { tokio::time::timeout(crate::support::LIMIT, self.heard.next()).await };
        self.runtime.block_on(next).unwrap().unwrap();
    }
}

fn ask(raw: &mut Raw, silent: &mut Silent, id: &str) {
    raw.call(id, "mine_ask", json!({"who": "silent", "question": "?"}));
    silent.hear();
}

#[test]
fn an_unknown_tool_or_method_is_a_protocol_error_and_missing_arguments_are_none() {
    let server = NatsServer::start();
    let mut raw = raw(&Place::on(&server));
    raw.call(1, "warp_chanels_send", json!({}));
    let answer = raw.answer(1);
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("did you mean `warp_channels_send`?"),
        "{message}"
    );

    raw.request(2, "tools/destroy", json!({}));
    assert_eq!(raw.answer(2)["error"]["code"], -32601);
    raw.request(3, "resources/list", json!({}));
    let answer = raw.answer(3);
    assert_eq!(answer["result"]["resources"][0]["uri"], "warp://channels");

    raw.request(4, "tools/call", json!({"name": "warp_channels_list"}));
    assert!(raw.answer(4)["result"]["structuredContent"]["channels"].is_array());
    raw.request(5, "tools/call", json!({"name": "warp_channels_send"}));
    let answer = raw.answer(5);
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    raw.request(6, "ping", json!({}));
    assert_eq!(raw.answer(6)["result"], json!({}));
    raw.close();
}

#[test]
fn every_known_protocol_version_is_spoken_and_an_unknown_one_is_answered_with_a_known_one() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    for (asked, spoken) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let mut raw = Raw::spawn(place.command(&["serve"]));
        let client = json!({"name": "raw", "version": "1"});
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": client});
        raw.request(1, "initialize", params);
        assert_eq!(raw.answer(1)["result"]["protocolVersion"], spoken);
        raw.close();
    }
}

#[test]
fn lines_that_are_no_json_rpc_are_passed_over_and_the_session_goes_on() {
    let server = NatsServer::start();
    let mut raw = raw(&Place::on(&server));
    for (round, bad) in [
        "{",
        "not json",
        "",
        "[]",
        "null",
        "42",
        r#"{"jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"1.0","id":7,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/nonsense","params":5}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"unknown"}}"#,
    ]
    .iter()
    .enumerate()
    {
        raw.line(bad);
        let id = format!("good {round}");
        raw.request(id.as_str(), "tools/list", json!({}));
        let tools = raw.answer(id.as_str())["result"]["tools"].clone();
        let listed = tools.as_array().map(Vec::len);
        assert_eq!(listed, Some(place::tools_of("warp")), "after {bad:?}");
    }
    raw.close();
}

#[test]
fn bytes_that_are_no_text_are_passed_over() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut raw = raw(&place);
    raw.bytes(b"\xff\xfe\x00{\"jsonrpc\n");
    raw.request(1, "ping", json!({}));
    assert_eq!(raw.answer(1)["result"], json!({}));
    raw.close();
}

#[test]
fn a_line_of_twenty_megabytes_neither_ends_nor_bloats_the_gateway() {
    let server = NatsServer::start();
    let mut raw = raw(&Place::on(&server));
    let line = "x".repeat(20_000_000);
    for round in 0..4 {
        raw.call(round, "warp_handle_set", json!({ "handle": line }));
        let refused = raw.refusal();
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("longer than 16777216 bytes"), "{message}");
        let id = format!("after {round}");
        let (text, error) = raw.tool(&id, "warp_handle_get", json!({}));
        assert!(!error && text.starts_with("No handle set"), "{text}");
    }
    if let Some(bytes) = memory(raw.pid()) {
        println!("memory after four lines of 20 MB: {bytes} bytes");
        assert!(bytes < 150_000_000, "{bytes}");
    }
    // Just under the limit of a line: an argument that does not fit is answered without being repeated in full.
    let (text, error) = raw.tool(
        "big",
        "warp_handle_set",
        json!({"handle": &line[..8_000_000]}),
    );
    assert!(error && text.len() < 10_000, "{} bytes", text.len());
    raw.close();
}

#[test]
fn a_message_larger_than_nats_takes_is_refused_and_the_next_one_works() {
    let server = NatsServer::start();
    let mut raw = raw(&Place::on(&server));
    raw.tool("handle", "warp_handle_set", json!({"handle": "planner"}));
    let mut send = |size: usize| {
        let args = json!({"channel": "roadmap", "message": "x".repeat(size)});
        raw.tool(&format!("send {size}"), "warp_channels_send", args)
    };
    crate::support::wait_for("the connection", || !send(1).1);
    for (size, fits) in [(900_000, true), (1_100_000, false), (5_000_000, false)] {
        let (text, error) = send(size);
        assert_eq!(error, !fits, "{size}: {text}");
        assert!(fits || text.contains("bytes"), "{size}: {text}");
        assert!(!send(1).1, "after {size}");
    }
    raw.close();
}

#[test]
fn a_cancelled_call_has_no_answer_and_the_gateway_goes_on() {
    let server = NatsServer::start();
    let (_place, mut raw, mut silent) = waiting(&server);
    ask(&mut raw, &mut silent, "slow");
    raw.line(
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"slow","reason":"enough"}}"#,
    );
    let answer = raw.answer_within(&json!("slow"), Duration::from_millis(400));
    assert_eq!(answer, None);
    assert!(!raw.tool("next", "warp_handle_get", json!({})).1);
    // Nothing of it is left to wait for at the end.
    raw.hang_up();
    let (status, took) = raw.wait();
    assert!(
        status.success() && took < Duration::from_secs(1),
        "{took:?}"
    );
}

#[test]
fn calls_do_not_wait_for_each_other() {
    let server = NatsServer::start();
    let (_place, mut raw, mut silent) = waiting(&server);
    ask(&mut raw, &mut silent, "slow");
    let started = Instant::now();
    for n in 0..50 {
        raw.call(n, "mine_note", json!({"key": format!("k{n}"), "note": n}));
    }
    for n in (0..50).rev() {
        assert!(raw.answer(n)["result"]["structuredContent"]["revision"].is_u64());
    }
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(raw.answer_within(&json!("slow"), Duration::ZERO), None);
}

#[test]
fn a_closed_standard_input_ends_the_gateway_with_success_within_two_seconds() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut idle = raw(&place);
    idle.hang_up();
    let (status, took) = idle.wait();
    assert!(status.success() && took < END, "idle: {status} {took:?}");

    let mut silent_client = Raw::spawn(place.command(&["serve"]));
    silent_client.hang_up();
    let (status, took) = silent_client.wait();
    assert!(
        status.success() && took < END,
        "nothing said: {status} {took:?}"
    );

    let (_place, mut busy, mut silent) = waiting(&server);
    ask(&mut busy, &mut silent, "slow");
    busy.hang_up();
    let (status, took) = busy.wait();
    assert!(
        status.success() && took < END,
        "in a call: {status} {took:?}"
    );
}

#[test]
fn calls_sent_just_before_the_end_of_input_are_answered() {
    let server = NatsServer::start();
    let (_place, mut raw, _silent) = waiting(&server);
    for n in 0..10 {
        raw.call(n, "mine_note", json!({"key": format!("k{n}"), "note": n}));
    }
    raw.hang_up();
    let (status, _) = raw.wait();
    assert!(status.success());
    for n in 0..10 {
        let answer = raw.answer(n);
        assert_eq!(
            answer["result"].get("isError"),
            Some(&Value::from(false)),
            "{answer}"
        );
    }
}

#[test]
fn sigterm_ends_the_gateway_within_two_seconds() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut idle = raw(&place);
    signal("-TERM", idle.pid());
    let (status, took) = idle.wait();
    assert!(status.success() && took < END, "idle: {status} {took:?}");

    let (_place, mut busy, mut silent) = waiting(&server);
    ask(&mut busy, &mut silent, "slow");
    signal("-TERM", busy.pid());
    let (status, took) = busy.wait();
    assert!(
        status.success() && took < END,
        "in a call: {status} {took:?}"
    );

    let mut stopped = NatsServer::stopped("");
    stopped.reserve_port();
    let mut alone = raw(&Place::on(&stopped));
    signal("-INT", alone.pid());
    let (status, took) = alone.wait();
    assert!(
        status.success() && took < END,
        "without NATS: {status} {took:?}"
    );
}
