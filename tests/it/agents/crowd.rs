//! Many agents at once: everybody hears all that is for it, once and in order, whatever becomes of streams meanwhile.
//!
//! 200 sessions in groups of ten broadcast to their groups, each message to nine others: about 20,000 deliveries, or with
//! `JACQUARD_SOAK` set about 20,000 messages and nine times the deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::{Context, consumer};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::web::{heard, join};
use super::{jetstream, plain, token};
use crate::support::LIMIT;
use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const SESSIONS: usize = 200;
const GROUP: usize = 10;
/// How many talk at the same time.
const TALKING: usize = 32;
const MIB: u64 = 1 << 20;
/// What the last message to a group says.
const END: &str = "the end";
/// How many messages the client that does not read misses, and how large they are.
const MISSED: u64 = 160;
const LARGE: usize = 64 * 1024;

/// A message as it was heard: who said it, and what.
type Line = (String, String);

fn group_of(index: usize) -> String {
    format!("g{}", index / GROUP)
}

/// An agent of the crowd, with an open stream.
struct Member {
    name: String,
    web: Web,
    events: Events,
    last: Option<String>,
}

impl Member {
    async fn join(url: String, index: usize) -> Self {
        let name = format!("a{index}");
        let web = join(&url, &name, &group_of(index)).await;
        let mut events = web.listen(None).await;
        let last = events.next().await.expect("the first event").id;
        Self {
            name,
            web,
            events,
            last,
        }
    }

    /// Hears everything up to the end. After every `cut` messages the stream breaks off, and it goes on after the last one.
    async fn hears(&mut self, cut: Option<usize>, count: &AtomicU64) -> Vec<Line> {
        let mut lines = Vec::new();
        loop {
            let event = self.events.push().await;
            let line = heard(&event.data);
            self.last = event.id;
            if line.1 == END {
                return lines;
            }
            lines.push(line);
            count.fetch_add(1, Ordering::Relaxed);
            if cut.is_some_and(|cut| lines.len() % cut == 0) {
                self.events = self.web.listen(self.last.as_deref()).await;
            }
        }
    }
}

/// Everybody says so much, a number of them at the same time.
async fn say(members: &[(String, Web)], each: usize) {
    let all = members.iter().map(|(name, web)| async move {
        for number in 0..each {
            let args = json!({"name": name, "message": format!("number {number}")});
            let said = web.said("agent_broadcast", args).await;
            assert!(said.starts_with("Broadcast published"), "{said}");
        }
    });
    let all = stream::iter(all).buffer_unordered(TALKING);
    all.collect::<Vec<_>>().await;
}

/// A broadcast of somebody elsewhere.
async fn broadcast(jetstream: &Context, group: &str, content: &str) {
    let payload = json!({
        "group": group, "from_agent": "elsewhere", "content": content, "origin_host": "elsewhere", "origin_ts": 1,
        "origin_seq": 1,
    });
    let subject = format!("agents.broadcast.{}", token(group));
    let sent = jetstream.publish(subject, payload.to_string().into()).await;
    sent.unwrap().await.unwrap();
}

