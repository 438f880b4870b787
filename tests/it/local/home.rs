//! A user's folders and the processes that use the server in them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jacquard::bus::local::Options;
use serde_json::Value;

use crate::support::server::binary;

/// How long anything in these tests may take on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(40);

/// A user of their own: folders, with a name that needs quoting, and the environment to run `jacquard` with.
pub(super) struct Home {
    temp: tempfile::TempDir,
}

impl Home {
    pub(super) fn new() -> Self {
        let temp = tempfile::Builder::new()
            .prefix("jacquard \"home\" é\\")
            .tempdir()
            .unwrap();
        Self { temp }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.temp.path().join("nats")
    }

    pub(super) fn options(&self) -> Options {
        Options {
            nats_server: Some(binary()),
            search_path: std::env::var_os("PATH"),
            cache_dir: self.temp.path().join("cache"),
            data_dir: self.dir(),
            fetch: false,
            fetch_timeout: LIMIT,
            supervisor: None,
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jacquard"));
        command
            .arg("nats")
            .args(args)
            .env("JACQUARD_DATA_DIR", self.temp.path())
            .env("XDG_CACHE_HOME", self.temp.path())
            .env("HOME", self.temp.path());
        command
    }

    /// The answer of `jacquard nats ARGS`.
    pub(super) fn nats(&self, args: &[&str]) -> Value {
        let output = self.command(args).env("NATS_SERVER", binary()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(super) fn status(&self) -> Value {
        self.nats(&["status"])
    }

    /// Whether `jacquard nats down ARGS` found a server to stop.
    pub(super) fn down(&self, args: &[&str]) -> bool {
        self.nats(&[&["down"], args].concat())["was_running"] == true
    }

    pub(super) fn hold(&self, args: &[&str]) -> User {
        let mut command = self.command(&[&["hold"], args].concat());
        command.env("NATS_SERVER", binary());
        User::start(command)
    }

    pub(super) fn wait_until_stopped(&self) {
        wait_for("the server to stop", || self.status()["running"] == false);
    }

    pub(super) fn token(&self) -> String {
        std::fs::read_to_string(self.dir().join("token")).unwrap()
    }

    pub(super) async fn connect(&self, url: &str) -> async_nats::Client {
        async_nats::ConnectOptions::with_token(self.token())
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(url)
            .await
            .unwrap()
    }
}

impl Drop for Home {
    /// Whatever a failed test left running.
    fn drop(&mut self) {
        let _ = self.command(&["down", "--force"]).output();
    }
}

/// A process that uses the server.
pub(super) struct User {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl User {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let _ = send.send(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        let stdin = child.stdin.take();
        Self {
            child,
            stdin,
            lines,
        }
    }

    pub(super) fn answer(&self) -> Value {
        self.lines.recv_timeout(LIMIT).unwrap()
    }

    /// Has it call `ensure_running`.
    pub(super) fn ask(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    pub(super) fn leave(mut self) {
        self.stdin = None;
        assert!(self.child.wait().unwrap().success());
    }

    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LIMIT, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn signal(name: &str, pid: &Value) {
    let pid = pid.as_u64().unwrap().to_string();
    let done = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(done.success());
}
