//! `jacquard doctor` on real servers: what is there, what is not, and what differs.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream;
use serde_json::{Value, json};

use crate::support::http::Served;
use crate::support::place::{Done, Place};
use crate::support::server::NatsServer;
use crate::support::{LIMIT, wait_for};

/// What `--json` tells.
struct Told(Value);

impl Told {
    fn of(place: &Place, args: &[&str]) -> Self {
        let mut all = vec!["doctor", "--json"];
        all.extend(args);
        Self::read(&place.run(&all))
    }

    /// The exit code says whether there are errors.
    fn read(done: &Done) -> Self {
        let value: Value =
            serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {done:?}"));
        assert_eq!(value["version"], 1);
        let errors = value["counts"]["errors"].as_u64().unwrap();
        assert_eq!(done.code, Some(i32::from(errors > 0)), "{done:?}");
        assert_eq!(done.stderr, "", "{done:?}");
        Self(value)
    }

    fn lines(&self) -> impl Iterator<Item = &Value> {
        self.0["checks"].as_array().unwrap().iter()
    }

    /// The one line of this subject and level that has the text; each that is not ok says what to do.
    fn line(&self, subject: &str, level: &str, text: &str) -> &Value {
        let fits = |line: &&Value| {
            line["subject"] == subject
                && line["level"] == level
                && line["what"].as_str().unwrap().contains(text)
        };
        let mut found = self.lines().filter(fits);
        let line = found
            .next()
            .unwrap_or_else(|| panic!("no {level} of {subject} with {text:?}: {:#}", self.0));
        assert!(level == "ok" || line["do"].is_string(), "{line}");
        assert!(
            found.next().is_none(),
            "{text:?} is told twice: {:#}",
            self.0
        );
        line
    }

    fn count(&self, level: &str) -> u64 {
        self.0["counts"][level].as_u64().unwrap()
    }
}

async fn context(server: &NatsServer) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

const NOTES: &str = "
settings:
  type: object
  properties: {age: {type: string, default: 2h}}
