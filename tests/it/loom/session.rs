//! Analytical sessions: markers that the original reads, and the services around.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::served::{gateway, home, original};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::wait_for;

/// With the framework and the workspace of the place. Nothing answers as Ollama.
pub fn config(url: &str, more: &Value) -> Value {
    let mut session =
        json!({"framework_dir": "fw", "workspace_dir": "ws", "ollama_url": "http://127.0.0.1:1"});
    for (key, value) in more.as_object().unwrap() {
        session[key] = value.clone();
    }
    json!({"name": "t", "nats_url": url, "subject_prefix": "heddle", "tools": {"session": session}})
}

/// A gateway with these sessions.
pub async fn session(place: &Place, url: &str, more: Value) -> Agent {
    gateway(place, &config(url, &more)).await
}

/// Where the markers are.
pub fn markers(place: &Place) -> PathBuf {
    home(place).join(".heddle/sessions")
}

fn marker(place: &Place, id: &str) -> Value {
    let text = std::fs::read_to_string(markers(place).join(format!("{id}.json")));
    serde_json::from_str(&text.unwrap()).unwrap()
}

fn now() -> f64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap().as_secs_f64()
}

#[tokio::test]
async fn markers_are_those_of_the_original() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = session(&place, &server.url(), json!({})).await;
    let none = agent.ok("session.end", json!({})).await.structured;
    assert_eq!(none, json!({"status": "no_active_sessions"}));
    let began = now();
    let started = agent
        .ok("session.start", json!({"session_id": "ours.1"}))
        .await
        .structured;
    assert_eq!(
        json!([started["session_id"], started["status"]]),
        json!(["ours.1", "active"])
    );
    let steps = started["steps"].as_array().unwrap();
    let steps: Vec<Value> = steps
        .iter()
        .map(|step| json!([step["step"], step["ok"]]))
        .collect();
    assert_eq!(
        json!(steps),
        json!([
            ["pull", false],
            ["nats", true],
            ["ollama", false],
            ["register", true]
        ])
    );
    // As the original writes them, to the blank.
    let text = std::fs::read_to_string(markers(&place).join("ours.1.json")).unwrap();
    let at = text
        .strip_prefix("{\"session_id\": \"ours.1\", \"last_active\": ")
        .unwrap();
    let at: f64 = at.strip_suffix('}').unwrap().parse().unwrap();
    assert!(began - 1.0 <= at && at <= now() + 1.0, "{text}");
    assert_eq!(
        original(&place, "sessions", &Value::Null),
        json!([marker(&place, "ours.1")])
    );

    original(
        &place,
        "register",
        &json!({"session_id": "theirs", "tool": "baft"}),
    );
    let old = json!({"session_id": "old", "last_active": now() - 1801.0}).to_string();
    let garbage = [
        ("old", old.as_str()),
        ("broken", "{"),
        ("list", "[1]"),
        ("text", "\"text\""),
        ("empty", ""),
        ("nameless", r#"{"last_active": 99999999999}"#),
        ("timeless", r#"{"session_id": "timeless"}"#),
        (
            "late",
            r#"{"session_id": "late", "last_active": "99999999999"}"#,
        ),
        (
            "else",
            r#"{"session_id": "../../x", "last_active": 99999999999}"#,
        ),
        (
            "other",
            r#"{"session_id": "another", "last_active": 99999999999}"#,
        ),
    ];
    for (name, text) in garbage {
        std::fs::write(markers(&place).join(format!("{name}.json")), text).unwrap();
    }
    let status = agent.ok("session.status", json!({})).await.structured;
    let theirs = marker(&place, "theirs");
    assert_eq!(theirs["tool"], "baft");
    assert_eq!(
        status["sessions"],
        json!([theirs, marker(&place, "ours.1")])
    );
    // The newest first, whoever began it.
    for id in ["theirs", "ours.1"] {
        let ended = agent.ok("session.end", json!({})).await.structured;
        let wanted =
            json!({"session_id": id, "status": "ended", "committed": false, "pushed": false});
        assert_eq!(ended, wanted);
        assert!(!markers(&place).join(format!("{id}.json")).exists());
    }
    let none = agent.ok("session.end", json!({})).await.structured;
    assert_eq!(none, json!({"status": "no_active_sessions"}));
    let unknown = agent
        .ok("session.end", json!({"session_id": "unknown"}))
        .await
        .structured;
    assert_eq!(unknown["status"], "ended");
    let left = std::fs::read_dir(markers(&place)).unwrap().count();
    assert_eq!(left, garbage.len());

    let made = agent.ok("session.start", json!({})).await.structured;
    let id = made["session_id"].as_str().unwrap();
    let digits: Vec<usize> = id.split('-').skip(1).map(str::len).collect();
    assert!(id.starts_with("session-") && digits == [8, 6], "{id}");
    assert_eq!(marker(&place, id)["session_id"], id);
}

#[tokio::test]
async fn ids_with_path_parts_are_refused() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = session(&place, &server.url(), json!({})).await;
    std::fs::write(home(&place).join("x.json"), "{}").unwrap();
    for id in [
        "../../x", "..", "a/b", "", "/x", ".x", "a\\b", "a b", "-rf", "x\u{0}",
    ] {
        for tool in ["session.start", "session.end"] {
            agent.refused(tool, json!({"session_id": id})).await;
        }
    }
    assert!(home(&place).join("x.json").exists());
    assert!(!markers(&place).exists());
}

