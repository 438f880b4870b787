//! The real thing: routers, workers and pipelines of LOOM and Heddle, on a NATS server of a test (`tests/mesh`).
//!
//! Both releases are fetched once, at the versions that `tests/mesh` pins. They are ended by force: one of them does not
//! end otherwise.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use async_nats::Client;
use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use tempfile::TempDir;

use super::fetched::{Wanted, interpreter};
use super::server::{NatsServer, settled};

/// How long the actors may take until they listen: Python starts slowly on a busy machine.
const START: Duration = Duration::from_secs(120);

/// Which of the two names everything bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `heddle-ai`, subjects below `heddle`.
    Heddle,
    /// `loom-ai`, subjects below `loom`.
    Loom,
}

/// Both.
pub const DIALECTS: [Dialect; 2] = [Dialect::Heddle, Dialect::Loom];

impl Dialect {
    /// What subjects begin with; also the name of the Python package.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Heddle => "heddle",
            Self::Loom => "loom",
        }
    }

    /// A worker's file: of `configs/docman` where this release can run it, else of `tests/mesh/files`.
    fn worker(self, name: &str) -> PathBuf {
        let docman = root().join(format!("configs/docman/workers/{name}.yaml"));
        match self {
            Self::Heddle if docman.exists() => docman,
            Self::Heddle | Self::Loom => files().join(format!("workers/{name}.yaml")),
        }
    }

    /// The interpreter that has this release.
    pub fn python(self) -> PathBuf {
        static FETCHED: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
        let (at, name, source) = match self {
            Self::Heddle => (0, "mesh-heddle", "mesh/heddle"),
            Self::Loom => (1, "mesh-loom", "mesh/loom"),
        };
        let wanted = Wanted {
            name,
            source,
            files: &["requirements.txt"],
            needs: "python3 (3.11 or newer) with venv and pip",
        };
        interpreter(FETCHED[at].get_or_init(|| wanted.python()))
    }
}

/// What can be started.
#[derive(Debug, Clone, Copy)]
pub enum Actor {
    /// The router with a file of rules of `tests/mesh/files`.
    Router(&'static str),
    /// A processor worker, by the name in its file.
    Worker(&'static str),
    /// A pipeline, by the name in its file; of `configs/docman` or `tests/mesh/files`.
    Pipeline(&'static str),
    /// A panel whose agents are workers, by the name of its file (Heddle only).
    Council(&'static str),
}

/// The router with rules that limit nothing.
pub const ROUTER: Actor = Actor::Router("router_rules.yaml");

impl Actor {
    /// The subject on which it waits for work.
    fn subject(self, prefix: &str) -> String {
        match self {
            Self::Router(_) => format!("{prefix}.tasks.incoming"),
            Self::Worker(name) => format!("{prefix}.tasks.{name}.local"),
            Self::Pipeline(_) | Self::Council(_) => format!("{prefix}.goals.incoming"),
        }
    }

    /// The script of `tests/mesh` that runs it, with what goes before `--config`; and its file.
    fn launch(self, dialect: Dialect) -> (Vec<&'static str>, PathBuf) {
        let stock = |what| vec!["run.py", dialect.prefix(), what];
        match self {
            Self::Router(rules) => (stock("router"), files().join(rules)),
            Self::Worker(name) => (stock("processor"), dialect.worker(name)),
            Self::Pipeline(name) => {
                let file = format!("orchestrators/{name}.yaml");
                let docman = root().join("configs/docman").join(&file);
                let config = if docman.exists() {
                    docman
                } else {
                    files().join(file)
                };
                (stock("pipeline"), config)
            }
            Self::Council(name) => {
                let config = files().join(format!("councils/{name}.yaml"));
                (vec!["council.py"], config)
            }
        }
    }
}

/// A running mesh. Dropping it kills its processes.
pub struct Mesh {
    dialect: Dialect,
    url: String,
    dir: TempDir,
    running: Vec<(Actor, Child)>,
}

impl Mesh {
    /// Starts these actors, and waits until each of them listens.
    pub async fn start(dialect: Dialect, server: &NatsServer, actors: &[Actor]) -> Self {
        let mut mesh = Self {
            dialect,
            url: server.url(),
            dir: tempfile::tempdir().unwrap(),
            running: Vec::new(),
        };
        for actor in actors {
            mesh.launch(*actor);
        }
        mesh.listening().await;
        mesh
    }

    /// Starts one more actor, and waits until it listens (no other actor may listen there already).
    pub async fn add(&mut self, actor: Actor) {
        self.launch(actor);
        self.listening().await;
    }

    /// Kills every process of one actor.
    pub fn kill(&mut self, actor: Actor) {
        let subject = actor.subject("");
        let (gone, stay) = self
            .running
            .drain(..)
            .partition(|(other, _)| other.subject("") == subject);
        self.running = stay;
        end(gone);
    }

    /// Whether anybody listens where this actor waits for work.
    pub async fn serves(&self, actor: Actor) -> bool {
        let client = async_nats::connect(&self.url).await.unwrap();
        heard(&client, &actor.subject(self.dialect.prefix())).await
    }

    /// What an actor has written, for a failing test.
    fn logs(&self) -> String {
        let logs = fs::read_dir(self.dir.path()).unwrap().flatten();
        logs.map(|log| {
            let text = fs::read(log.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            format!("--- {}\n{last}\n", log.file_name().display())
        })
        .collect()
    }

    fn launch(&mut self, actor: Actor) {
        let (script, config) = actor.launch(self.dialect);
        let home = root().join("tests/mesh");
        let at = self.running.len();
        let log = File::create(self.dir.path().join(format!("{at}-{actor:?}.log"))).unwrap();
        let child = Command::new(self.dialect.python())
            .arg(home.join(script[0]))
            .args(&script[1..])
            .arg("--config")
            .arg(config)
            .args(["--nats-url", &self.url])
            .current_dir(self.dir.path())
            .env("PYTHONPATH", &home)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.push((actor, child));
    }

    /// Waits until somebody listens on the subject of every actor.
    async fn listening(&mut self) {
        let client = async_nats::connect(&self.url).await.unwrap();
        let started = Instant::now();
        for at in 0..self.running.len() {
            let actor = self.running[at].0;
            let subject = actor.subject(self.dialect.prefix());
            while !heard(&client, &subject).await {
                let ended = self.running[at].1.try_wait().unwrap();
                assert!(
                    ended.is_none() && started.elapsed() < START,
                    "{actor:?} does not listen on {subject} ({ended:?}):\n{}",
                    self.logs()
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.logs());
        }
        end(self.running.drain(..).collect());
    }
}

fn end(mut actors: Vec<(Actor, Child)>) {
    for (_, child) in &mut actors {
        let _ = child.kill();
    }
    for (_, child) in &mut actors {
        let _ = child.wait();
    }
}

/// Whether somebody listens there: an empty message is passed over by all of them, and the server says when it reaches nobody.
async fn heard(client: &Client, subject: &str) -> bool {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    client
        .publish_with_reply(subject.to_owned(), inbox, "".into())
        .await
        .unwrap();
    settled(client).await;
    answers.next().now_or_never().is_none()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files() -> PathBuf {
    root().join("tests/mesh/files")
}
