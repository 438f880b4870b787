//! Messages at the edges of JSON-RPC, and sessions that begin in odd ways, with raw lines.

use serde_json::{Value, json};

use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

const INVALID: i64 = -32600;
const METHOD: i64 = -32601;
const PARAMS: i64 = -32602;
const VERSION: i64 = -32022;

/// A gateway that knows no NATS: nothing here needs it.
fn gone() -> (NatsServer, Place) {
    let mut server = NatsServer::stopped("");
    let place = Place::at(&format!("nats://127.0.0.1:{}", server.reserve_port()));
    (server, place)
}

/// A request of the version that has no `initialize`.
fn alone(id: impl Into<Value>, method: &str, version: &str) -> String {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"_meta": meta});
    json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params}).to_string()
}

const NEW: &str = "2026-07-28";

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or(0)
}

/// The session goes on.
fn lives(raw: &mut Raw) {
    raw.request("lives", "ping", json!({}));
    assert_eq!(raw.answer("lives")["result"], json!({}));
}

#[test]
fn every_id_that_can_be_is_answered_and_others_are_refused() {
    let (_server, place) = gone();
    let mut raw = Raw::start(place.command(&["serve"]));
    let long = format!("\"{}\"", "x".repeat(100_000));
    for id in [
        "0",
        "-1",
        "9007199254740993",
        "-9223372036854775808",
        "\"\"",
        "\"1\"",
        &long,
    ] {
        raw.line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        let id: Value = serde_json::from_str(id).unwrap();
        assert_eq!(raw.answer(id)["result"], json!({}));
    }
    for id in [
        "null",
        "1.5",
        "true",
        "[1]",
        "{}",
        "9223372036854775808",
        "1e300",
    ] {
        raw.line(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        let refused = raw.refusal();
        assert_eq!(refused["code"], INVALID, "{id}");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("`id`"), "{id}: {message}");
    }
    lives(&mut raw);
    raw.close();
}

