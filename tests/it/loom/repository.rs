//! Sessions before a real git repository with a remote.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::served::{command, home};
use super::session::{config, markers, session};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

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
