//! MCP over HTTP: whatever requests come, each is answered with HTTP, none with 500, and JSON-RPC is answered with JSON-RPC.
//!
//! An input is requests, one after the other, with a line `%%` between two: `METHOD PATH`, headers, an empty line, the body.
//! `$S` in a header is the session that an answer named last, `$E` the id of the last event. Requests that begin with `%% ` are
//! sent when the client is asked, in this order.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jacquard::gateway::http::{Settings, bind, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::bed::{self, Bed};
use super::client::{Answers, Seen};
use super::judge::{Sent, answered, at_most_one_each};

/// How long an answer may take: far more than any does.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a stream is listened to.
const LISTEN: Duration = Duration::from_millis(20);
/// How long an answer may take to a request whose body may never end.
const ENDLESS: Duration = Duration::from_millis(200);
/// The most requests of an input.
const MOST: usize = 40;
/// What the client writes into the head by itself; an input that says more of these need not be understood.
const FRAMING: &[&str] = &[
    "content-length",
    "transfer-encoding",
    "connection",
    "expect",
    "upgrade",
    "te",
];

/// What begins a request that answers.
const ANSWER: &[u8] = b"%% ";

/// What the client knows.
struct Client {
    address: SocketAddr,
    session: String,
    event: String,
    seen: Seen,
    answers: Answers,
}

/// A request of an input.
struct Request<'a> {
    line: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
}

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Takes an input.
pub fn run(input: &[u8]) {
    bed::with(|bed| {
        let address = listening(bed);
        bed.runtime.block_on(requests(address, input));
    });
}

/// Where the gateway listens; it begins to at the first input.
fn listening(bed: &Bed) -> SocketAddr {
    thread_local!(static ADDRESS: RefCell<Option<SocketAddr>> = const { RefCell::new(None) });
    ADDRESS.with_borrow_mut(|known| {
        *known.get_or_insert_with(|| {
            let address = SocketAddr::from(([127, 0, 0, 1], 0));
            let settings = Settings::new(&bed.setup, Some(address), false);
            let settings = settings.unwrap_or_else(|error| panic!("{error}"));
            let listener = bed.runtime.block_on(bind(&settings));
            let listener = listener.unwrap_or_else(|error| panic!("{error}"));
            let address = listener.local_addr();
            let stop = CancellationToken::new();
            let serving = serve(Arc::clone(&bed.gateway), listener, settings, stop);
            bed.runtime.spawn(serving);
            address.unwrap_or_else(|error| panic!("{error}"))
        })
    })
}

async fn requests(address: SocketAddr, input: &[u8]) {
    let (answers, requests) = Request::all(input);
    let mut client = Client {
        address,
        session: String::from("none"),
        event: String::from("0"),
        seen: Seen::default(),
        answers: Answers::new(answers),
    };
    let mut begun = Vec::new();
    for request in requests.into_iter().take(MOST) {
        let answer = request.send(&mut client).await;
        request.judge(answer.as_ref(), &client);
        let Some(answer) = answer else { continue };
        for message in answer.texts() {
            client.seen.note(&message);
        }
        if let Some(event) = answer.event() {
            client.event = event;
        }
        if let Some(named) = answer.header("mcp-session-id") {
            client.session = named.to_owned();
            begun.push(client.session.clone());
        }
    }
    for session in begun {
        let end = Request {
            line: "DELETE /mcp",
            headers: vec![("mcp-session-id", &session)],
            body: b"",
        };
        let answer = end.send(&mut client).await;
        end.judge(answer.as_ref(), &client);
    }
}