#[test]
fn a_message_that_cannot_be_read_is_refused_with_its_id() {
    let (_server, place) = gone();
    let mut raw = Raw::start(place.command(&["serve"]));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let deep = format!(r#"{{"name":"warp_handle_get","arguments":{{"a":{deep}}}}}"#);
    for (id, rest, wanted) in [
        (1, r#""method":5"#, INVALID),
        (2, r#""method":"tools/list","params":5"#, INVALID),
        (3, r#""method":"tools/list","params":[]"#, INVALID),
        (4, r#""method":"ping","params":{"_meta":5}"#, INVALID),
        (5, r#""method":"tools/call""#, PARAMS),
        (6, r#""method":"tools/call","params":{"name":5}"#, PARAMS),
        (
            7,
            r#""method":"tools/call","params":{"name":"warp_handle_get","arguments":[]}"#,
            PARAMS,
        ),
        (8, r#""method":"prompts/get","params":{}"#, PARAMS),
        (
            9,
            r#""method":"resources/read","params":{"uri":{}}"#,
            PARAMS,
        ),
        (10, r#""method":"notifications/initialized""#, METHOD),
        (11, r#""method":"nope""#, METHOD),
        (12, r#""method":"""#, METHOD),
        (14, r#""nothing":1"#, INVALID),
        (15, r#""method":"ping","params":null"#, 0),
        (16, &format!(r#""method":"tools/call","params":{deep}"#), 0),
    ] {
        raw.line(&format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#));
        let answer = raw.answer(id);
        assert_eq!(code(&answer), wanted, "{rest}: {answer}");
    }
    for line in [
        r#"{"id":20,"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","id":20,"method":"ping"}"#,
        r#"{"jsonrpc":2.0,"id":20,"method":"ping"}"#,
    ] {
        raw.line(line);
        let answer = raw.answer(20);
        assert_eq!(code(&answer), INVALID, "{line}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("`jsonrpc`"), "{message}");
    }
    for line in ["[]", r#"[{"jsonrpc":"2.0","id":21,"method":"ping"}]"#] {
        raw.line(line);
        let refused = raw.refusal();
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("batches"), "{line}: {message}");
    }
    lives(&mut raw);
    raw.close();
}

#[test]
fn notifications_and_answers_are_never_answered() {
    let (_server, place) = gone();
    let mut raw = Raw::start(place.command(&["serve"]));
    for line in [
        r#"{"jsonrpc":"2.0","method":"ping"}"#,
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"warp_handle_get"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/nope","params":{"a":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/nope","params":7}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":5}"#,
        r#"{"id":1,"result":{}}"#,
    ] {
        raw.line(line);
    }
    lives(&mut raw);
    assert_eq!(raw.waiting(), Vec::<Value>::new());
    raw.close();
}

#[test]
fn an_id_can_be_used_again_only_after_its_answer() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("waits/waits.yaml", include_str!("waits.yaml"));
    let config = place.write("jacquard.yaml", "packs: [./waits]\n");
    let mut raw = Raw::start(place.command(&["serve", "-c", config.to_str().unwrap()]));
    crate::support::wait_for("the connection", || {
        !raw.tool("ready", "tell", json!({"text": "x"})).1
    });
    raw.call(1, "nap", json!({"name": "first", "seconds": 0.5}));
    raw.call(1, "nap", json!({"name": "second", "seconds": 0}));
    let refused = raw.refusal();
    assert_eq!(refused["code"], INVALID);
    let answer = raw.answer(1);
    assert_eq!(answer["result"]["content"][0]["text"], "first", "{answer}");
    raw.call(1, "nap", json!({"name": "third", "seconds": 0}));
    let answer = raw.answer(1);
    assert_eq!(answer["result"]["content"][0]["text"], "third", "{answer}");
    raw.close();
}

#[test]
fn a_session_begins_once_whatever_was_said_before() {
    let (_server, place) = gone();
    let mut raw = Raw::spawn(place.command(&["serve"]));
    for line in [
        "{",
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/nope"}"#,
        r#"{"jsonrpc":"2.0","id":3,"result":{}}"#,
    ] {
        raw.line(line);
    }
    lives(&mut raw);
    for (id, params) in [(1, json!({})), (2, json!({"protocolVersion": 3}))] {
        raw.request(id, "initialize", params);
        let answer = raw.answer(id);
        assert_eq!(code(&answer), PARAMS, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("protocolVersion"), "{message}");
    }
    raw.request(3, "tools/list", json!({}));
    assert_eq!(code(&raw.answer(3)), PARAMS);
    assert_eq!(raw.initialize()["result"]["protocolVersion"], "2025-06-18");
    // A second one would change what was agreed upon.
    let again = raw.initialize();
    assert_eq!(code(&again), INVALID, "{again}");
    raw.request(4, "tools/list", json!({}));
    assert!(raw.answer(4)["result"]["tools"].is_array());
    raw.close();
}

#[test]
fn a_client_that_asks_what_is_spoken_may_begin_either_way() {
    let (_server, place) = gone();
    for begins_new in [true, false] {
        let mut raw = Raw::spawn(place.command(&["serve"]));
        raw.line(&alone(1, "server/discover", NEW));
        let answer = raw.answer(1);
        let spoken = answer["result"]["supportedVersions"].as_array().unwrap();
        assert!(spoken.contains(&json!(NEW)) && spoken.contains(&json!("2025-11-25")));
        raw.line(&alone(2, "tools/list", "2030-01-01"));
        let answer = raw.answer(2);
        assert_eq!(code(&answer), VERSION, "{answer}");
        // Too late to be of use, and no reason to end.
        raw.line(
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#,
        );
        if begins_new {
            raw.line(&alone(3, "tools/list", NEW));
            assert_eq!(raw.answer(3)["result"]["resultType"], "complete");
            let late = raw.initialize();
            assert_eq!(code(&late), INVALID, "{late}");
            raw.line(&alone(4, "tools/list", NEW));
            assert!(raw.answer(4)["result"]["tools"].is_array());
        } else {
            raw.initialize();
            raw.request(3, "tools/list", json!({}));
            let answer = raw.answer(3);
            assert!(answer["result"]["tools"].is_array(), "{answer}");
            assert_eq!(answer["result"].get("resultType"), None);
            // A request that says all by itself is answered as its version wants it, in any session.
            raw.line(&alone(4, "tools/list", NEW));
            assert_eq!(raw.answer(4)["result"]["resultType"], "complete");
            lives(&mut raw);
        }
        raw.close();
    }
}

#[test]
fn a_last_line_without_an_end_is_read() {
    let (_server, place) = gone();
    let mut raw = Raw::start(place.command(&["serve"]));
    raw.bytes(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    raw.hang_up();
    assert_eq!(raw.answer(1)["result"], json!({}));
    assert!(raw.wait().0.success());
}
