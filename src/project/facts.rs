//! The facts about a project, gathered from the environment, the project file and the user file.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::environment::Environment;
use super::file::{Channel, Logging, MAX_LEASE_MS, MAX_MS, MIN_MS, ProjectFile, WorkQueue};
use super::locate;
use super::secret::Secret;
use crate::bus;
use crate::spec::check::MAX_ATTEMPTS;
use crate::spec::diag::Report;

/// Where NATS listens when nobody says otherwise.
pub const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// What is known about the project a gateway runs in.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The project's folder, absolute. It need not exist.
    pub path: PathBuf,
    /// 16 lower-case hexadecimal digits: LOOMINAL_PROJECT_ID, else the hash of the path.
    pub id: String,
    /// What the project's subjects and streams begin with: from a file, else the hash of the path.
    pub namespace: String,
    /// The name the project was given, where it was: then nothing depends on the machine or the folder.
    pub name: Option<String>,
    /// The name of this machine.
    pub hostname: String,
    /// The name of the user, where the environment has it.
    pub user: Option<String>,
    /// The id an agent is told to have: LOOMINAL_AGENT_ID.
    pub agent_id: Option<String>,
    /// The type of sub-agent this is: LOOMINAL_SUBAGENT_TYPE.
    pub subagent_type: Option<String>,
    /// The channels, every field filled in.
    pub channels: Vec<Channel>,
    /// The NATS server to connect to, where one is named.
    pub nats_url: Option<NatsUrl>,
    /// Log settings of the files, as far as they are given; the environment comes before them.
    pub logging: Logging,
    /// Work queue settings, every field filled in.
    pub work_queue: WorkQueue,
    /// The files that were read, in order of precedence.
    pub sources: Vec<String>,
    /// What was passed over: environment variables without a usable value. For the log, which is started later.
    pub warnings: Vec<String>,
}

/// The NATS server to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsUrl {
    /// The URL, which may hold credentials.
    pub url: Secret,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An environment variable.
    Environment,
    /// The config.
    Config,
    /// The project file.
    ProjectFile,
    /// The user's own file.
    UserFile,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Environment => "environment",
            Origin::Config => "config",
            Origin::ProjectFile => "project file",
            Origin::UserFile => "user file",
        })
    }
}

impl Facts {
    /// The facts as expressions see them by the name `project`. Nothing in it is secret.
    ///
    /// Its form is promised to specs by `spec::check::base_scope`.
    pub fn to_json(&self) -> Value {
        let url = self.nats_url.as_ref();
        json!({
            "path": self.path.to_string_lossy(),
            "id": self.id,
            "namespace": self.namespace,
            "name": self.name.as_deref().unwrap_or_default(),
            "home": self.home(),
            "hostname": self.hostname,
            "user": self.user.as_deref().unwrap_or_default(),
            "agent_id": self.agent_id.as_deref().unwrap_or_default(),
            "subagent_type": self.subagent_type.as_deref().unwrap_or_default(),
            "nats_url": url.map_or_else(|| DEFAULT_URL.to_owned(), |u| bus::redact(u.url.expose())),
            "channels": self.channels,
            "work_queue": {
                "ack_timeout_ms": self.work_queue.ack_timeout_ms,
                "max_delivery_attempts": self.work_queue.max_delivery_attempts,
                "dead_letter_ttl_ms": self.work_queue.dead_letter_ttl_ms,
            },
        })
    }

    /// What agents of this project on this machine have in common: the machine's name and the folder, one after the
    /// other as Warp hashes them; of a named project its name alone, so that a container keeps its agents.
    fn home(&self) -> String {
        match &self.name {
            Some(name) => format!("project:{name}"),
            None => format!("{}{}", self.hostname, self.path.to_string_lossy()),
        }
    }

    /// Takes the server that a config names; the environment comes before it, the project's files after.
    pub fn prefer_url(&mut self, url: Option<&str>) {
        let chosen = self.nats_url.as_ref().map(|found| found.origin);
        if let (Some(url), false) = (url, chosen == Some(Origin::Environment)) {
            self.nats_url = Some(NatsUrl {
                url: Secret::new(url),
                origin: Origin::Config,
            });
        }
    }
}

