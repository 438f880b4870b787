//! MCP over pipes: whatever lines come, the gateway says nothing but JSON-RPC, answers each request that it can read exactly
//! once, and ends when its client is gone.
//!
//! Lines of an input that begin with `%% ` are the answers of the client to what it is asked, in this order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jacquard::gateway::stdio::serve_on;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::bed::{self, Bed};
use super::client::{Answers, Seen};
use super::judge::{Sent, answered, at_most_one_each};

/// What a pipe holds, in bytes.
const PIPE: usize = 64 * 1024;
/// How long an answer may take, and the end: far more than either ever does.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a session that has not begun may take to refuse to.
const BEGIN: Duration = Duration::from_millis(300);
/// How long a session may go on by itself when its client is gone.
const LINGER: Duration = Duration::from_millis(1500);
/// The same of one with a stream of news, which ends by itself only then.
const LISTEN: Duration = Duration::from_millis(20);

/// How long a line waits for what it brings back.
const WAIT: Duration = Duration::from_millis(60);
/// What begins a line that is an answer.
const ANSWER: &[u8] = b"%% ";

/// What a client says.
struct Script {
    lines: Vec<Vec<u8>>,
    answers: Answers,
}

impl Script {
    fn of(input: &[u8]) -> Self {
        let mut lines = Vec::new();
        let mut answers = Vec::new();
        for line in input.split(|b| *b == b'\n') {
            match line.strip_prefix(ANSWER) {
                Some(answer) => answers.push(String::from_utf8_lossy(answer).into_owned()),
                None => lines.push(line.to_vec()),
            }
        }
        Self {
            lines,
            answers: Answers::new(answers),
        }
    }

    /// The messages in it.
    fn sent(&self) -> Vec<Sent> {
        let lines = self.lines.iter();
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.filter_map(Sent::of).collect()
    }
}

/// Takes an input.
pub fn run(input: &[u8]) {
    let script = Script::of(input);
    let mut sent = script.sent();
    let (answers, said) = bed::with(|bed| bed.runtime.block_on(session(bed, script, &sent)));
    // Where one of its answers looks like a request, that is told once, too.
    sent.extend(said.iter().filter_map(|line| Sent::of(line.as_bytes())));
    at_most_one_each(&sent, &answers);
}

/// Says the lines, each when what it brings back is known, and what comes meanwhile; then what comes until there is no more.
async fn speak(
    mut pipe: DuplexStream,
    lines: Vec<Vec<u8>>,
    mut more: mpsc::UnboundedReceiver<String>,
    mut seen: watch::Receiver<Seen>,
) -> DuplexStream {
    let mut before = Seen::default();
    // A gateway that has ended takes no more.
    for mut line in lines {
        let text = std::str::from_utf8(&line).ok();
        if let Some(text) = text.filter(|text| text.contains('$')) {
            let known = seen.wait_for(|seen| seen.knows(text, &before));
            let _ = tokio::time::timeout(WAIT, known).await;
            before = seen.borrow().clone();
            // Its id stays the one that an answer is waited for.
            let its = Sent::of(text.as_bytes()).and_then(|sent| sent.id);
            if !its.is_some_and(|id| id.contains('$')) {
                line = before.fill(text).into_bytes();
            }
        }
        line.push(b'\n');
        let _ = pipe.write_all(&line).await;
        while let Ok(answer) = more.try_recv() {
            let _ = pipe.write_all(format!("{answer}\n").as_bytes()).await;
        }
    }
    while let Some(answer) = more.recv().await {
        let _ = pipe.write_all(format!("{answer}\n").as_bytes()).await;
    }
    pipe
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

/// One session: what it was answered, and what it has answered itself.
async fn session(bed: &Bed, script: Script, sent: &[Sent]) -> (Vec<(String, bool)>, Vec<String>) {
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
    let (say, more) = mpsc::unbounded_channel();
    let (see, seen) = watch::channel(Seen::default());
    let speaking = tokio::spawn(speak(to_gateway, script.lines, more, seen));
    let mut own = script.answers;
    let mut said = Vec::new();
    let mut answers = Vec::new();
    let due = due(sent);
    let mut open = due.clone();
    let begun = Instant::now();
    while !(open.is_empty() || serving.is_finished()) {
        tokio::select! {
            Some(line) = told.recv() => {
                            see.send_modify(|seen| seen.note(&line));
                if let Some(answer) = own.next(&line) {
                    said.push(answer.clone());
                    let _ = say.send(answer);
                }
                if let Some((id, well)) = answered(&line) {
                    open.remove(id.as_str());
                    answers.push((id, well));
                }
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                // Before it has begun, nothing has to be answered.
                if !has_begun(sent, &answers) && begun.elapsed() > BEGIN {
                    break;
                }
                assert!(begun.elapsed() < LIMIT, "no answer to {open:?}");
            }
        }
    }
    drop(say);
    let client = speaking.await;
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
    (answers, said)
}
