//! Four senders, and a recipient whose gateway is killed every second: what was acknowledged is read once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use super::{Dice, Post, list, reaper};
use crate::support::LIMIT;
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// Messages of one read, and so the most that one killed read may take with it.
const PAGE: u64 = 10;

/// Sends until told to stop.
async fn send(
    agent: &Agent,
    who: usize,
    to: &str,
    sent: &Mutex<BTreeSet<String>>,
    stop: &AtomicBool,
    dice: &Dice,
) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let text = format!("{who}-{number}");
        let args = json!({"recipientGuid": to, "message": text});
        agent.ok("warp_messages_send_direct", args).await;
        sent.lock().unwrap().insert(text);
        sleep(dice.pause(40)).await;
    }
}

/// What was read, and where something was left out.
#[derive(Default)]
struct Read {
    texts: Vec<String>,
    /// The sequence of the newest message that was read.
    last: u64,
    /// Messages that killed reads took with them.
    lost: u64,
    /// Reads without an answer since the last answer.
    unanswered: u64,
    /// All of them.
    killed: u64,
}

impl Read {
    fn take(&mut self, messages: &[serde_json::Value]) {
        for message in messages {
            let seq = message["seq"].as_u64().unwrap();
            assert!(seq > self.last, "{seq} was handed out after {}", self.last);
            let gap = seq - self.last - 1;
            assert!(
                gap <= self.unanswered * PAGE,
                "{gap} messages between {} and {seq} were never handed out, after {} killed reads",
                self.last,
                self.unanswered
            );
            self.lost += gap;
            self.last = seq;
            self.texts.push(super::super::text(&message["content"]));
            self.unanswered = 0;
        }
    }
}

/// Reads until nothing comes any more after `finished`.
async fn read(place: &Place, post: &Post, guid: &str, finished: &AtomicBool) -> Read {
    let mut read = Read::default();
    let started = Instant::now() + super::duration();
    loop {
        let (agent, again) = post.staffed(place).await;
        assert_eq!(again, guid, "the same agent after it was killed");
        loop {
            let last = finished.load(Ordering::Relaxed);
            let args = json!({"limit": PAGE, "wait": 300});
            let Ok(answer) = agent.try_call("warp_messages_read_direct", args).await else {
                post.gone(&agent);
                read.unanswered += 1;
                read.killed += 1;
                break;
            };
            assert!(!answer.error, "{}", answer.text);
            read.take(list(&answer, "messages"));
            if last && answer.structured["count"] == 0 {
                assert_eq!(answer.structured["unread"], 0);
                return read;
            }
            assert!(started.elapsed() < LIMIT, "the inbox never becomes empty");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_an_agent_that_is_killed_again_and_again_are_read_once() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let dice = Dice::new();
    let posts = [Post::new("recipient", &[])];
    // Registered once, so that the senders know whom they write to.
    let (first, guid) = posts[0].staffed(&place).await;
    first.close().await;
    let mut senders = Vec::new();
    for number in 0..4 {
        // The first seat of this folder is the recipient's.
        let variables = [("LOOMINAL_SUBAGENT_TYPE", ["a", "b", "c", "d"][number])];
        let agent = Agent::start(super::with(&place, &variables)).await;
        super::register(&agent, "sender", &[]).await;
        senders.push(agent);
    }
    let (sent, killed) = (Mutex::default(), AtomicUsize::new(0));
    let (stop, finished) = (AtomicBool::new(false), AtomicBool::new(false));
    let sending = async {
        let each = senders.iter().enumerate();
        join_all(each.map(|(who, agent)| send(agent, who, &guid, &sent, &stop, &dice))).await;
        finished.store(true, Ordering::Relaxed);
    };
    let killing = async {
        killed.store(reaper(&posts, &dice).await, Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
    };
    let ((), (), read) = tokio::join!(sending, killing, read(&place, &posts[0], &guid, &finished));
    let sent: BTreeSet<String> = sent.into_inner().unwrap();
    let once: BTreeSet<String> = read.texts.iter().cloned().collect();
    println!(
        "{} sent, {} read, {} lost with {} unanswered reads of {killed:?} killed gateways",
        sent.len(),
        once.len(),
        read.lost,
        read.killed
    );
    assert_eq!(once.len(), read.texts.len(), "a message was read twice");
    let strange: Vec<&String> = once.difference(&sent).collect();
    assert!(strange.is_empty(), "read, and never sent: {strange:?}");
    let missing: Vec<&String> = sent.difference(&once).collect();
    assert!(
        missing.len() as u64 <= read.lost + read.unanswered * PAGE,
        "{} were sent and never read, and killed reads account for {}: {missing:?}",
        missing.len(),
        read.lost
    );
    assert!(killed.into_inner() > 3, "hardly anything was killed");
}
