//! A real nats-server for a test: own port, own folder, killed at the end.

use jacquard::bus::local::{self, Options};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running (or stopped) server. Dropping it kills the process and removes its folder.
pub struct NatsServer {
    binary: PathBuf,
    dir: TempDir,
    extra: String,
    jetstream: bool,
    port: u16,
    child: Option<Child>,
}

impl NatsServer {
    /// With JetStream on disk, on a free port, without authorization.
    pub fn start() -> Self {
        Self::with_config("")
    }

    /// Like [`NatsServer::start`], with more lines of configuration.
    pub fn with_config(extra: &str) -> Self {
        let mut server = Self::stopped(extra);
        server.restart();
        server
    }

    /// With exactly these lines besides address and log: no JetStream unless they say so.
    pub fn without_jetstream(extra: &str) -> Self {
        let mut server = Self::stopped(extra);
        server.jetstream = false;
        server.restart();
        server
    }

    /// Not yet running, but its port is known: `restart` starts it.
    pub fn stopped(extra: &str) -> Self {
        Self {
            binary: binary(),
            dir: tempfile::tempdir().expect("a temporary folder for nats-server"),
            extra: extra.to_owned(),
            jetstream: true,
            port: 0,
            child: None,
        }
    }

    /// Takes a free port now, for a server that starts later.
    pub fn reserve_port(&mut self) -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        self.port = listener.local_addr().expect("its number").port();
        self.port
    }

    /// Starts the process, on the port it had before if it had one, and waits until it accepts connections.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        std::fs::write(self.dir.path().join("nats.conf"), self.config()).expect("its config file");
        let log = std::fs::File::create(self.dir.path().join("nats.log")).expect("its log file");
        let child = Command::new(&self.binary)
            .arg("-c")
            .arg(self.dir.path().join("nats.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.binary.display()));
        let id = child.id();
        self.child = Some(child);
        self.port = self.wait_for_port(id);
    }

    /// Stops the process at once, without any farewell (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// The process; it must be running.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// The port it listens on; 0 before the first start.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `nats://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its folder, for certificates and the like.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn config(&self) -> String {
        let port = if self.port == 0 {
            -1
        } else {
            i32::from(self.port)
        };
        let dir = self.dir.path().display();
        let jetstream = if self.jetstream {
            format!("jetstream {{ store_dir: \"{dir}/store\" }}\n")
        } else {
            String::new()
        };
        format!(
            "host: 127.0.0.1\nport: {port}\nports_file_dir: \"{dir}\"\n{jetstream}{}\n",
            self.extra.replace("$DIR", &dir.to_string())
        )
    }

    /// The server writes its ports to a file when it listens. A file of an earlier process has another name.
    fn wait_for_port(&mut self, id: u32) -> u16 {
        let start = Instant::now();
        loop {
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || start.elapsed() > Duration::from_secs(10) {
                let log = std::fs::read_to_string(self.dir.path().join("nats.log"));
                panic!(
                    "nats-server did not start ({ended:?}):\n{}",
                    log.unwrap_or_default()
                );
            }
            if let Some(port) = self.read_port(id) {
                return port;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn read_port(&self, id: u32) -> Option<u16> {
        // `<name of the binary>_<process id>.ports`
        let name = format!("_{id}.ports");
        let entries = std::fs::read_dir(self.dir.path()).ok()?;
        let file = entries
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().ends_with(&name))?;
        let ports: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(file.path()).ok()?).ok()?;
        let url = ports.get("nats")?.get(0)?.as_str()?;
        url.rsplit(':').next()?.parse().ok()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the server has handled everything that this client sent, a subscription for example. `flush` waits only
/// until it is written.
pub async fn settled(client: &async_nats::Client) {
    let nobody = client.new_inbox();
    let answer = client.request(nobody, "".into()).await;
    answer.expect_err("nobody listens on a new inbox");
}

/// The binary, looked for once: `NATS_SERVER`, else `PATH`, else fetched into the target folder.
pub fn binary() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            // A thread of its own: the caller may be inside a runtime already.
            std::thread::spawn(find).join().expect("a nats-server")
        })
        .clone()
}

fn find() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let options = Options {
        cache_dir: target.join("nats-server"),
        data_dir: target.join("unused"),
        ..Options::from_env().expect("the settings of NATS_SERVER and PATH")
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let found = runtime.block_on(local::find_binary(options, &|notice| println!("{notice}")));
    found.unwrap_or_else(|error| panic!("these tests need a real nats-server: {error}"))
}