#[tokio::test]
async fn without_a_repository_it_is_said() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("fw/a.txt", "a");
    let agent = session(&place, &server.url(), json!({"baft_dir": "baft"})).await;
    for tool in ["session.sync_check", "session.sync"] {
        assert_eq!(
            agent.refused(tool, json!({})).await,
            "Framework is not a git repo"
        );
    }
    let status = agent.ok("session.status", json!({})).await.structured;
    assert_eq!(
        status["framework"],
        json!({"git_clean": null, "dirty_files": 0})
    );
    let started = agent
        .ok("session.start", json!({"session_id": "s"}))
        .await
        .structured;
    let steps = &started["steps"];
    assert_eq!(
        steps[0],
        json!({"step": "pull", "ok": false, "reason": "not a git repo"})
    );
    assert_eq!(
        steps[1],
        json!({"step": "duckdb_import", "ok": false, "reason": "script not found"})
    );
    let ended = agent
        .ok("session.end", json!({"session_id": "s"}))
        .await
        .structured;
    assert_eq!(
        json!([ended["committed"], ended["pushed"]]),
        json!([false, false])
    );
}

#[tokio::test]
async fn markers_are_kept_fresh_while_the_client_is_there() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = session(&place, &server.url(), json!({"refresh_every": "1s"})).await;
    for id in ["kept", "gone"] {
        agent.ok("session.start", json!({"session_id": id})).await;
    }
    original(&place, "register", &json!({"session_id": "theirs"}));
    let theirs = marker(&place, "theirs");
    // Another program has added to it, and it is nearly stale.
    let nearly = json!({"session_id": "kept", "last_active": now() - 1700.0, "tool": "baft"});
    let path = markers(&place).join("kept.json");
    std::fs::write(&path, nearly.to_string()).unwrap();
    let fresh = || now() - marker(&place, "kept")["last_active"].as_f64().unwrap() < 600.0;
    wait_for("a fresh marker", fresh);
    assert_eq!(marker(&place, "kept")["tool"], "baft");
    // Another program ends it: it does not come back.
    std::fs::remove_file(markers(&place).join("gone.json")).unwrap();
    for _ in 0..2 {
        std::fs::write(&path, nearly.to_string()).unwrap();
        wait_for("a fresh marker", fresh);
    }
    assert!(!markers(&place).join("gone.json").exists());
    // Nor is one touched that this client did not start.
    assert_eq!(marker(&place, "theirs"), theirs);
}

/// Answers every request with this JSON.
fn web(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let _ = lines.map_while(Result::ok).find(String::is_empty);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let _ = write!(
                stream,
                "{head}\r\ncontent-length: {}\r\n\r\n{answer}",
                answer.len()
            );
        }
    });
    url
}

#[tokio::test]
async fn services_are_told_without_credentials() {
    let mut server = NatsServer::start();
    let place = Place::on(&server);
    let secret = server.url().replace("nats://", "nats://me:s3cret@");
    let more = json!({
        "nats_url": secret,
        "ollama_url": web(r#"{"models": [{"name": "a"}, {"name": "b"}, {}, {"name": "c"}, {"name": "d"}]}"#),
        "lm_studio_url": web(r#"{"data": [{"id": "m"}]}"#),
    });
    place.write("ws/itp.duckdb", "not really");
    let agent = session(&place, &server.url(), more).await;
    let started = agent.ok("session.start", json!({"session_id": "s"})).await;
    let status = agent.ok("session.status", json!({})).await;
    let services = &status.structured["services"];
    let host = server.url().replace("nats://", "");
    assert_eq!(
        services["nats"],
        json!({"ok": true, "message": format!("NATS reachable ({host})")})
    );
    assert_eq!(
        services["ollama"],
        json!({"ok": true, "message": "Ollama reachable (a, b, c)"})
    );
    assert_eq!(
        services["lm_studio"],
        json!({"ok": true, "message": "LM Studio reachable (m)"})
    );
    assert_eq!(
        services["duckdb"],
        json!({"ok": true, "message": "DuckDB exists (0.0 MB, 0h old)"})
    );

    server.kill();
    let away = agent.ok("session.status", json!({})).await;
    assert_eq!(away.structured["services"]["nats"]["ok"], false);
    let refused = agent
        .refused("session.start", json!({"session_id": "t"}))
        .await;
    assert!(
        refused.contains("NATS is required but unreachable"),
        "{refused}"
    );
    assert!(!markers(&place).join("t.json").exists());
    for text in [
        started.text,
        status.text,
        away.text,
        refused,
        agent.stderr(),
    ] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    agent.ok("session.end", json!({"session_id": "s"})).await;
}
