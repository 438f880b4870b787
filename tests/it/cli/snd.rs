//! `send`, `tail`, and the program name `snd`: what goes over NATS, what is printed, how it ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::place::{Done, Place, run};
use crate::support::server::{NatsServer, settled};
use crate::support::{LIMIT, signal};

/// The command, told where NATS is in the way of this wire.
fn told(place: &Place, url: &str, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command.env_remove("NATS_URL").env("AGENTS_NATS_URL", url);
    command
}

/// Under the program name `snd`.
#[cfg(unix)]
fn named_snd(place: &Place, args: &[&str]) -> Command {
    let link = place.dir().join("snd");
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_jacquard"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.args(args).env_clear();
    command
}

fn ended(done: &Done, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(done.code, Some(code), "{done:?}");
    assert_eq!(done.stdout, stdout, "{done:?}");
    assert_eq!(done.stderr, stderr, "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_heard_and_stored() {
    let server = NatsServer::start();
    let place = Place::without_nats();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut heard = client.subscribe("agents.>").await.unwrap();
    settled(&client).await;

    let mut send = told(
        &place,
        &server.url(),
        &["send", "bob", "are", "you --human", "--human", "there?"],
    );
    send.env("SND_FROM", "ada");
    ended(
        &run(send),
        0,
        "",
        "[snd] -> bob: [HUMAN] are you --human there?\n",
    );
    let message = timeout(LIMIT, heard.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "agents.dm.Ym9i");
    assert!(message.headers.is_none());
    let payload: Value = serde_json::from_slice(&message.payload).unwrap();
    let keys: Vec<&str> = payload
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "to_agent",
            "from_agent",
            "content",
            "origin_host",
            "origin_ts"
        ]
    );
    assert_eq!(payload["to_agent"], "bob");
    assert_eq!(payload["from_agent"], "ada");
    assert_eq!(payload["content"], "[HUMAN] are you --human there?");
    assert_eq!(payload["origin_host"], "human-cli");
    assert!(payload["origin_ts"].as_u64().unwrap() > 1_600_000_000_000);

    let group = told(
        &place,
        &server.url(),
        &["send", "-g", "日本 語", "--", "use --tail or", "--tail"],
    );
    ended(
        &run(group),
        0,
        "",
        "[snd] -> g:日本 語: use --tail or --tail\n",
    );
    let message = timeout(LIMIT, heard.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "agents.broadcast.5pel5pysIOiqng");
    let payload: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(payload["group"], "日本 語");
    assert_eq!(payload["from_agent"], "human");

    let jetstream = async_nats::jetstream::new(client);
    let mut stream = jetstream.get_stream("agents-history").await.unwrap();
    let info = stream.info().await.unwrap();
    assert_eq!(info.state.messages, 2);
    assert_eq!(info.config.max_age, Duration::from_secs(30 * 24 * 3600));
    assert_eq!(info.config.max_bytes, 536_870_912);
    assert_eq!(info.config.max_messages_per_subject, 10_000);
    assert_eq!(
        info.config.subjects,
        ["agents.dm.>", "agents.channel.>", "agents.broadcast.>"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_exists_is_used_as_it_is() {
    let server = NatsServer::start();
    let place = Place::without_nats();
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let config = async_nats::jetstream::stream::Config {
        name: "agents-history".to_owned(),
        subjects: ["agents.dm.>", "agents.channel.>", "agents.broadcast.>"]
            .map(Into::into)
            .to_vec(),
        max_messages: 7,
        ..Default::default()
    };
    let before = jetstream
        .create_stream(config)
        .await
        .unwrap()
        .cached_info()
        .clone();
    ended(
        &run(told(&place, &server.url(), &["send", "bob", ""])),
        0,
        "",
        "[snd] -> bob: \n",
    );
    let mut stream = jetstream.get_stream("agents-history").await.unwrap();
    let after = stream.info().await.unwrap();
    assert_eq!(after.config, before.config);
    assert_eq!(after.state.messages, 1);
}

#[test]
fn what_is_not_stored_is_a_failure() {
    let place = Place::without_nats();
    let mut gone = NatsServer::stopped("");
    let nowhere = format!("nats://127.0.0.1:{}", gone.reserve_port());
    for args in [&["send", "bob", "hi"][..], &["tail"]] {
        let done = run(told(&place, &nowhere, args));
        assert_eq!(done.code, Some(2), "{done:?}");
        let start = if args[0] == "send" {
            "[snd] failed: "
        } else {
            "[snd --tail] connect failed: "
        };
        assert!(done.stderr.starts_with(start), "{done:?}");
        assert!(done.stderr.contains("refused"), "{done:?}");
        assert_eq!(done.stdout, "");
    }
    let core = NatsServer::without_jetstream("");
    let done = run(told(&place, &core.url(), &["send", "bob", "hi"]));
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("JetStream"), "{done:?}");
    let large = "x".repeat(1200 * 1024);
    let server = NatsServer::start();
    let words: Vec<&str> = large
        .as_bytes()
        .chunks(100 * 1024)
        .map(|c| std::str::from_utf8(c).unwrap())
        .collect();
    let done = run(told(
        &place,
        &server.url(),
        &[&["send", "bob"], &words[..]].concat(),
    ));
    assert_eq!(done.code, Some(2), "{:?}", done.stderr);
}

#[test]
fn a_login_is_used() {
    let server = NatsServer::with_config("authorization { user: ada, password: secret }");
    let place = Place::without_nats();
    let address = server.url().replace("nats://", "");
    let refused = run(told(&place, &address, &["send", "bob", "hi"]));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    let mut command = told(&place, &address, &["send", "bob", "hi"]);
    command.env("NATS_USER", "ada").env("NATS_PASS", "secret");
    ended(&run(command), 0, "", "[snd] -> bob: hi\n");
    let inside = format!("nats://127.0.0.1:1,nats://ada:secret@{address}");
    let done = run(told(&place, &inside, &["send", "bob", "hi"]));
    ended(&done, 0, "", "[snd] -> bob: hi\n");
}

#[cfg(unix)]
#[test]
fn under_its_own_name_it_is_the_same() {
    let place = Place::without_nats();
    let help = run(named_snd(&place, &["--help"]));
    assert_eq!(help.code, Some(0), "{help:?}");
    assert!(help.stdout.contains("snd --tail"), "{help:?}");
    let nothing = run(named_snd(&place, &[]));
    ended(&nothing, 1, &help.stdout, "");
    ended(&run(place.command(&["send"])), 1, &help.stdout, "");
    ended(
        &run(place.command(&["send", "-h", "x"])),
        0,
        &help.stdout,
        "",
    );
    for (args, line) in [
        (&["bob"][..], "snd: need <agent> <message...>\n"),
        (&["-t", "bob"], "snd: -t requires <agent> and a message\n"),
        (&["-g", "ops"], "snd: -g requires <group> and a message\n"),
        (&["--tail", "x"], "snd: --tail takes no other arguments\n"),
        (&["--tail"], "snd: AGENTS_NATS_URL is required\n"),
        (&["--version", "hi"], "snd: AGENTS_NATS_URL is required\n"),
    ] {
        ended(&run(named_snd(&place, args)), 1, "", line);
    }
    let server = NatsServer::start();
    let mut command = named_snd(&place, &["--version", "hi"]);
    command.env("AGENTS_NATS_URL", server.url());
    ended(&run(command), 0, "", "[snd] -> --version: hi\n");
}

/// A running `tail`.
struct Tail {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Tail {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Self {
            child,
            stdout,
            stderr,
        }
    }

    fn line(&self) -> String {
        self.stdout.recv_timeout(LIMIT).unwrap()
    }

    fn notice(&self) -> String {
        self.stderr.recv_timeout(LIMIT).unwrap()
    }

    fn stop(mut self, name: &str) {
        signal(name, self.child.id());
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{name}");
        assert_eq!(self.stdout.iter().count(), 0, "every line was looked at");
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tail_shows_what_is_sent() {
    let mut server = NatsServer::start();
    let place = Place::without_nats();
    let mut command = named_snd(&place, &["--tail"]);
    command.env("AGENTS_NATS_URL", server.url());
    let tail = Tail::start(command);
    let watching = format!("[snd --tail] watching {} — Ctrl-C to exit", server.url());
    assert_eq!(tail.notice(), watching);
    let client = async_nats::connect(server.url()).await.unwrap();
    let publish = async |subject: &'static str, payload: String| {
        client.publish(subject, payload.into()).await.unwrap();
        client.flush().await.unwrap();
    };
    let whole = json!({
        "to_agent": "bob", "from_agent": "al", "content": "[HUMAN] hi", "origin_host": "h", "origin_ts": 1_795_206_638_329_u64
    });
    publish("agents.dm.eHg", whole.to_string()).await;
    assert_eq!(tail.line(), "<dm> 20:30:38 [al@h] -> bob: hi");
    publish("agents.dm.eHg", "not json".to_owned()).await;
    publish("agents.dm.a.b", whole.to_string()).await;
    publish("agents.presence", whole.to_string()).await;
    publish(
        "agents.broadcast.eHg",
        r#"{"origin_ts": 0, "group": "ops"}"#.to_owned(),
    )
    .await;
    assert_eq!(tail.line(), "<bcast> 00:00:00 [?@?] -> g:ops: ?");
    publish(
        "agents.channel.eHg",
        r#"{"origin_ts": 0, "channel": "c", "content": "ü\u001b"}"#.to_owned(),
    )
    .await;
    assert_eq!(tail.line(), "<ch> 00:00:00 [?@?] -> c: ü\u{1b}");

    server.kill();
    let lost = tail.notice();
    assert!(lost.contains("connection lost"), "{lost}");
    server.restart();
    assert_eq!(tail.notice(), "[snd --tail] connected again");
    let sent = run(told(&place, &server.url(), &["send", "-g", "ops", "back"]));
    ended(&sent, 0, "", "[snd] -> g:ops: back\n");
    let line = tail.line();
    assert!(line.ends_with("[human@human-cli] -> g:ops: back"), "{line}");
    tail.stop("-INT");

    let tail = Tail::start(told(&place, &server.url(), &["tail"]));
    assert_eq!(tail.notice(), watching);
    tail.stop("-TERM");
}

#[cfg(unix)]
#[test]
fn tail_ends_with_its_reader() {
    let server = NatsServer::start();
    let place = Place::without_nats();
    let mut tail = Tail::start(told(&place, &server.url(), &["tail"]));
    tail.notice();
    // The thread that reads ends with its receiver, at the next line.
    drop(std::mem::replace(&mut tail.stdout, channel().1));
    let mut sent = 0;
    crate::support::wait_for("the end of tail", || {
        sent += 1;
        let done = run(told(
            &place,
            &server.url(),
            &["send", "bob", &sent.to_string()],
        ));
        assert_eq!(done.code, Some(0), "{done:?}");
        tail.child.try_wait().unwrap().is_some()
    });
    assert_eq!(tail.child.wait().unwrap().code(), Some(0));
}