/// What the stream has for each group, in its order.
async fn stored(jetstream: &Context) -> BTreeMap<String, Vec<Line>> {
    let mut stream = jetstream.get_stream("agents-history").await.unwrap();
    let count = stream.info().await.unwrap().state.messages;
    let config = consumer::pull::OrderedConfig {
        filter_subject: "agents.broadcast.*".into(),
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut groups: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for _ in 0..count {
        let message = messages.next().await.unwrap().unwrap();
        let data: Value = serde_json::from_slice(&message.payload).unwrap();
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        let line = (text("from_agent"), text("content"));
        if line.1 != END {
            groups.entry(text("group")).or_default().push(line);
        }
    }
    groups
}

/// A client that asks for its stream and reads no more than the first event; that one's id.
async fn stall(address: &str, web: &Web) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let head = format!(
        "GET /mcp HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\nMcp-Session-Id: {}\r\n\r\n",
        web.session.as_deref().unwrap()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut bytes = [0; 1024];
    while !text.contains("retry:") || !text.ends_with("\n\r\n") {
        let count = stream.read(&mut bytes).await.unwrap();
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    let id = text.lines().find_map(|line| line.strip_prefix("id: "));
    (stream, id.unwrap().to_owned())
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LIMIT, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Notes the most memory that a gateway has.
fn watch(served: &Arc<Served>) -> (Arc<AtomicU64>, tokio::task::JoinHandle<()>) {
    let most = Arc::new(AtomicU64::new(0));
    let (served, seen) = (Arc::clone(served), Arc::clone(&most));
    let task = tokio::spawn(async move {
        loop {
            seen.fetch_max(served.memory(), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    (most, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_agents_hear_all_that_is_for_them_once_and_in_order() {
    let each = match std::env::var("JACQUARD_SOAK") {
        Ok(soak) if !soak.is_empty() => 101,
        _ => 12,
    };
    let server = NatsServer::start();
    let place = Place::on(&server);
    let served = Arc::new(Served::with(&place, "packs: [agents]\n"));
    let url = served.url.clone();
    let joining = (0..SESSIONS).map(|index| Member::join(url.clone(), index));
    let members: Vec<Member> = stream::iter(joining).buffered(16).collect().await;
    let talkers: Vec<_> = members
        .iter()
        .map(|m| (m.name.clone(), m.web.clone()))
        .collect();
    let before = served.memory();
    let (most, watching) = watch(&served);

    let (count, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let hearing: Vec<_> = members
        .into_iter()
        .enumerate()
        .map(|(index, mut member)| {
            let count = Arc::clone(&count);
            let cut = (index % 8 == 0).then_some(each);
            tokio::spawn(async move {
                let lines = member.hears(cut, &count).await;
                (index, member, lines)
            })
        })
        .collect();
    say(&talkers, each).await;
    let published = started.elapsed();
    let jetstream = jetstream(&plain(&server).await);
    for group in 0..SESSIONS / GROUP {
        broadcast(&jetstream, &format!("g{group}"), END).await;
    }
    let mut heard = Vec::new();
    for task in hearing {
        heard.push(task.await.unwrap());
    }
    let took = started.elapsed();
    watching.abort();
    let stored = stored(&jetstream).await;
    for (index, member, lines) in &heard {
        let all = &stored[&group_of(*index)];
        let others = all.iter().filter(|(from, _)| *from != member.name);
        assert_eq!(
            lines,
            &others.cloned().collect::<Vec<_>>(),
            "{}",
            member.name
        );
    }
    let (count, most) = (count.load(Ordering::Relaxed), most.load(Ordering::Relaxed));
    println!(
        "{} published in {published:?}, {count} delivered in {took:?}; {} MiB before, {} MiB at most",
        SESSIONS * each,
        before / MIB,
        most / MIB
    );
    assert_eq!(count, (SESSIONS * each * (GROUP - 1)) as u64);
    assert!(
        most < before + 96 * MIB,
        "{} MiB before, {} MiB at most",
        before / MIB,
        most / MIB
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_reading_costs_little_and_misses_nothing() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = "packs: [agents]\nhttp: {push_timeout: 1s}\n";
    let served = Arc::new(Served::with(&place, config));
    let slow = join(&served.url, "slow", "g").await;
    let mut quick = Member::join(served.url.clone(), 0).await;
    let (connection, last) = stall(served.address(), &slow).await;
    let before = served.memory();
    let (most, watching) = watch(&served);
    let jetstream = jetstream(&plain(&server).await);
    let large = "x".repeat(LARGE);
    let text = |number: u64| format!("{number} {large}");
    for number in 0..MISSED {
        broadcast(&jetstream, "g", &text(number)).await;
    }
    until("the reader to be dropped", || {
        served.stderr().contains("the client does not take")
    })
    .await;
    // Its connection is closed too, though it has not said anything.
    served.has("streams", 1).await;
    // Nobody else notices.
    broadcast(&jetstream, "g0", "are you there?").await;
    assert_eq!(heard(&quick.events.push().await.data).1, "are you there?");
    watching.abort();
    let most = most.load(Ordering::Relaxed);
    println!("{} MiB before, {} MiB at most", before / MIB, most / MIB);
    assert!(
        most < before + 48 * MIB,
        "{} MiB before, {} MiB at most",
        before / MIB,
        most / MIB
    );

    let mut events = slow.listen(Some(&last)).await;
    for number in 0..MISSED {
        let event = events.push().await;
        assert_eq!(heard(&event.data).1, text(number));
    }
    drop(connection);
    broadcast(&jetstream, "g", "and on").await;
    assert_eq!(heard(&events.push().await.data).1, "and on");
}
