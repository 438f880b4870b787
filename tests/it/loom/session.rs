//! Analytical sessions: markers that the original reads, a real git repository with a remote, the services around.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::served::{command, gateway, home, original};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::wait_for;

/// With the framework and the workspace of the place. Nothing answers as Ollama.
fn config(url: &str, more: &Value) -> Value {
    let mut session =
        json!({"framework_dir": "fw", "workspace_dir": "ws", "ollama_url": "http://127.0.0.1:1"});
    for (key, value) in more.as_object().unwrap() {
        session[key] = value.clone();
    }
    json!({"name": "t", "nats_url": url, "subject_prefix": "heddle", "tools": {"session": session}})
}

async fn session(place: &Place, url: &str, more: Value) -> Agent {
    gateway(place, &config(url, &more)).await
}

fn markers(place: &Place) -> PathBuf {
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

/// Runs git in a folder of the place, which must succeed, and gives what it prints.
fn git(place: &Place, folder: &str, words: &str) -> String {
    let done = Command::new("git")
        .args(words.split(' '))
        .current_dir(place.dir().join(folder))
        .env("HOME", home(place))
        .output()
        .unwrap();
    assert!(done.status.success(), "git {words}: {done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// A framework with a bare remote, both with one commit, and somebody else's clone `other`.
fn framework(place: &Place) {
    let config = "[user]\nname = A\nemail = a@example.org\n[init]\ndefaultBranch = main\n[commit]\ngpgsign = false\n";
    std::fs::write(home(place).join(".gitconfig"), config).unwrap();
    place.write("seed/data/a.txt", "a");
    git(place, "seed", "init -q");
    commit(place, "seed");
    for (from, to) in [
        ("seed", "--bare"),
        ("remote.git", "fw"),
        ("remote.git", "other"),
    ] {
        let words = match to {
            "--bare" => "clone -q --bare seed remote.git".to_owned(),
            to => format!("clone -q {from} {to}"),
        };
        git(place, "", &words);
    }
}

fn commit(place: &Place, folder: &str) {
    git(place, folder, "add -A");
    git(place, folder, "commit -q -m more");
}

/// Somebody else has pushed one more commit.
fn others_push(place: &Place, file: &str) {
    git(place, "other", "pull -q --rebase");
    place.write(Path::new("other/data").join(file), "b");
    commit(place, "other");
    git(place, "other", "push -q");
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
async fn the_end_commits_and_pushes_but_not_to_protected_branches() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    framework(&place);
    let agent = session(&place, &server.url(), json!({})).await;
    let started = agent
        .ok("session.start", json!({"session_id": "s"}))
        .await
        .structured;
    let head = git(&place, "fw", "rev-parse --short HEAD");
    assert_eq!(
        started["steps"][0],
        json!({"step": "pull", "ok": true, "commit": head})
    );
    let end = |message: &str| json!({"session_id": "s", "message": message});
    // Nothing to commit.
    let ended = agent.ok("session.end", end("x")).await.structured;
    assert_eq!(
        ended,
        json!({"session_id": "s", "status": "ended", "committed": false, "pushed": false})
    );

    place.write("fw/data/new.txt", "n");
    place.write("fw/notes.txt", "not ours");
    let status = agent.ok("session.status", json!({})).await.structured;
    assert_eq!(
        status["framework"],
        json!({"git_clean": false, "dirty_files": 2})
    );
    let ended = agent
        .ok("session.end", end("found it; $(x)"))
        .await
        .structured;
    assert_eq!(
        json!([ended["committed"], ended["pushed"]]),
        json!([true, false])
    );
    assert!(
        ended["push_skipped_reason"]
            .as_str()
            .unwrap()
            .contains("'main'"),
        "{ended}"
    );
    let subject = git(&place, "fw", "log -1 --format=%s");
    assert!(
        subject.starts_with("Session s: found it; $(x) — 20") && subject.ends_with('Z'),
        "{subject}"
    );
    assert_eq!(
        git(&place, "fw", "show --name-only --format= HEAD"),
        "data/new.txt"
    );
    assert_eq!(git(&place, "fw", "rev-list --count origin/main..HEAD"), "1");
    // Only what is not ours is left: git says that there is nothing to commit.
    let ended = agent.ok("session.end", end("x")).await.structured;
    assert_eq!(ended["committed"], false);
    assert!(ended["commit_error"].is_string(), "{ended}");

    place.write("fw/data/a.txt", "changed");
    let mut args = end("allowed");
    args["allow_push_to_protected"] = json!(true);
    let ended = agent.ok("session.end", args).await.structured;
    assert_eq!(
        json!([ended["committed"], ended["pushed"]]),
        json!([true, true]),
        "{ended}"
    );
    assert_eq!(
        git(&place, "remote.git", "log -1 --format=%s main"),
        git(&place, "fw", "log -1 --format=%s")
    );

    git(&place, "fw", "checkout -q -b feature");
    place.write("fw/data/b.txt", "b");
    let ended = agent.ok("session.end", end("no upstream")).await.structured;
    assert_eq!(
        json!([ended["committed"], ended["pushed"]]),
        json!([true, false])
    );
    assert!(
        ended["push_error"].as_str().unwrap().contains("upstream"),
        "{ended}"
    );
    git(&place, "fw", "push -q -u origin feature");
    place.write("fw/data/b.txt", "c");
    let ended = agent.ok("session.end", end("more")).await.structured;
    assert_eq!(
        json!([ended["committed"], ended["pushed"]]),
        json!([true, true]),
        "{ended}"
    );
    assert_eq!(
        git(&place, "remote.git", "rev-parse feature"),
        git(&place, "fw", "rev-parse feature")
    );
    // A branch of another name that would be pushed to `main`.
    git(&place, "fw", "branch -q -u origin/main");
    git(&place, "fw", "config push.default upstream");
    place.write("fw/data/b.txt", "d");
    let ended = agent.ok("session.end", end("sly")).await.structured;
    assert_eq!(
        json!([ended["committed"], ended["pushed"]]),
        json!([true, false]),
        "{ended}"
    );
    assert!(
        ended["push_skipped_reason"]
            .as_str()
            .unwrap()
            .contains("'main'"),
        "{ended}"
    );
}

#[tokio::test]
async fn the_framework_is_compared_and_brought_up_to_date() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    framework(&place);
    let agent = session(&place, &server.url(), json!({})).await;
    let check = async || agent.ok("session.sync_check", json!({})).await.structured;
    let told = |status: &str, behind: u32, ahead: u32| json!({"status": status, "behind": behind, "ahead": ahead});
    assert_eq!(check().await, told("current", 0, 0));
    others_push(&place, "1.txt");
    others_push(&place, "2.txt");
    assert_eq!(check().await, told("behind", 2, 0));
    let synced = agent.ok("session.sync", json!({})).await.structured;
    let head = git(&place, "other", "rev-parse --short HEAD");
    assert_eq!(
        synced,
        json!({"status": "synced", "commit": head, "duckdb_imported": true})
    );
    place.write("fw/data/mine.txt", "m");
    commit(&place, "fw");
    assert_eq!(check().await, told("ahead", 0, 1));
    others_push(&place, "3.txt");
    assert_eq!(check().await, told("diverged", 1, 1));
    // Only forward: what would need a merge is refused, and nothing is changed.
    let mine = git(&place, "fw", "rev-parse HEAD");
    assert!(
        agent
            .refused("session.sync", json!({}))
            .await
            .contains("Pull failed: ")
    );
    let told = agent
        .refused("session.start", json!({"session_id": "s"}))
        .await;
    assert!(
        told.contains("Framework pull failed: ") && told.contains("session s"),
        "{told}"
    );
    assert!(!markers(&place).join("s.json").exists());
    assert_eq!(git(&place, "fw", "rev-parse HEAD"), mine);

    std::fs::rename(place.dir().join("remote.git"), place.dir().join("gone.git")).unwrap();
    assert!(
        agent
            .refused("session.sync_check", json!({}))
            .await
            .contains("Fetch failed: ")
    );
    assert!(
        agent
            .refused("session.sync", json!({}))
            .await
            .contains("Pull failed: ")
    );
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
async fn a_repository_that_git_refuses_is_not_called_clean() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("fw/.git/HEAD", "junk");
    let agent = session(&place, &server.url(), json!({})).await;
    let status = agent.ok("session.status", json!({})).await.structured;
    assert_eq!(status["framework"]["git_clean"], Value::Null);
    let why = status["framework"]["git_error"].as_str().unwrap();
    assert!(why.contains("not a git repository"), "{why}");
    let ended = agent.ok("session.end", json!({"session_id": "s"})).await;
    assert_eq!(ended.structured["commit_error"], why);
}

/// `uv` is one that writes down how it was called, and fails when it is told to.
#[tokio::test]
async fn the_import_runs_where_there_is_one() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    framework(&place);
    place.write("baft/pipeline/scripts/itp_import_to_duckdb.py", "");
    let uv = place.write(
        "bin/uv",
        "#!/bin/sh\necho \"$PWD: $*\" >> called\ntest ! -e fail\n",
    );
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(uv, executable).unwrap();
    let mut command = command(&place, &config(&server.url(), &json!({"baft_dir": "baft"})));
    let path = std::env::var("PATH").unwrap();
    command.env(
        "PATH",
        format!("{}:{path}", place.dir().join("bin").display()),
    );
    let agent = Agent::start(command).await;
    let started = agent
        .ok("session.start", json!({"session_id": "s"}))
        .await
        .structured;
    assert_eq!(
        started["steps"][1],
        json!({"step": "duckdb_import", "ok": true})
    );
    let synced = agent.ok("session.sync", json!({})).await.structured;
    assert_eq!(synced["duckdb_imported"], true);
    place.write("baft/fail", "");
    let synced = agent.ok("session.sync", json!({})).await.structured;
    assert_eq!(
        json!([synced["status"], synced["duckdb_imported"]]),
        json!(["synced", false])
    );
    let called = std::fs::read_to_string(place.dir().join("baft/called")).unwrap();
    let call = "baft: run python pipeline/scripts/itp_import_to_duckdb.py --incremental";
    assert!(called.lines().all(|line| line.ends_with(call)), "{called}");
    assert_eq!(called.lines().count(), 3);
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