/// Gathers the facts. For each top-level key the environment comes before the project file, the user file and the
/// default; a key is taken whole.
///
/// `start` is the project's folder and `name` its name, where the command line or the config has one.
///
/// # Errors
/// A report of everything that is wrong with the files and the name, or of what cannot be read.
pub fn discover(
    start: Option<&Path>,
    name: Option<&str>,
    env: &Environment,
) -> Result<Facts, Report> {
    let path = locate::project_path(start, env)?;
    let name = locate::project_name(name, env)?;
    let mut report = Report::new();
    let mut sources = Vec::new();
    let mut read = |found: Result<Option<PathBuf>, Report>| {
        let file = found.and_then(|found| {
            let Some(path) = found else {
                return Ok(ProjectFile::default());
            };
            sources.push(path.display().to_string());
            locate::read(&path)
        });
        file.unwrap_or_else(|problems| {
            report.extend(problems);
            ProjectFile::default()
        })
    };
    let project = read(locate::project_file(&path));
    let user = read(locate::user_file(env));
    if report.has_errors() {
        return Err(report);
    }
    Ok(merge(path, name, sources, project, user, env))
}

fn merge(
    path: PathBuf,
    name: Option<String>,
    sources: Vec<String>,
    project: ProjectFile,
    user: ProjectFile,
    env: &Environment,
) -> Facts {
    let mut warnings = Vec::new();
    let hash = match &name {
        Some(name) => short_hash(&format!("project:{name}")),
        None => short_hash(&path.to_string_lossy()),
    };
    let nats_url = [
        (env.get("NATS_URL").map(Secret::new), Origin::Environment),
        (project.nats_url, Origin::ProjectFile),
        (user.nats_url, Origin::UserFile),
    ]
    .into_iter()
    .find_map(|(url, origin)| Some(NatsUrl { url: url?, origin }));
    Facts {
        id: project_id(env, &mut warnings).unwrap_or_else(|| hash.clone()),
        namespace: project
            .namespace
            .or(user.namespace)
            .or_else(|| name.clone())
            .unwrap_or(hash),
        name,
        hostname: hostname(),
        agent_id: env.get("LOOMINAL_AGENT_ID"),
        subagent_type: env.get("LOOMINAL_SUBAGENT_TYPE"),
        user: env.get("USER").or_else(|| env.get("USERNAME")),
        channels: project
            .channels
            .or(user.channels)
            .unwrap_or_else(Channel::defaults),
        nats_url,
        logging: project.logging.or(user.logging).unwrap_or_default(),
        work_queue: work_queue(
            env,
            project.work_queue.or(user.work_queue).unwrap_or_default(),
            &mut warnings,
        ),
        sources,
        warnings,
        path,
    }
}

/// The first 16 hexadecimal digits of the SHA-256, as Warp derives ids and namespaces from the path.
fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn project_id(env: &Environment, warnings: &mut Vec<String>) -> Option<String> {
    variable(
        env,
        warnings,
        "LOOMINAL_PROJECT_ID",
        "16 digits of 0-9 and a-f",
        |text| {
            let fits =
                text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            fits.then(|| text.to_owned())
        },
    )
}

fn work_queue(env: &Environment, files: WorkQueue, warnings: &mut Vec<String>) -> WorkQueue {
    let mut number = |name, bounds: RangeInclusive<u64>| {
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        variable(env, warnings, name, &expected, |text| {
            text.parse().ok().filter(|n| bounds.contains(n))
        })
    };
    WorkQueue {
        ack_timeout_ms: number("WORKQUEUE_ACK_TIMEOUT", MIN_MS..=MAX_LEASE_MS)
            .unwrap_or(files.ack_timeout_ms),
        max_delivery_attempts: number("WORKQUEUE_MAX_ATTEMPTS", 1..=u64::from(MAX_ATTEMPTS))
            .unwrap_or(files.max_delivery_attempts),
        dead_letter_ttl_ms: number("WORKQUEUE_DLQ_TTL", MIN_MS..=MAX_MS)
            .unwrap_or(files.dead_letter_ttl_ms),
    }
}

/// A variable that must have a form. One that has not is passed over with a warning and does not stop the start: its
/// name may be meant for another program of the same environment.
fn variable<T>(
    env: &Environment,
    warnings: &mut Vec<String>,
    name: &str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let parsed = parse(&env.get(name)?);
    if parsed.is_none() {
        warnings.push(format!(
            "the environment variable {name} is not used: it must be {expected}"
        ));
    }
    parsed
}

/// The name the operating system has for this machine. The variable HOSTNAME is not asked: shells set it for
/// themselves and seldom pass it on.
fn hostname() -> String {
    let name = gethostname::gethostname().to_string_lossy().into_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests;
