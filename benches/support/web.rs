//! The program over HTTP, and a client of it that costs next to nothing: one connection, one request at a time.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Fallible;
use super::client::status;

/// The version of MCP that is spoken.
const VERSION: &str = "2025-11-25";

/// A program that serves HTTP. Dropping it ends it.
pub struct Served {
    child: Child,
    address: String,
}

impl Served {
    /// Starts it, and waits until it says where it listens.
    pub fn start(mut command: Command) -> Fallible<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().ok_or("the program has no log")?;
        let mut served = Self {
            child,
            address: String::new(),
        };
        let mut lines = BufReader::new(log).lines();
        while served.address.is_empty() {
            let line = lines.next().ok_or("the program ended")??;
            if let Some((_, rest)) = line.split_once("listening on http://") {
                served.address = rest.split('/').next().unwrap_or_default().to_owned();
            }
        }
        // Without a reader the program would wait for room in the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(served)
    }

    /// A connection with a session of its own.
    pub async fn session(&self) -> Fallible<Web> {
        let mut web = Web::connect(&self.address).await?;
        web.initialize().await?;
        Ok(web)
    }

    /// A number of the program's `/proc/<pid>/status`.
    pub fn status(&self, name: &str) -> Option<f64> {
        status(&self.child, name)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection, kept alive.
pub struct Web {
    stream: tokio::io::BufReader<TcpStream>,
    address: String,
    session: Option<String>,
    line: String,
    body: Vec<u8>,
}

async fn connected(address: &str) -> Fallible<tokio::io::BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(tokio::io::BufReader::new(stream))
}

/// What the head of an answer says.
#[derive(Default)]
struct Head {
    status: u16,
    length: usize,
    chunked: bool,
}

impl Web {
    async fn connect(address: &str) -> Fallible<Self> {
        Ok(Self {
            stream: connected(address).await?,
            address: address.to_owned(),
            session: None,
            line: String::new(),
            body: Vec::new(),
        })
    }

    async fn initialize(&mut self) -> Fallible<()> {
        let params = json!({"protocolVersion": VERSION, "capabilities": {},
                            "clientInfo": {"name": "bench", "version": "0"}});
        let begin = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        self.ask(&self.post(&begin)).await?;
        let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.ask(&self.post(&begun)).await
    }

    fn head(&self, method: &str) -> String {
        let mut head = format!(
            "{method} /mcp HTTP/1.1\r\nhost: {}\r\naccept: application/json, text/event-stream\r\n",
            self.address
        );
        if let Some(session) = &self.session {
            head.push_str(&format!(
                "mcp-session-id: {session}\r\nmcp-protocol-version: {VERSION}\r\n"
            ));
        }
        head
    }

    /// A message as the bytes of a request.
    fn post(&self, message: &Value) -> Vec<u8> {
        let (head, body) = (self.head("POST"), message.to_string());
        format!(
            "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// A call of a tool as the bytes of a request.
    pub fn call(&self, tool: &str, arguments: &Value) -> Vec<u8> {
        self.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                          "params": {"name": tool, "arguments": arguments}}))
    }

    /// Sends a request and reads the answer, which must not be an error.
    pub async fn ask(&mut self, request: &[u8]) -> Fallible<()> {
        self.stream.get_mut().write_all(request).await?;
        let head = self.read_head().await?;
        self.body.clear();
        if head.chunked {
            while self.read_chunk().await? {}
        } else {
            self.body.resize(head.length, 0);
            self.stream.read_exact(&mut self.body).await?;
        }
        let failed = |mark: &[u8]| self.body.windows(mark.len()).any(|some| some == mark);
        if head.status / 100 != 2 || failed(b"\"isError\":true") || failed(b"\"error\":{") {
            return Err(self.refused(head.status));
        }
        Ok(())
    }

    /// Opens the stream of pushes, on a new connection: the old one may have been closed for having been idle.
    pub async fn listen(&mut self) -> Fallible<()> {
        self.stream = connected(&self.address).await?;
        let request = format!("{}\r\n", self.head("GET"));
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let head = self.read_head().await?;
        if head.status != 200 || !head.chunked {
            return Err(self.refused(head.status));
        }
        self.body.clear();
        Ok(())
    }

    /// Reads on an open stream until there is a push.
    pub async fn push(&mut self) -> Fallible<()> {
        loop {
            let end = self.body.windows(2).position(|some| some == b"\n\n");
            let Some(end) = end else {
                if !self.read_chunk().await? {
                    return Err("the stream of pushes ended".into());
                }
                continue;
            };
            let event: Vec<u8> = self.body.drain(..end + 2).collect();
            if String::from_utf8_lossy(&event).contains("\"method\"") {
                return Ok(());
            }
        }
    }

    fn refused(&self, status: u16) -> Box<dyn std::error::Error> {
        format!(
            "the program answered {status}: {}",
            String::from_utf8_lossy(&self.body)
        )
        .into()
    }

    async fn read_line(&mut self) -> Fallible<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await? == 0 {
            return Err("the program closed a connection".into());
        }
        Ok(self.line.trim_end())
    }

    async fn read_head(&mut self) -> Fallible<Head> {
        let first = self.read_line().await?;
        let status = first.split(' ').nth(1).unwrap_or_default().parse()?;
        let mut head = Head {
            status,
            ..Head::default()
        };
        loop {
            let line = self.read_line().await?;
            let Some((name, value)) = line.split_once(": ") else {
                return Ok(head);
            };
            match name {
                "content-length" => head.length = value.parse()?,
                "transfer-encoding" => head.chunked = value == "chunked",
                "mcp-session-id" => self.session = Some(value.to_owned()),
                _ => {}
            }
        }
    }

    /// Appends the next chunk to the body; `false` after the last.
    async fn read_chunk(&mut self) -> Fallible<bool> {
        let length = usize::from_str_radix(self.read_line().await?, 16)?;
        let before = self.body.len();
        self.body.resize(before + length, 0);
        let place = self.body.get_mut(before..).unwrap_or_default();
        self.stream.read_exact(place).await?;
        self.read_line().await?;
        Ok(length > 0)
    }
}
