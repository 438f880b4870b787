//! An MCP client that costs next to nothing: lines of JSON over pipes, read where they are waited for.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Builder;

use super::Fallible;

/// The argument that makes this program an [`echo`].
pub const ECHO: &str = "--echo";

/// Answers what comes with itself: the least that a program can do which, like the gateway, waits for pipes and sockets
/// at once.
pub fn echo() -> ExitCode {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let copied = runtime.block_on(async {
        let (mut input, mut output) = rmcp::transport::stdio_pipes();
        let mut buffer = vec![0; 8192];
        loop {
            match input.read(&mut buffer).await? {
                0 => return std::io::Result::Ok(()),
                read => {
                    output
                        .write_all(buffer.get(..read).unwrap_or_default())
                        .await?
                }
            }
        }
    });
    copied.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// One running program.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    line: String,
    next: u64,
}

impl Client {
    /// Starts a program with pipes.
    pub fn spawn(mut command: Command) -> Fallible<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("the program has no output")?);
        Ok(Self {
            child,
            input,
            output,
            line: String::new(),
            next: 0,
        })
    }

    /// Writes one line.
    pub fn write(&mut self, message: &str) -> Fallible<()> {
        let input = self.input.as_mut().ok_or("the program has no input")?;
        Ok(input.write_all(message.as_bytes())?)
    }

    /// Reads one line.
    pub fn read(&mut self) -> Fallible<&str> {
        self.line.clear();
        if self.output.read_line(&mut self.line)? == 0 {
            return Err("the program ended".into());
        }
        Ok(&self.line)
    }

    /// A request as one line.
    pub fn request(&mut self, method: &str, params: &Value) -> String {
        self.next += 1;
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"{method}\",\"params\":{params}}}\n",
            self.next
        )
    }

    /// A call of a tool as one line.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> String {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// Sends a request and reads the answer.
    pub fn ask(&mut self, request: &str) -> Fallible<&str> {
        self.write(request)?;
        self.read()
    }

    /// Sends requests, so many in flight, and reads all answers; the last must be no error.
    pub fn ask_all(&mut self, mut requests: VecDeque<String>, in_flight: usize) -> Fallible<()> {
        let count = requests.len();
        let first: Vec<String> = requests.drain(..in_flight.min(count)).collect();
        for request in first {
            self.write(&request)?;
        }
        for _ in 0..count {
            self.read()?;
            if let Some(request) = requests.pop_front() {
                self.write(&request)?;
            }
        }
        self.checked().map(drop)
    }

    /// The last answer; an error when it is one.
    pub fn checked(&self) -> Fallible<Value> {
        let answer: Value = serde_json::from_str(&self.line)?;
        let failed = answer.pointer("/result/isError") == Some(&Value::Bool(true));
        match answer.get("result") {
            Some(result) if !failed => Ok(result.clone()),
            _ => Err(format!("the program answered {}", self.line).into()),
        }
    }

    /// Opens the session.
    pub fn initialize(&mut self) -> Fallible<()> {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {},
                            "clientInfo": {"name": "bench", "version": "0"}});
        let request = self.request("initialize", &params);
        self.ask(&request)?;
        self.write("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")
    }

    /// Calls a tool that must succeed.
    pub fn run(&mut self, tool: &str, arguments: &Value) -> Fallible<Value> {
        let request = self.call(tool, arguments);
        self.ask(&request)?;
        self.checked()
    }

    /// A number of the program's `/proc/<pid>/status`; `None` where there is no such file.
    pub fn status(&self, name: &str) -> Option<f64> {
        status(&self.child, name)
    }

    /// Ends the program as clients do: by closing its input.
    pub fn close(mut self) -> Fallible<()> {
        self.input = None;
        self.child.wait()?;
        Ok(())
    }
}

/// A program must not outlive a run that failed.
impl Drop for Client {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A number of a program's `/proc/<pid>/status`; `None` where there is no such file.
pub fn status(child: &Child, name: &str) -> Option<f64> {
    let path = format!("/proc/{}/status", child.id());
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim_start_matches(':')
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}
