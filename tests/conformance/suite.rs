//! The suite: what it requires, how it is run, and what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use super::REVISIONS;
use super::fetched::{Wanted, node};

/// Below the folder of the packages.
const PACKAGE: &str = "node_modules/@modelcontextprotocol/conformance";
/// How long one scenario may take, in milliseconds.
const SCENARIO_MS: &str = "60000";
/// The end of the name of a folder of results.
const TIME: &str = "-2026-07-28T00-00-00-000Z";
/// How long a whole list may take.
const LIST: Duration = Duration::from_secs(900);

/// The suite, and the Node that it needs.
pub struct Suite {
    node: PathBuf,
    package: PathBuf,
}

/// A revision of the protocol, as far as servers are concerned.
pub struct Revision {
    pub name: String,
    /// What servers must pass, as the suite has frozen it.
    pub required: Vec<String>,
    /// What else is run: the scenario, and why it does not count.
    pub unscored: Vec<(String, String)>,
    /// Whether it is the one that extensions of the protocol belong to.
    pub is_newest: bool,
}

/// What a scenario says.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub id: String,
    pub status: Status,
    #[serde(default)]
    pub error_message: Option<String>,
}

impl Check {
    /// In the place of those of a scenario that came to no end.
    fn unfinished() -> Self {
        Self {
            id: "unfinished".to_owned(),
            status: Status::Failure,
            error_message: Some("the scenario came to no end".to_owned()),
        }
    }
}

/// What a check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    Success,
    Failure,
    Warning,
    Skipped,
    Info,
}

/// What the suite requires for a revision, in its own file.
#[derive(Deserialize)]
struct Requirements {
    server: Vec<String>,
    not_scored: Vec<Unscored>,
}

#[derive(Deserialize)]
struct Unscored {
    scenario: String,
    leg: String,
    reason: String,
}

impl Suite {
    /// Fetches it, if it is not there.
    pub fn fetch() -> Self {
        let wanted = Wanted {
            name: "conformance",
            source: "conformance",
            files: &["package-lock.json", "package.json"],
            needs: "npm",
        };
        Self {
            node: node(),
            package: wanted.npm().join(PACKAGE),
        }
    }

    /// What a revision requires.
    pub fn revision(&self, name: &str) -> Revision {
        let file = self.package.join(format!("requirements/{name}.yaml"));
        let text = fs::read_to_string(file).unwrap();
        let found: Requirements = serde_yaml::from_str(&text).unwrap();
        let of_servers = found.not_scored.into_iter().filter(|u| u.leg == "server");
        Revision {
            name: name.to_owned(),
            required: found.server,
            unscored: of_servers.map(|u| (u.scenario, u.reason)).collect(),
            is_newest: REVISIONS.last().is_some_and(|(last, _)| *last == name),
        }
    }

    /// The scenarios that belong to extensions of the protocol.
    pub fn extensions(&self) -> BTreeSet<String> {
        let said = self.said(&["list", "--server"]);
        let named = said.lines().filter_map(|line| {
            let name = line.trim().strip_prefix("- ")?;
            name.strip_suffix(" [extension]")
        });
        named.map(str::to_owned).collect()
    }

    /// Runs all that is listed for a revision.
    pub fn requirements(&self, url: &str, revision: &Revision) -> BTreeMap<String, Vec<Check>> {
        self.checks(url, &["--requirements", &revision.name])
    }

    /// Runs a scenario of an extension.
    pub fn scenario(&self, url: &str, scenario: &str) -> Vec<Check> {
        let mut all = self.checks(url, &["--scenario", scenario]);
        all.remove(scenario).unwrap_or_default()
    }

    /// Runs a scenario as a revision has it.
    pub fn at(&self, url: &str, scenario: &str, revision: &Revision) -> Vec<Check> {
        let args = ["--scenario", scenario, "--spec-version", &revision.name];
        let mut all = self.checks(url, &[&args[..], &["--force"]].concat());
        all.remove(scenario).unwrap_or_default()
    }

    /// What it finds, by scenario. How it ends does not matter: that says the same as the checks.
    fn checks(&self, url: &str, args: &[&str]) -> BTreeMap<String, Vec<Check>> {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().join("results");
        let mut all = vec!["server", "--url", url, "--timeout", SCENARIO_MS, "-o"];
        all.push(folder.to_str().unwrap());
        all.extend(args);
        let said = self.said(&all);
        let found = read(&folder);
        assert!(!found.is_empty(), "the suite has no results: {said}");
        found
    }

    /// Runs it to its end.
    fn said(&self, args: &[&str]) -> String {
        let dir: TempDir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let output = File::create(&log).unwrap();
        let mut child = Command::new(&self.node)
            .arg(self.package.join("dist/index.js"))
            .args(args)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > LIST {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the suite does not end: {args:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::read_to_string(log).unwrap()
    }
}

/// The results below this folder: `server-<scenario>-<time>/checks.json`.
fn read(folder: &Path) -> BTreeMap<String, Vec<Check>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = name.strip_prefix("server-").unwrap();
        let name = &name[..name.len() - TIME.len()];
        let checks = match fs::read_to_string(path.join("checks.json")) {
            Ok(text) => serde_json::from_str(&text).unwrap(),
            Err(_) => vec![Check::unfinished()],
        };
        found.insert(name.to_owned(), checks);
    }
    found
}