impl Client {
    /// Answers what it is asked in the part of a response that has come; `known` messages of it were looked at before.
    async fn answer(&mut self, part: &[u8], known: &mut usize) {
        let Some(part) = Answer::of(part) else { return };
        for message in part.texts().into_iter().skip(*known) {
            // The last one may not be whole yet.
            if serde_json::from_str::<Value>(&message).is_err() {
                return;
            }
            *known += 1;
            if let Some(body) = self.answers.next(&message) {
                let answer = Request {
                    line: "POST /mcp",
                    headers: vec![
                        ("content-type", "application/json"),
                        ("accept", "application/json, text/event-stream"),
                        ("mcp-session-id", "$S"),
                    ],
                    body: body.as_bytes(),
                };
                let sent = tokio::time::timeout(LIMIT, answer.put(self)).await;
                let status = sent.ok().flatten().map_or(0, |answer| answer.status);
                assert!(
                    (200..500).contains(&status),
                    "{status} to an answer: {body}"
                );
            }
        }
    }
}

impl<'a> Request<'a> {
    /// The bodies that answer, and the requests.
    fn all(input: &'a [u8]) -> (Vec<String>, Vec<Self>) {
        let mut answers = Vec::new();
        let mut all = Vec::new();
        let mut rest = input;
        loop {
            let end = rest.windows(4).position(|w| w == b"\n%%\n");
            let part = &rest[..end.unwrap_or(rest.len())];
            match part.strip_prefix(ANSWER) {
                Some(answer) => answers.push(String::from_utf8_lossy(answer).into_owned()),
                None => all.extend(Self::of(part)),
            }
            match end {
                Some(at) => rest = &rest[at + 4..],
                None => return (answers, all),
            }
        }
    }

