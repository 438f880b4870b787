//! A gateway with a config of the original, and the original's own code to compare with.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::mcp::Agent;
use crate::support::mesh::Dialect;
use crate::support::place::Place;

/// Serves this config, run where its paths begin: in the place's folder. JSON is YAML too.
pub fn command(place: &Place, config: &Value) -> Command {
    let path = place.write("gateway.yaml", &config.to_string());
    let path = path.display().to_string();
    place.command(&["serve", "--config", &path])
}

/// A gateway with this config.
pub async fn gateway(place: &Place, config: &Value) -> Agent {
    Agent::start(command(place, config)).await
}

/// The home folder of the place's user.
pub fn home(place: &Place) -> PathBuf {
    place.dir().parent().unwrap().join("home")
}

/// What a function of `tests/mesh/original.py` answers, in the place's home folder.
pub fn original(place: &Place, what: &str, asked: &Value) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mesh/original.py");
    let mut child = Command::new(Dialect::Heddle.python())
        .args([script, what])
        .current_dir(place.dir())
        .env("HOME", home(place))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(asked.to_string().as_bytes()).unwrap();
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{what}: {done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}
