//! A client that writes and reads lines, to see exactly what goes over the pipe.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::LIMIT;

/// A gateway on pipes. Every line it prints must be a JSON-RPC message, in every test.
pub struct Raw {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Messages that were read while another was waited for.
    kept: Vec<Value>,
    stderr: Arc<Mutex<String>>,
}

impl Raw {
    /// Starts it and says nothing yet.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if send.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let pipe = child.stderr.take().unwrap();
        std::thread::spawn({
            let stderr = Arc::clone(&stderr);
            move || keep(pipe, &stderr)
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            kept: Vec::new(),
            stderr,
        }
    }

    /// Starts it and opens the session.
    pub fn start(command: Command) -> Self {
        let mut raw = Self::spawn(command);
        raw.initialize();
        raw
    }

    /// Opens the session; gives the answer.
    pub fn initialize(&mut self) -> Value {
        self.initialize_as(json!({}))
    }

    /// The same as a client that can do this.
    pub fn initialize_as(&mut self, capabilities: Value) -> Value {
        let params = json!({
            "protocolVersion": "2025-06-18", "capabilities": capabilities,
            "clientInfo": {"name": "raw", "version": "1"}
        });
        self.request("init", "initialize", params);
        let answer = self.answer("init");
        self.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    /// Writes a line as it is.
    pub fn line(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(b"\n");
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// Sends a request.
    pub fn request(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        let request =
            json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params});
        self.line(&request.to_string());
    }

    /// Sends a tool call.
    pub fn call(&mut self, id: impl Into<Value>, tool: &str, args: Value) {
        self.request(id, "tools/call", json!({"name": tool, "arguments": args}));
    }

    /// Waits for the answer to a request.
    pub fn answer(&mut self, id: impl Into<Value>) -> Value {
        let id = id.into();
        let answer = self.answer_within(&id, LIMIT);
        answer.unwrap_or_else(|| panic!("no answer to {id}; stderr:\n{}", self.stderr()))
    }

    /// Waits for the answer to a request, or for the time to be over.
    pub fn answer_within(&mut self, id: &Value, limit: Duration) -> Option<Value> {
        let until = Instant::now() + limit;
        loop {
            if let Some(at) = self.kept.iter().position(|m| m.get("id") == Some(id)) {
                return Some(self.kept.remove(at));
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.kept.push(message(&line)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Waits for the next message without an id: the error that it tells.
    pub fn refusal(&mut self) -> Value {
        let without = |message: &Value| message.get("id").is_none() && message["error"].is_object();
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.kept.iter().position(without) {
                return self.kept.remove(at)["error"].take();
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.kept.push(message(&line)),
                Err(_) => panic!("nothing is refused; stderr:\n{}", self.stderr()),
            }
        }
    }

    /// Waits for the next notification of a method: its parameters.
    pub fn notification(&mut self, method: &str) -> Value {
        self.message(method)["params"].take()
    }

    /// Waits for the next message of a method, which may be a request.
    pub fn message(&mut self, method: &str) -> Value {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.kept.iter().position(|m| m["method"] == method) {
                return self.kept.remove(at);
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.kept.push(message(&line)),
                Err(_) => panic!("no {method}; stderr:\n{}", self.stderr()),
            }
        }
    }

    /// How many notifications of a method have come and were not asked for; they are forgotten.
    pub fn told(&mut self, method: &str) -> usize {
        let before = self.kept.len();
        self.kept.retain(|message| message["method"] != method);
        before - self.kept.len()
    }

    /// What has been read and not been asked for.
    pub fn waiting(&self) -> Vec<Value> {
        self.kept.clone()
    }

    /// A call and its answer: the text, and whether it is an error.
    pub fn tool(&mut self, id: &str, tool: &str, args: Value) -> (String, bool) {
        self.call(id, tool, args);
        let answer = self.answer(id);
        let result = &answer["result"];
        let text = result["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("{answer}")).to_owned();
        (text, result["isError"] == true)
    }

    /// Closes standard input.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end of the process. What it still printed must be in order, too.
    pub fn wait(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < LIMIT, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = started.elapsed();
        self.kept
            .extend(self.lines.iter().map(|line| message(&line)));
        (status, took)
    }

    /// Ends the session in order.
    pub fn close(mut self) {
        self.hang_up();
        assert!(self.wait().0.success(), "{}", self.stderr());
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            self.lines.iter().for_each(|line| drop(message(&line)));
        }
    }
}

fn message(line: &str) -> Value {
    let value: Value = serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("standard output has {line:?}: {error}"));
    assert_eq!(value["jsonrpc"], "2.0", "{line}");
    value
}

/// Reads a pipe to its end, into a text.
pub fn keep(mut pipe: impl Read, into: &Mutex<String>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = pipe.read(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..count]);
        into.lock().unwrap().push_str(&text);
    }
}
