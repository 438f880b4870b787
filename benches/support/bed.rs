//! The bed: folders of its own, a nats-server of its own, and ways to reach it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jacquard::bus::local::{LocalServer, Options};
use jacquard::gateway::{DEFAULT_CONFIG, Gateway, Setup};
use jacquard::project::{Environment, discover};
use jacquard::spec::config;
use jacquard::spec::source::Source;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::client::{Client, ECHO};
use super::web::Served;
use super::{Fallible, workers};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_jacquard");
/// The namespace of the channels.
pub const NAMESPACE: &str = "bench";
/// How long NATS may take to be there.
const CONNECT: Duration = Duration::from_secs(5);

/// What the program is started with.
#[derive(Clone, Copy)]
pub enum Config {
    /// Nothing: the default config.
    Default,
    /// Pack `agents`, as it is shipped.
    Agents,
    /// A gateway before a mesh with one worker.
    Mesh,
}

/// Where everything runs.
pub struct Bed {
    /// What drives everything that is measured inside this process.
    pub runtime: Runtime,
    server: LocalServer,
    folder: TempDir,
}

impl Bed {
    /// Makes the folders and starts the server: the one of `NATS_SERVER`, else of the path, else a fetched one.
    pub fn start() -> Fallible<Self> {
        // One thread: the least that a request can cost in this process is the floor to compare with.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let folder = tempfile::tempdir()?;
        let options = Options {
            data_dir: folder.path().join("nats"),
            // This process stops the server itself, before its folder goes.
            supervisor: None,
            ..Options::from_env()?
        };
        let tell = |notice: jacquard::bus::local::Notice| eprintln!("{notice}");
        let server = runtime.block_on(LocalServer::join(options, &tell))?;
        let channel = |name: &str| {
            json!({"name": name, "description": "Bench", "maxMessages": 1_000_000,
                   "maxBytes": 1_u64 << 30, "maxAge": "24h"})
        };
        let project = json!({
            "namespace": NAMESPACE,
            "channels": [channel("raw"), channel("bus"), channel("engine"), channel("stdio"), channel("history")],
        });
        std::fs::write(
            folder.path().join(".loominal-config.json"),
            project.to_string(),
        )?;
        Ok(Self {
            runtime,
            server,
            folder,
        })
    }

    /// Stops the server.
    pub fn stop(self) -> Fallible<()> {
        Ok(self.runtime.block_on(self.server.leave())?)
    }

    /// What this runs on, in one line, without saying where.
    pub fn machine(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kernel = kernel.trim().split('-').next().unwrap_or_default();
        format!(
            "{cores} cores, {} {kernel}, nats-server {}",
            std::env::consts::OS,
            self.server.version()
        )
    }

    /// The address of the server, with its token.
    pub fn url(&self) -> String {
        let address = self.server.url();
        address.replacen("nats://", &format!("nats://{}@", self.server.token()), 1)
    }

    /// An address where nothing listens.
    pub fn dead_url() -> Fallible<String> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(format!("nats://127.0.0.1:{port}"))
    }

    fn variables(&self, url: &str) -> [(&'static str, String); 7] {
        let at = |path: &Path| path.to_string_lossy().into_owned();
        let home = self.folder.path().join("home");
        [
            ("HOME", at(&home)),
            ("XDG_DATA_HOME", at(&home.join("data"))),
            ("XDG_CACHE_HOME", at(&home.join("cache"))),
            ("JACQUARD_DATA_DIR", at(&home.join("jacquard"))),
            ("MCP_PROJECT_PATH", at(self.folder.path())),
            ("NATS_URL", url.to_owned()),
            ("LOG_LEVEL", "warn".to_owned()),
        ]
    }

    /// The program, in an environment of its own.
    fn program(&self, url: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .envs(self.variables(url))
            .current_dir(self.folder.path());
        command
    }

    /// Starts the program as an MCP client does.
    pub fn client(&self, url: &str) -> Fallible<Client> {
        let mut command = self.program(url);
        command.stderr(Stdio::null());
        Client::spawn(command)
    }

    /// Writes the files of a config; none for the default one.
    fn config(&self, config: Config) -> Fallible<Option<PathBuf>> {
        let files = match config {
            Config::Default => return Ok(None),
            Config::Agents => &[("agents.yaml", include_str!("../../configs/agents.yaml"))][..],
            Config::Mesh => &workers::FILES,
        };
        for (name, text) in files {
            std::fs::write(self.folder.path().join(name), text)?;
        }
        Ok(files.first().map(|(name, _)| self.folder.path().join(name)))
    }

    /// Starts the program with such a config as an MCP client does.
    pub fn client_with(&self, config: Config) -> Fallible<Client> {
        let mut command = self.program(&self.url());
        if let Some(path) = self.config(config)? {
            command.arg("--config").arg(path);
        }
        command.stderr(Stdio::null());
        Client::spawn(command)
    }

    /// Starts the program over HTTP on a free port.
    pub fn served(&self, config: Config) -> Fallible<Served> {
        let mut command = self.program(&self.url());
        command.args(["serve", "--http", "127.0.0.1:0"]);
        if let Some(path) = self.config(config)? {
            command.arg("--config").arg(path);
        }
        // It logs where it listens.
        command.env("LOG_LEVEL", "info");
        Served::start(command)
    }

    /// Starts a program that answers each line with itself.
    pub fn echo() -> Fallible<Client> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ECHO);
        Client::spawn(command)
    }

    /// The same gateway inside this process, connected.
    pub fn gateway(&self) -> Fallible<Arc<Gateway>> {
        self.gateway_of(DEFAULT_CONFIG.1)
    }

    /// A gateway inside this process with a pack of its own, given as the text of its file.
    pub fn gateway_with(&self, pack: &str) -> Fallible<Arc<Gateway>> {
        let folder = self.folder.path().join("bench");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("tools.yaml"), pack)?;
        self.gateway_of("packs: [./bench]")
    }

    fn gateway_of(&self, config: &str) -> Fallible<Arc<Gateway>> {
        let env = Environment::from_iter(self.variables(&self.url()));
        let (config, report) = config::load(Source::new(DEFAULT_CONFIG.0, config), None);
        let setup = Setup {
            config: config.ok_or_else(|| report.to_string())?,
            base: self.folder.path().into(),
            facts: discover(None, None, &env).map_err(|report| report.to_string())?,
            allow_local: false,
        };
        self.runtime.block_on(async {
            let gateway = Gateway::start(setup, &env).await?;
            gateway.nats().bus().wait_connected(CONNECT).await?;
            Ok(gateway)
        })
    }

    /// Connects to NATS without anything of ours, on whatever runtime drives this.
    pub fn dial(
        &self,
    ) -> impl Future<Output = Result<async_nats::Client, async_nats::ConnectError>> + Send + 'static
    {
        let options = async_nats::ConnectOptions::with_token(self.server.token().to_owned());
        let address = self.server.url().to_owned();
        async move { options.connect(address).await }
    }

    /// NATS without anything of ours, on the runtime of the bed.
    pub fn raw(&self) -> Fallible<async_nats::Client> {
        Ok(self.runtime.block_on(self.dial())?)
    }

    /// JetStream without anything of ours.
    pub fn jetstream(&self) -> Fallible<async_nats::jetstream::Context> {
        let client = self.raw()?;
        // A context starts a task when it is made.
        let _entered = self.runtime.enter();
        Ok(async_nats::jetstream::new(client))
    }
}