streams:
  log: {name: doc_log, subjects: [doc.log], max_age: \"{{ config.age }}\"}
  other: {name: doc_other, subjects: [doc.other]}
buckets:
  notes: {name: doc_notes, storage: memory}
tools:
  note:
    description: Logs something.
    annotations: {read_only: false}
    input: {type: object, required: [text], properties: {text: {type: string}}}
    output: {type: object}
    steps:
      - publish: {stream: log, subject: doc.log, payload: \"{{ args.text }}\"}
      - put: {bucket: notes, key: last, value: \"{{ args.text }}\"}
    reply: {structured: {}}
";

fn notes(place: &Place) {
    place.write("mine/notes.yaml", NOTES);
    place.write("gateway.yaml", "name: notes\npacks: [./mine]\n");
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
fn a_broken_config_is_told_by_its_place() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    notes(&place);
    place.write(
        "gateway.yaml",
        "packs: [./mine]\nsettings: {mine: {age: 5}}\nnats: {token: '${NO_SUCH_VARIABLE}'}\n",
    );
    let told = Told::of(&place, &["-c", "gateway.yaml"]);
    told.line("config", "error", "NO_SUCH_VARIABLE");
    told.line("config", "error", "gateway.yaml:2:");
    told.line("nats", "warning", "not looked at");
    // A pack that is broken leaves NATS to be looked at.
    place.write("gateway.yaml", "packs: [./mine]\n");
    place.write(
        "mine/notes.yaml",
        &NOTES.replace("stream: log, ", "stream: lgo, "),
    );
    let told = Told::of(&place, &["-c", "gateway.yaml"]);
    told.line("config", "error", "mine/notes.yaml:");
    told.line("nats", "ok", "answers in");
    place.write("mine/notes.yaml", NOTES);
    place.project("{\"namespace\": \"UPPER\"}");
    let told = Told::of(&place, &["-c", "gateway.yaml"]);
    told.line("project", "error", ".loominal-config.json:1:");
    let none = Told::of(&place, &["-c", "nowhere.yaml"]);
    none.line("config", "error", "nowhere.yaml");
}

#[test]
fn entries_of_clients_are_looked_after() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    notes(&place);
    let config = place.dir().join("gateway.yaml");
    let config = config.to_str().unwrap();
    let installed = |args: &[&str]| {
        let done = place.run(args);
        assert_eq!(done.code, Some(0), "{done:?}");
    };
    installed(&["install", "claude", "--config", config]);
    installed(&["install", "cursor", "--http", "http://127.0.0.1:8420"]);
    let told = Told::of(&place, &[]);
    told.line("clients", "ok", ".mcp.json (`jacquard`) starts ");
    told.line("clients", "ok", "reaches http://127.0.0.1:8420/mcp");
    installed(&["install", "claude", "--scope", "user"]);
    let told = Told::of(&place, &[]);
    let line = told.line("clients", "warning", "only one of them counts");
    assert!(
        line["do"]
            .as_str()
            .unwrap()
            .contains("jacquard install claude --name jacquard --scope user --uninstall"),
        "{line}"
    );
    // What has gone, is broken, or is found by chance.
    place.write("gateway.yaml", "packs: [warp]\nnasts: {}\n");
    place.write(".cursor/mcp.json", "{\"mcpServers\": {\"jacquard\": {\"command\": \"/nowhere/jacquard\", \"args\": [\"serve\"]}}}");
    let program = Path::new(env!("CARGO_BIN_EXE_jacquard")).to_str().unwrap();
    let twice =
        format!("\"mine\": {{\"command\": {program:?}, \"args\": [\"-c\", \"served.yaml\"]}}");
    place.write("served.yaml", "packs: [warp]\n");
    place.write(
        ".vscode/mcp.json",
        &format!("{{\"servers\": {{{twice}, {twice}}}}}"),
    );
    let told = Told::of(&place, &[]);
    told.line("clients", "error", "nasts");
    let line = told.line(
        "clients",
        "error",
        "starts /nowhere/jacquard, which is no program here",
    );
    assert!(
        line["do"]
            .as_str()
            .unwrap()
            .contains("jacquard install cursor"),
        "{line}"
    );
    told.line("clients", "warning", "has `mine` twice");
    told.line("clients", "warning", "served.yaml, which is found only if");
    place.write(".mcp.json", "{");
    Told::of(&place, &[]).line("clients", "error", "is no JSON");
}

#[test]
fn a_gateway_over_http_tells_of_a_change_that_it_does_not_serve() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    notes(&place);
    let served = Served::watching(&place, &["-c", "gateway.yaml"]);
    let args = ["-c", "gateway.yaml", "--http", served.address()];
    wait_for("a ready gateway", || {
        let told = Told::of(&place, &args);
        told.lines().any(|line| line["what"] == "it is ready")
    });
    let told = Told::of(&place, &args);
    told.line("gateway", "ok", "1 tool(s)");
    assert_eq!(told.count("errors"), 0, "{:#}", told.0);
    place.write(
        "mine/notes.yaml",
        &NOTES.replace("stream: log, ", "stream: lgo, "),
    );
    wait_for("a reload that failed", || {
        let told = Told::of(&place, &args);
        told.lines().any(|line| {
            let what = line["what"].as_str().unwrap();
            line["subject"] == "gateway"
                && line["level"] == "error"
                && what.contains("a change is not served since")
                && what.contains("mine/notes.yaml:")
        })
    });
    place.write("mine/notes.yaml", NOTES);
    wait_for("a reload that went well", || {
        let told = Told::of(&place, &args);
        told.count("errors") == 0
    });
}

#[test]
fn without_any_nats_it_says_what_a_gateway_would_do() {
    let place = Place::without_nats();
    let told = Told::of(&place, &["--no-local-nats"]);
    // Somebody may run a server at the default address.
    let nats = told.lines().find(|line| line["subject"] == "nats").unwrap();
    assert!(
        nats["what"].as_str().unwrap().contains("127.0.0.1:4222"),
        "{nats}"
    );
    if nats["level"] == "ok" {
        return;
    }
    assert!(
        nats["do"]
            .as_str()
            .unwrap()
            .contains("is the default address"),
        "{nats}"
    );
    let told = Told::of(&place, &[]);
    told.line(
        "nats",
        "ok",
        "a gateway runs a local server when it needs one",
    );
    assert!(!place.data_dir().exists(), "the doctor has made a folder");
    let up = place.run(&["nats", "up"]);
    assert_eq!(up.code, Some(0), "{up:?}");
    let told = Told::of(&place, &[]);
    told.line("nats", "ok", "gateways share the local server in");
    told.line("permissions", "ok", "may do everything");
    assert_eq!(told.count("errors"), 0, "{:#}", told.0);
    let token = std::fs::read_to_string(place.data_dir().join("nats/token")).unwrap();
    assert!(!told.0.to_string().contains(token.trim()));
    assert_eq!(
        place.run(&["nats", "down"]).code,
        Some(0),
        "the doctor still uses it"
    );
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
