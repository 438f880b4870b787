//! What it finds out of a server and of what is on it.

use std::net::TcpListener;
use std::time::Duration;

use async_nats::jetstream;
use serde_json::{Value, json};

use super::{Told, notes};
use crate::support::LIMIT;
use crate::support::place::Place;
use crate::support::server::NatsServer;

async fn context(server: &NatsServer) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_place_is_all_right_and_nothing_is_changed() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let before = Told::of(&place, &[]);
    assert_eq!(
        before.count("errors") + before.count("warnings"),
        0,
        "{:#}",
        before.0
    );
    before.line("nats", "ok", "answers in");
    before.line("nats", "ok", "JetStream: 0 stream(s)");
    before.line("permissions", "ok", "may do everything");
    before.line("streams", "ok", "not there, made at first use");
    before.line("durability", "ok", "not known");
    before.line("clock", "ok", "agree within");
    before.line("project", "ok", &place.namespace);
    before.line("clients", "ok", "no MCP client has an entry");
    let js = context(&server).await;
    assert_eq!(
        js.query_account().await.unwrap().streams,
        0,
        "the doctor has made something"
    );
    let done = place.run(&[
        "call",
        "warp_channels_send",
        "channel=roadmap",
        "message=hi",
        "--session",
        "handle=a",
    ]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let after = Told::of(&place, &[]);
    assert_eq!(
        after.count("errors") + after.count("warnings"),
        0,
        "{:#}",
        after.0
    );
    after.line("streams", "ok", "as declared");
    for text in [
        "process that crashes loses nothing",
        "the server is alone",
        "sync_interval: 2m",
    ] {
        after.line("durability", "ok", text);
    }
    let done = place.run(&["doctor"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stdout.contains("\nNATS\n  ok       nats://127.0.0.1"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout.trim_end().ends_with("0 warning(s), 0 error(s)"),
        "{}",
        done.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_key_that_differs_is_told_with_both_values() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    notes(&place);
    let js = context(&server).await;
    let found = jetstream::stream::Config {
        name: "doc_log".into(),
        subjects: vec!["doc.log".into()],
        max_age: Duration::from_secs(3600),
        storage: jetstream::stream::StorageType::Memory,
        ..Default::default()
    };
    js.create_stream(found).await.unwrap();
    let orphan = jetstream::stream::Config {
        name: "nobodys".into(),
        subjects: vec!["n".into()],
        ..Default::default()
    };
    js.create_stream(orphan).await.unwrap();
    let told = Told::of(&place, &["-c", "gateway.yaml"]);
    let line = told.line("streams", "warning", "stream doc_log differs");
    let what = line["what"].as_str().unwrap();
    for part in [
        "max_age is 3600s, declared 7200s",
        "storage is memory, declared file",
        "allow_direct is false, declared true",
    ] {
        assert!(what.contains(part), "{what}");
    }
    let line = told.line("streams", "ok", "not there, made at first use");
    assert_eq!(
        line["what"],
        "2 not there, made at first use: bucket doc_notes, stream doc_other"
    );
    told.line("durability", "warning", "in memory only: stream doc_log");
    assert!(!told.0.to_string().contains("nobodys"), "{:#}", told.0);
    let mut kept = js.get_stream("doc_log").await.unwrap();
    assert_eq!(
        kept.info().await.unwrap().config.max_age,
        Duration::from_secs(3600)
    );
    assert_eq!(js.query_account().await.unwrap().streams, 2);
}

#[test]
fn with_everything_down_it_ends_soon_and_says_what_is_down() {
    let port = {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        taken.local_addr().unwrap().port()
    };
    let place = Place::at(&format!("nats://user:hunter2@127.0.0.1:{port}"));
    place.write(
        "gateway.yaml",
        &format!("packs: [warp]\ntransport: http\nhttp: {{address: '127.0.0.1:{port}'}}\n"),
    );
    let done = place.run(&["doctor", "--json", "-c", "gateway.yaml"]);
    assert!(!done.stdout.contains("hunter2"), "{done:?}");
    assert!(done.took < LIMIT / 2, "{:?}", done.took);
    let told = Told::read(&done);
    let line = told.line("nats", "error", &format!("127.0.0.1:{port}"));
    let advice = line["do"].as_str().unwrap();
    assert!(
        advice.contains("the address is from the environment"),
        "{advice}"
    );
    told.line("gateway", "warning", "no gateway answers");
}

#[test]
fn a_server_that_is_silent_does_not_hold_it() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let place = Place::at(&format!("nats://{address}"));
    place.write(
        "gateway.yaml",
        &format!("packs: [warp]\ntransport: http\nhttp: {{address: '{address}'}}\n"),
    );
    let done = place.run(&["doctor", "--json", "-c", "gateway.yaml"]);
    assert!(done.took < LIMIT / 2, "{:?}", done.took);
    let told = Told::read(&done);
    told.line("nats", "error", &address.to_string());
    told.line("gateway", "warning", "no gateway answers");
}

#[test]
fn a_server_without_jetstream_is_of_no_use_to_what_stores() {
    let server = NatsServer::without_jetstream("");
    let place = Place::on(&server);
    let told = Told::of(&place, &[]);
    told.line("nats", "ok", "answers in");
    told.line("nats", "error", "without JetStream");
    assert_eq!(told.count("errors"), 1, "{:#}", told.0);
    // What stores nothing does not need it.
    place.write("plain/a.yaml", "tools:\n  hi:\n    description: Says hi.\n    annotations: {read_only: true}\n    output: {type: object}\n    reply: {text: hi, structured: {}}\n");
    place.write("plain.yaml", "packs: [./plain]\n");
    let told = Told::of(&place, &["-c", "plain.yaml"]);
    told.line("nats", "warning", "without JetStream");
    assert_eq!(told.count("errors"), 0, "{:#}", told.0);
}

#[test]
fn limits_of_the_account_are_told() {
    let accounts = "accounts: {A: {jetstream: {max_mem: 1048576, max_file: 8388608, max_streams: 20}, users: [{user: a, password: secret}]}}";
    let server = NatsServer::with_config(accounts);
    let place = Place::at(&server.url().replace("nats://", "nats://a:secret@"));
    let told = Told::of(&place, &[]);
    let line = told.line("nats", "ok", "JetStream: 0 of 20 stream(s)");
    assert!(
        line["what"]
            .as_str()
            .unwrap()
            .contains("of 8.0 MiB on disk"),
        "{line}"
    );
    told.line("permissions", "ok", "in the account A");
    let wrong = Place::at(&server.url().replace("nats://", "nats://a:wrong@"));
    let told = Told::of(&wrong, &[]);
    let line = told.line("nats", "error", "refused the credentials");
    assert!(line["do"].as_str().unwrap().contains("password"), "{line}");
}

/// A server whose user has the permissions of this config, without the lines that have one of these words, and with more.
fn permitted(place: &Place, without: &[&str], more: &[&str]) -> NatsServer {
    let done = place.run(&["permissions", "-c", "gateway.yaml", "--format", "json"]);
    let mut permissions: Value = serde_json::from_str(&done.stdout).unwrap();
    permissions.as_object_mut().unwrap().shift_remove("why");
    for side in ["publish", "subscribe"] {
        let list = permissions[side]["allow"].as_array_mut().unwrap();
        list.retain(|subject| {
            let subject = subject.as_str().unwrap();
            !without.iter().any(|word| subject.contains(word))
        });
        if side == "publish" {
            list.extend(more.iter().map(|subject| json!(subject)));
        }
    }
    NatsServer::with_config(&format!(
        "authorization {{ users: [{{user: u, password: p, permissions: {permissions}}}] }}"
    ))
}

#[test]
fn what_the_user_may_not_do_is_found() {
    let place = Place::without_nats();
    notes(&place);
    let run = |server: &NatsServer| {
        let mut command = place.command(&["doctor", "--json", "-c", "gateway.yaml"]);
        command.env("NATS_URL", server.url().replace("nats://", "nats://u:p@"));
        Told::read(&crate::support::place::run(command))
    };
    // Just what is needed: the user may not even ask what it may.
    let told = run(&permitted(&place, &[], &[]));
    let line = told.line(
        "permissions",
        "ok",
        "all that can be tried without effect is allowed",
    );
    let what = line["what"].as_str().unwrap();
    assert!(
        what.contains("not tried") && what.contains("doc.log"),
        "{what}"
    );
    assert_eq!(told.count("errors"), 0, "{:#}", told.0);
    // One line less is found by trying.
    let told = run(&permitted(&place, &["STREAM.CREATE.doc_log"], &[]));
    told.line(
        "permissions",
        "error",
        "may not publish to $JS.API.STREAM.CREATE.doc_log, which is needed for",
    );
    assert_eq!(told.count("errors"), 1, "{:#}", told.0);
    // A user that may ask tells of what cannot be tried, too.
    let asks = ["$SYS.REQ.USER.INFO"];
    let told = run(&permitted(&place, &[], &asks));
    told.line("permissions", "ok", "things that the gateway needs");
    let told = run(&permitted(
        &place,
        &["$KV.doc_notes", "STREAM.CREATE.doc_log"],
        &asks,
    ));
    told.line(
        "permissions",
        "error",
        "may not publish to $KV.doc_notes.last, which is needed for note (put)",
    );
    told.line(
        "permissions",
        "error",
        "may not publish to $JS.API.STREAM.CREATE.doc_log",
    );
    assert_eq!(told.count("errors"), 2, "{:#}", told.0);
}

#[test]
fn a_user_that_hears_no_answers_is_told_so_once() {
    let server = NatsServer::with_config(
        "authorization { users: [{user: u, password: p, permissions: {subscribe: {allow: [\"_MINE.>\"]}}}] }",
    );
    let place = Place::at(&server.url().replace("nats://", "nats://u:p@"));
    let told = Told::of(&place, &[]);
    let line = told.line("permissions", "error", "may not hear answers");
    assert!(
        line["do"].as_str().unwrap().contains("nats.inbox_prefix"),
        "{line}"
    );
    assert_eq!(told.count("errors"), 1, "{:#}", told.0);
}
