//! MCP over pipes: whatever lines come, the gateway says nothing but JSON-RPC, answers each request that it can read exactly
//! once, and ends when its client is gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jacquard::gateway::stdio::serve_on;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, duplex};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::bed::{self, Bed};
use super::judge::{Sent, answered, at_most_one_each};

/// What a pipe holds, in bytes.
const PIPE: usize = 64 * 1024;
/// How long an answer may take, and the end: far more than either ever does.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a session may go on by itself when its client is gone.
const LINGER: Duration = Duration::from_millis(1500);
/// The same of one with a stream of news, which ends by itself only then.
const LISTEN: Duration = Duration::from_millis(20);

/// Takes an input.
pub fn run(input: &[u8]) {
    // What ends without a line end is no line.
    let end = input
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let lines = input[..end].split(|b| *b == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let sent: Vec<Sent> = lines.filter_map(Sent::of).collect();
    let answers = bed::with(|bed| bed.runtime.block_on(session(bed, input, &sent)));
    at_most_one_each(&sent, &answers);
}

/// The requests that have to be answered once the session has begun.
fn due(sent: &[Sent]) -> HashSet<&str> {
    let cancelled: HashSet<String> = sent.iter().filter_map(Sent::cancels).collect();
    let mut due = HashSet::new();
    let mut twice = HashSet::new();
    for request in sent {
        let Some(id) = request.id.as_deref() else {
            continue;
        };
        if !due.insert(id) || !request.plain || request.method == "subscriptions/listen" {
            twice.insert(id);
        }
    }
    due.retain(|id| !twice.contains(id) && !cancelled.contains(*id));
    due
}

/// Whether a session has begun, as far as its answers tell: its first request went well, and where that was `initialize`, the
/// notification that has to follow came next.
fn has_begun(sent: &[Sent], answers: &[(String, bool)]) -> bool {
    let Some(first) = sent.first() else {
        return false;
    };
    let next = sent
        .get(1)
        .is_some_and(|s| s.method == "notifications/initialized" && s.plain);
    let well = |id: &String| {
        answers
            .first()
            .is_some_and(|(first, well)| first == id && *well)
    };
    first.plain && first.id.as_ref().is_some_and(well) && (next || first.method != "initialize")
}

/// One session; its answers.
async fn session(bed: &Bed, input: &[u8], sent: &[Sent]) -> Vec<(String, bool)> {
    let (to_gateway, reader) = duplex(PIPE);
    let (writer, from_gateway) = duplex(PIPE);
    let stop = CancellationToken::new();
    let serving = serve_on(Arc::clone(&bed.gateway), reader, writer, stop.clone());
    let mut serving = tokio::spawn(serving);
    let (tell, mut told) = mpsc::unbounded_channel();
    let reading = tokio::spawn(async move {
        let mut lines = BufReader::new(from_gateway).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let _ = tell.send(line);
        }
    });
    let mut to_gateway = to_gateway;
    let mut input = input.to_vec();
    input.push(b'\n');
    let writing = tokio::spawn(async move {
        // A gateway that has ended takes no more.
        let _ = to_gateway.write_all(&input).await;
        to_gateway
    });
    let mut answers = Vec::new();
    let due = due(sent);
    let mut open = due.clone();
    let begun = Instant::now();
    while !(open.is_empty() || serving.is_finished()) {
        tokio::select! {
            Some(line) = told.recv() => {
                if let Some((id, well)) = answered(&line) {
                    open.remove(id.as_str());
                    answers.push((id, well));
                }
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                // Before it has begun, nothing has to be answered.
                if !has_begun(sent, &answers) && begun.elapsed() > LINGER {
                    break;
                }
                assert!(begun.elapsed() < LIMIT, "no answer to {open:?}");
            }
        }
    }
    let client = writing.await;
    drop(client);
    let listens = sent
        .iter()
        .any(|sent| sent.method == "subscriptions/listen");
    let linger = if listens { LISTEN } else { LINGER };
    if tokio::time::timeout(linger, &mut serving).await.is_err() {
        stop.cancel();
        let ended = tokio::time::timeout(LIMIT, &mut serving).await;
        assert!(ended.is_ok(), "the session does not end");
    }
    let read = tokio::time::timeout(LIMIT, reading).await;
    assert!(read.is_ok(), "the pipe stays open");
    while let Ok(line) = told.try_recv() {
        answers.extend(answered(&line));
    }
    answers
}
