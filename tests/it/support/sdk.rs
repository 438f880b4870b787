//! Clients made with the official MCP SDKs, each a process that is driven by lines of JSON (`tests/sdk`).
//!
//! The SDKs are fetched once, at the versions that `tests/sdk` pins, with pip and npm as this machine has them configured,
//! and kept in the target folder.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::LIMIT;
use super::fetched::{Wanted, interpreter};
use super::place::Place;
use super::raw::keep;

/// An official SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// `mcp` for Python, first generation: it knows versions up to 2025-11-25.
    Python,
    /// `@modelcontextprotocol/sdk` for Node, the same.
    Node,
    /// `mcp` for Python, second generation.
    Python2(Era),
    /// `@modelcontextprotocol/client` for Node, second generation.
    Node2(Era),
}

/// Which versions of MCP a client of the second generation speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Those that begin with `initialize`.
    Old,
    /// What the server speaks, the latest first: 2026-07-28.
    New,
}

/// All that begin with `initialize`.
pub const SDKS: [Sdk; 4] = [
    Sdk::Python,
    Sdk::Node,
    Sdk::Python2(Era::Old),
    Sdk::Node2(Era::Old),
];

impl Era {
    /// As the clients call it.
    fn mode(self) -> &'static str {
        match self {
            Self::Old => "legacy",
            Self::New => "auto",
        }
    }
}

impl Sdk {
    /// The client, as a command that waits for its arguments.
    fn command(self) -> Command {
        static FOLDERS: [OnceLock<PathBuf>; 4] = [const { OnceLock::new() }; 4];
        let (wanted, era) = self.wanted();
        let folder = |at: usize, fetch: fn(&Wanted<'static>) -> PathBuf| {
            FOLDERS[at].get_or_init(|| fetch(&wanted))
        };
        let (program, script) = match self {
            Self::Python | Self::Python2(_) => {
                let folder = folder(usize::from(era.is_some()), Wanted::python);
                (interpreter(folder), folder.join("client.py"))
            }
            Self::Node | Self::Node2(_) => {
                let folder = folder(2 + usize::from(era.is_some()), Wanted::npm);
                ("node".into(), folder.join("client.mjs"))
            }
        };
        let mut command = Command::new(program);
        command.arg(script).args(era.map(Era::mode));
        command
    }

    /// The SDK and the client, and what the client takes before other arguments.
    fn wanted(self) -> (Wanted<'static>, Option<Era>) {
        let python = |name, source| Wanted {
            name,
            source,
            files: &["requirements.txt", "client.py"],
            needs: "python3 (3.11 or newer) with venv and pip",
        };
        let node = |name, source| Wanted {
            name,
            source,
            files: &["package-lock.json", "package.json", "client.mjs"],
            needs: "node (20 or newer) and npm",
        };
        match self {
            Self::Python => (python("sdk-python", "sdk/python"), None),
            Self::Node => (node("sdk-node", "sdk/node"), None),
            Self::Python2(era) => (python("sdk-python2", "sdk/python2"), Some(era)),
            Self::Node2(era) => (node("sdk-node2", "sdk/node2"), Some(era)),
        }
    }

    /// Whether it begins with `initialize`.
    pub fn is_old(self) -> bool {
        !matches!(self, Self::Python2(Era::New) | Self::Node2(Era::New))
    }
}

/// A client with an open session. Dropping it kills its process.
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Lines that were read while another was waited for.
    kept: Vec<Value>,
    asked: u64,
    /// What it and its gateway wrote to standard error so far.
    stderr: Arc<Mutex<String>>,
    /// The answer to `initialize`, as far as the SDK tells it.
    pub ready: Value,
}

impl Client {
    /// One that starts a gateway with these arguments.
    pub fn stdio(sdk: Sdk, place: &Place, args: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_jacquard");
        Self::start(sdk, place, &[&["stdio", program], args].concat())
    }

    /// One of the gateway at this address.
    pub fn http(sdk: Sdk, place: &Place, url: &str) -> Self {
        Self::start(sdk, place, &["http", url])
    }

    fn start(sdk: Sdk, place: &Place, args: &[&str]) -> Self {
        let gateway = place.command(&[]);
        let variables = gateway
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        let mut child = sdk
            .command()
            .args(args)
            .current_dir(place.dir())
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let pipe = child.stderr.take().unwrap();
        std::thread::spawn({
            let stderr = Arc::clone(&stderr);
            move || keep(pipe, &stderr)
        });
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if send.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        let mut client = Self {
            stdin: child.stdin.take(),
            child,
            lines,
            kept: Vec::new(),
            asked: 0,
            stderr,
            ready: Value::Null,
        };
        client.ready = client.line("ready", |line| line.get("ready").is_some())["ready"].take();
        client
    }

    /// Asks without waiting; gives the id under which the answer will come.
    pub fn ask(&mut self, what: &str, more: Value) -> u64 {
        self.asked += 1;
        let mut request = json!({"id": self.asked, "do": what});
        for (name, value) in more.as_object().into_iter().flatten() {
            request[name] = value.clone();
        }
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{request}").unwrap();
        self.asked
    }

    /// The answer: a result, or the error that the SDK reports.
    pub fn answer(&mut self, id: u64) -> Result<Value, Value> {
        let mut line = self.line("an answer", |line| line["id"] == id);
        match line.get_mut("ok") {
            Some(ok) => Ok(ok.take()),
            None => Err(line["error"].take()),
        }
    }

    /// Asks and waits.
    pub fn get(&mut self, what: &str) -> Value {
        let id = self.ask(what, Value::Null);
        self.answer(id)
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Calls a tool and waits.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Result<Value, Value> {
        let id = self.ask("call", json!({"tool": tool, "arguments": arguments}));
        self.answer(id)
    }

    /// Calls a tool that must succeed.
    pub fn ok(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self
            .call(tool, arguments)
            .unwrap_or_else(|error| panic!("{tool}: {error}"));
        assert_ne!(result["isError"], true, "{tool}: {result}");
        result
    }

    /// The next notification.
    pub fn notification(&mut self) -> Value {
        self.line("a notification", |line| line.get("notification").is_some())["notification"]
            .take()
    }

    /// The next line that has this key: what it says there, and the line.
    pub fn told(&mut self, key: &str) -> (Value, Value) {
        let line = self.line(key, |line| line.get(key).is_some());
        (line[key].clone(), line)
    }

    /// Asks for something with more, and waits.
    pub fn with(&mut self, what: &str, more: Value) -> Value {
        let id = self.ask(what, more);
        let answer = self.answer(id);
        answer.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Ends the session in order.
    pub fn close(mut self) {
        self.stdin = None;
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "the client ended with {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the client does not end");
    }

    fn line(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at);
        }
        let until = Instant::now() + LIMIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|error| panic!("waiting for {what}: {error}"));
            let line: Value = serde_json::from_str(&line).unwrap();
            if wanted(&line) {
                return line;
            }
            self.kept.push(line);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- stderr of the client\n{}", self.stderr.lock().unwrap());
        }
    }
}
