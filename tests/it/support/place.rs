//! A user of a test: home, data and project folders of their own, and the program run in them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::LIMIT;
use super::server::{NatsServer, binary};

/// The project's file; `NAMESPACE` is replaced.
const PROJECT: &str = r#"{
  "namespace": "NAMESPACE",
  "channels": [
    {"name": "roadmap", "description": "Plans", "maxMessages": 500, "maxBytes": 1048576, "maxAge": "48h"},
    {"name": "parallel-work", "description": "Who does what"}
  ]
}"#;

/// Folders of one user, and the NATS that their gateways are told of.
pub struct Place {
    dir: TempDir,
    url: Option<String>,
    /// The project's namespace, of this place alone.
    pub namespace: String,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Done {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
}

impl Place {
    /// On this server.
    pub fn on(server: &NatsServer) -> Self {
        Self::at(&server.url())
    }

    /// With this `NATS_URL`.
    pub fn at(url: &str) -> Self {
        let mut place = Self::without_nats();
        place.url = Some(url.to_owned());
        place
    }

    /// With nothing said about NATS.
    pub fn without_nats() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
            url: None,
            namespace: format!("it-{}-{count}", std::process::id()),
        };
        std::fs::create_dir(place.dir.path().join("home")).unwrap();
        place.project(&PROJECT.replace("NAMESPACE", &place.namespace));
        place
    }

    /// Writes the project's file.
    pub fn project(&self, text: &str) {
        self.write(".loominal-config.json", text);
    }

    /// The project's folder, where programs run.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// The folder of the local server.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes a file of the project and the folders it needs.
    pub fn write(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with these arguments. It sees none of the environment of the tests but `PATH`.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jacquard"));
        command.args(args).current_dir(self.dir()).env_clear();
        let kept = ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"];
        for (name, value) in std::env::vars_os().filter(|(n, _)| kept.iter().any(|k| n == k)) {
            command.env(name, value);
        }
        let root = self.dir.path();
        command
            .env("HOME", root.join("home"))
            .env("XDG_DATA_HOME", root.join("home/data"))
            .env("XDG_CACHE_HOME", root.join("home/cache"))
            .env("JACQUARD_DATA_DIR", self.data_dir())
            .env("MCP_PROJECT_PATH", self.dir())
            .env("NATS_SERVER", binary());
        if let Some(url) = &self.url {
            command.env("NATS_URL", url);
        }
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        run(self.command(args))
    }
}

impl Drop for Place {
    /// Whatever a failed test left running.
    fn drop(&mut self) {
        if self.data_dir().exists() {
            let _ = self.command(&["nats", "down", "--force"]).output();
        }
    }
}

/// Runs a command to its end, with no input.
pub fn run(mut command: Command) -> Done {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = reading(child.stdout.take().unwrap());
    let stderr = reading(child.stderr.take().unwrap());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = started.elapsed();
    Done {
        code: status.code(),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
        took,
    }
}

fn reading(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    })
}

/// How many tools a built-in pack has.
pub fn tools_of(pack: &str) -> usize {
    let packs = jacquard::catalog::builtin::PACKS;
    let pack = packs.iter().find(|p| p.name == pack).unwrap();
    pack.tools.keys().count()
}
