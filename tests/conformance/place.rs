//! Where the gateways run: folders and a NATS server that are theirs alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::listening::Listening;

/// The config whose pack is what the suite asks for.
const CONFIG: &str = "tests/conformance/config.yaml";

/// Folders, and the local NATS server in them. Dropping it ends the server.
pub struct Place {
    dir: TempDir,
    nats: String,
}

/// A gateway. Dropping it ends it.
pub struct Gateway {
    running: Listening,
    /// Where it listens.
    pub url: String,
}

impl Place {
    /// Makes the folders and starts the server.
    pub fn new() -> Self {
        let mut place = Self {
            dir: tempfile::tempdir().unwrap(),
            nats: String::new(),
        };
        std::fs::create_dir(place.dir.path().join("project")).unwrap();
        place.said(&["nats", "up"]);
        place.nats = place.said(&["nats", "url"]).trim().to_owned();
        place
    }

    /// Starts a gateway.
    pub fn serve(&self) -> Gateway {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIG);
        let mut command = self.command(&["serve", "--http", "127.0.0.1:0", "--no-watch", "-c"]);
        command.arg(config);
        let running = Listening::start(command);
        let url = running.url.clone();
        Gateway { running, url }
    }

    /// The program, which sees none of the environment but what finds programs.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jacquard"));
        let project = self.dir.path().join("project");
        command.args(args).current_dir(&project).env_clear();
        for name in ["PATH", "TMPDIR", "NATS_SERVER", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.dir.path())
            .env("XDG_CACHE_HOME", cache())
            .env("JACQUARD_DATA_DIR", self.dir.path().join("data"))
            .env("MCP_PROJECT_PATH", project)
            .env("NATS_URL", &self.nats);
        command
    }

    fn said(&self, args: &[&str]) -> String {
        let done = self.command(args).stdin(Stdio::null()).output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{args:?}: {stderr}");
        String::from_utf8(done.stdout).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.command(&["nats", "down", "--force"]).output();
    }
}

impl Gateway {
    /// What it has logged.
    pub fn log(&self) -> String {
        self.running.stderr.lock().unwrap().clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.running.child.kill().ok();
        self.running.child.wait().ok();
    }
}

/// Where a nats-server is fetched to if none is found.
fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}