    fn of(text: &'a [u8]) -> Option<Self> {
        let blank = text.windows(2).position(|w| w == b"\n\n");
        let (head, body) = match blank {
            Some(at) => (&text[..at], &text[at + 2..]),
            None => (text, &b""[..]),
        };
        let mut lines = std::str::from_utf8(head).ok()?.lines();
        let line = lines.next()?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name, value.trim()));
        Some(Self {
            line,
            headers: headers.collect(),
            body,
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// Whether it says how it is sent, so that it may be no HTTP at all.
    fn is_framed(&self) -> bool {
        FRAMING.iter().any(|name| self.header(name).is_some())
    }

    /// Whether its answer may stay open.
    fn listens(&self) -> bool {
        let about = |needle: &[u8]| self.body.windows(needle.len()).any(|w| w == needle);
        !self.line.starts_with("POST ") || about(b"listen") || self.is_framed()
    }

    fn bytes(&self, client: &Client) -> Vec<u8> {
        let mut head = format!("{} HTTP/1.1\r\n", self.line);
        if self.header("host").is_none() {
            head.push_str(&format!("host: {}\r\n", client.address));
        }
        for (name, value) in &self.headers {
            let value = value.replace("$S", &client.session);
            let value = value.replace("$E", &client.event);
            let value = client.seen.fill(&value);
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.body(client);
        head.push_str("connection: close\r\n");
        if !self.is_framed() {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(body);
        bytes
    }

    /// The body, with what it brings back.
    fn body(&self, client: &Client) -> Vec<u8> {
        let text = std::str::from_utf8(self.body).ok();
        let text = text.filter(|text| text.contains('$'));
        text.map_or(self.body.to_vec(), |text| {
            client.seen.fill(text).into_bytes()
        })
    }

    /// Sends it and nothing else.
    async fn put(&self, client: &Client) -> Option<Answer> {
        let mut stream = TcpStream::connect(client.address).await.ok()?;
        stream.write_all(&self.bytes(client)).await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        Answer::of(&bytes)
    }

    /// Sends it, and answers what is asked on the way; `None` where the connection was closed without a word.
    async fn send(&self, client: &mut Client) -> Option<Answer> {
        let stream = TcpStream::connect(client.address).await;
        let mut stream = stream.unwrap_or_else(|error| panic!("nobody listens: {error}"));
        // Who refuses a request need not read it.
        let _ = stream.write_all(&self.bytes(client)).await;
        let mut bytes = Vec::new();
        let mut known = 0;
        let mut limit = if self.is_framed() { ENDLESS } else { LIMIT };
        loop {
            let read = tokio::time::timeout(limit, stream.read_buf(&mut bytes)).await;
            match read {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => client.answer(&bytes, &mut known).await,
                Err(_) if self.listens() => break,
                Err(_) => panic!("no end of the answer to {}", self.line),
            }
            if self.listens() {
                limit = LISTEN;
            }
        }
        Answer::of(&bytes)
    }

    fn judge(&self, answer: Option<&Answer>, client: &Client) {
        let Some(answer) = answer else {
            assert!(
                !self.is_plain(),
                "no answer to {} {:?}",
                self.line,
                self.headers
            );
            return;
        };
        let said = || String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status != 500, "{}: {}", self.line, said());
        let sent = self.body(client);
        let sent: Vec<Sent> = Sent::of(&sent).into_iter().collect();
        let answers = answer.messages();
        if !self.is_framed() {
            at_most_one_each(&sent, &answers);
        }
        let due = |sent: &Sent| sent.plain && sent.id.is_some() && !self.listens();
        if self.is_plain()
            && answer.status == 200
            && sent.iter().any(due)
            && self.line == "POST /mcp"
        {
            // The rest of a response that ends early is there for whoever asks for it.
            let later = usize::from(!answer.is_for_later());
            assert!((later..=1).contains(&answers.len()), "{}", said());
        }
    }

    /// Whether it is HTTP as every client speaks it.
    fn is_plain(&self) -> bool {
        let word = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let printed = |text: &str| text.bytes().all(|b| (b'!'..=b'~').contains(&b));
        let Some((method, path)) = self.line.split_once(' ') else {
            return false;
        };
        let known = ["GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD", "PATCH"];
        known.contains(&method)
            && path.starts_with('/')
            && printed(path)
            && self.headers.iter().all(|(name, value)| {
                word(name) && value.bytes().all(|b| (b' '..=b'~').contains(&b))
            })
            && !self.is_framed()
    }
}

impl Answer {
    fn of(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.strip_prefix("http/1.")?.get(2..5)?.parse().ok()?;
        let mut answer = Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = joined(&answer.body);
        }
        Some(answer)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Whether its client is told when to come back.
    fn is_for_later(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        text.lines().any(|line| line.starts_with("retry:"))
    }

    /// The id of its last event.
    fn event(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let mut ids = text.lines().filter_map(|line| line.strip_prefix("id:"));
        ids.next_back().map(|id| id.trim().to_owned())
    }

    fn is_stream(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default();
        kind.starts_with("text/event-stream")
    }

    /// The messages of a stream, or a body of JSON.
    fn texts(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.body);
        if !self.is_stream() {
            return Vec::from([text.into_owned()]);
        }
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let data = data.map(str::trim).filter(|data| !data.is_empty());
        data.map(str::to_owned).collect()
    }

    /// The answers in it. What is said to be JSON is JSON.
    fn messages(&self) -> Vec<(String, bool)> {
        if self.is_stream() {
            return self.texts().iter().filter_map(|t| answered(t)).collect();
        }
        let text = String::from_utf8_lossy(&self.body);
        let kind = self.header("content-type").unwrap_or_default();
        // A HEAD has no body.
        if !kind.starts_with("application/json") || text.is_empty() {
            return Vec::new();
        }
        let value: Result<Value, _> = serde_json::from_str(&text);
        let value = value.unwrap_or_else(|error| panic!("no JSON ({error}): {text}"));
        let is_message = value.get("jsonrpc").is_some();
        let answer = is_message.then(|| answered(&text)).flatten();
        answer.into_iter().collect()
    }
}

/// A body that came in chunks, as far as it came.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = std::str::from_utf8(&rest[..end]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let Some(chunk) = size.and_then(|size| rest.get(end + 2..end + 2 + size)) else {
            break;
        };
        body.extend(chunk);
        rest = rest.get(end + 4 + chunk.len()..).unwrap_or_default();
    }
    body
}
