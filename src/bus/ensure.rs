//! Making sure that a stream exists: once per handle. What is there is left as it is, but for the limits of a stream whose
//! declaration says that they are to be changed.

use super::api::{self, Info, code};
use super::connection::Bus;
use super::error::{Error, ErrorKind};
use super::events::lock;
use super::link::{Link, timeout};
use super::recall::Recall;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A difference between what was declared and what exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Name of the setting as JetStream calls it.
    pub field: String,
    /// What the configuration says.
    pub declared: String,
    /// What the server has.
    pub found: String,
}

/// How a stream (or the one below a bucket) is that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How it differs from its declaration, and will go on to.
    pub drift: Vec<Drift>,
    /// What the next use changes to what is declared.
    pub adjusted: Vec<Drift>,
    /// Copies, at least 1.
    pub replicas: u64,
    /// It is kept in memory only.
    pub in_memory: bool,
    /// It belongs to a cluster.
    pub clustered: bool,
    /// The server's clock when it answered, RFC 3339.
    pub time: Option<String>,
}

/// Settings that JetStream counts in nanoseconds.
const DURATIONS: [&str; 3] = ["max_age", "duplicate_window", "subject_delete_marker_ttl"];

/// What is changed of an existing stream where its declaration says so.
const LIMITS: [&str; 5] = [
    "max_age",
    "max_bytes",
    "max_msgs",
    "max_msgs_per_subject",
    "allow_direct",
];

/// A stream (or the stream below a bucket) that this program declares.
pub(super) struct Resource {
    pub(super) bus: Bus,
    /// Name of the stream.
    pub(super) name: String,
    /// For people: `stream X` or `bucket Y`.
    pub(super) label: String,
    /// `storing in the stream X`, made once for the hot path.
    pub(super) storing: String,
    /// The stream configuration as it is sent: only declared fields.
    wire: Map<String, Value>,
    /// Why the declaration can never work.
    problem: Option<String>,
    /// Limits of an existing stream are changed to the declared ones.
    adjust: bool,
    ensured: AtomicBool,
    /// Only one caller at a time asks the server; the others then find it done.
    gate: tokio::sync::Mutex<()>,
    drift: Mutex<Vec<Drift>>,
    /// Where reads found the newest messages.
    pub(super) recall: Recall,
}

impl Resource {
    pub(super) fn new(
        bus: Bus,
        label: String,
        wire: Map<String, Value>,
        problem: Option<String>,
    ) -> Self {
        let name = wire.get("name").and_then(Value::as_str).unwrap_or_default();
        let problem = problem.or_else(|| name_problem(name));
        Self {
            bus,
            name: name.to_owned(),
            storing: format!("storing in the {label}"),
            label,
            wire,
            problem,
            adjust: false,
            ensured: AtomicBool::new(false),
            gate: tokio::sync::Mutex::new(()),
            drift: Mutex::default(),
            recall: Recall::default(),
        }
    }

    /// Sets whether the limits of an existing stream are changed.
    pub(super) fn adjusting(self, adjust: bool) -> Self {
        Self { adjust, ..self }
    }

    /// Why the declaration can never work.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Whether the stream is known to exist.
    pub(super) fn is_ensured(&self) -> bool {
        self.ensured.load(Ordering::Acquire)
    }

    /// A link on which the stream is known to exist. No I/O after the first time.
    pub(super) async fn ready(&self, what: &str) -> Result<Arc<Link>, Error> {
        let link = self.link(what).await?;
        if !self.ensured.load(Ordering::Acquire) {
            self.ensure(&link).await?;
        }
        Ok(link)
    }

    /// Like [`Resource::ready`], after the stream was found to be gone.
    pub(super) async fn again(&self, what: &str) -> Result<Arc<Link>, Error> {
        self.forget();
        tracing::warn!(resource = %self.label, "the NATS server does not have it (any more): it is made again if it is gone");
        self.ready(what).await
    }

    /// For use beside a request that has no answer yet: ends when the stream turns out not to be there, or, with `direct`, not
    /// to allow direct get; else never. A server says by itself that nobody takes a message, but not while somebody else has
    /// subscribed to everything.
    pub(super) async fn missing(&self, link: &Link, what: &str, direct: bool) {
        tokio::time::sleep(link.limit / 8).await;
        match api::info(link, what, &self.name).await {
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => {}
            Ok(info) if direct && !info.allows_direct() => {}
            _ => std::future::pending().await,
        }
    }

    /// The next use asks the server again.
    pub(super) fn forget(&self) {
        self.ensured.store(false, Ordering::Release);
    }

    /// A link, without a look at the stream.
    pub(super) async fn link(&self, what: &str) -> Result<Arc<Link>, Error> {
        if let Some(problem) = &self.problem {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("{what}: the {} is not usable: {problem}", self.label),
            ));
        }
        self.bus.jetstream(what).await
    }

    pub(super) fn drift(&self) -> Vec<Drift> {
        lock(&self.drift).clone()
    }

    /// How it really is; `None` when it is not there. Nothing is made or changed, and nothing is remembered.
    pub(super) async fn look(&self) -> Result<Option<Standing>, Error> {
        let what = format!("looking at the {}", self.label);
        let link = self.link(&what).await?;
        let info = match api::info(&link, &what, &self.name).await {
            Ok(info) => info,
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => return Ok(None),
            Err(failure) => return Err(failure.into_error(&what)),
        };
        let drift = differences(&self.wire, &info.config);
        let adjusted = |drift: &Drift| self.adjust && LIMITS.contains(&drift.field.as_str());
        let (adjusted, drift) = drift.into_iter().partition(adjusted);
        let replicas = info.config.get("num_replicas").and_then(Value::as_u64);
        Ok(Some(Standing {
            drift,
            adjusted,
            replicas: replicas.unwrap_or(1).max(1),
            in_memory: info.config.get("storage").is_some_and(|s| s == "memory"),
            clustered: info.clustered,
            time: info.ts,
        }))
    }

    async fn ensure(&self, link: &Link) -> Result<(), Error> {
        let what = format!("ensuring the {}", self.label);
        // Whoever holds the gate makes at most four requests.
        let wait = link.limit * 4;
        let _only_one = tokio::time::timeout(wait, self.gate.lock())
            .await
            .map_err(|_| timeout(&what, wait))?;
        if self.ensured.load(Ordering::Acquire) {
            return Ok(());
        }
        let (info, created) = match api::info(link, &what, &self.name).await {
            Ok(info) => (info, false),
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => {
                self.create(link, &what).await?
            }
            Err(failure) => return Err(failure.into_error(&what)),
        };
        let info = match created || !self.adjust {
            true => info,
            false => self.adjusted(link, &what, info).await,
        };
        self.compare(&info, created);
        self.ensured.store(true, Ordering::Release);
        Ok(())
    }

    /// Changes the limits that differ. A stream that cannot be changed is used as it is.
    async fn adjusted(&self, link: &Link, what: &str, info: Info) -> Info {
        let Some((config, changes)) = adjustment(&self.wire, &info.config) else {
            return info;
        };
        let verb = format!("STREAM.UPDATE.{}", self.name);
        let body = Value::Object(config).to_string().into_bytes();
        match api::call(link, what, &verb, body).await {
            Ok(info) => {
                for Drift {
                    field,
                    declared,
                    found,
                } in changes
                {
                    tracing::info!(resource = %self.label, field, declared, found, "existed with another limit, which was changed to the declared one");
                }
                info
            }
            Err(failure) => {
                let error = failure.into_error(what);
                tracing::warn!(resource = %self.label, %error, "its limits could not be changed to the declared ones");
                info
            }
        }
    }

    async fn create(&self, link: &Link, what: &str) -> Result<(Info, bool), Error> {
        let body = serde_json::to_vec(&self.wire)
            .map_err(|error| Error::new(ErrorKind::InvalidConfig, what).caused_by(error))?;
        let verb = format!("STREAM.CREATE.{}", self.name);
        match api::call(link, what, &verb, body).await {
            Ok(info) => {
                tracing::info!(resource = %self.label, "created on the NATS server");
                Ok((info, true))
            }
            // Another gateway was faster, with other settings.
            Err(failure) if failure.code() == code::NAME_IN_USE => {
                let found = api::info(link, what, &self.name).await;
                found
                    .map(|info| (info, false))
                    .map_err(|failure| failure.into_error(what))
            }
            Err(failure) if failure.code() == code::OVERLAP => Err(self.overlap(link, what).await),
            Err(failure) => Err(failure.into_error(what)),
        }
    }

    /// Names the subjects, and the streams that have them.
    async fn overlap(&self, link: &Link, what: &str) -> Error {
        #[derive(Deserialize)]
        struct Names {
            #[serde(default)]
            streams: Option<Vec<String>>,
        }
        let subjects: Vec<&str> = self.subjects().collect();
        let mut owners: Vec<String> = Vec::new();
        // A few are enough to see whom to ask; each costs a round trip.
        for subject in subjects.iter().take(4) {
            let body = serde_json::json!({ "subject": subject }).to_string();
            if let Ok(names) =
                api::call::<Names>(link, what, "STREAM.NAMES", body.into_bytes()).await
            {
                owners.extend(names.streams.unwrap_or_default());
            }
        }
        owners.sort();
        owners.dedup();
        Error::new(
            ErrorKind::Overlap,
            format!(
                "{what}: its subjects {} are taken (or partly taken) by the stream {}",
                subjects.join(", "),
                if owners.is_empty() {
                    "of another account or name".to_owned()
                } else {
                    owners.join(", ")
                },
            ),
        )
    }

    pub(super) fn subjects(&self) -> impl Iterator<Item = &str> {
        let list = self.wire.get("subjects").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }

    fn compare(&self, info: &Info, created: bool) {
        let found = differences(&self.wire, &info.config);
        for Drift {
            field,
            declared,
            found,
        } in &found
        {
            if created {
                tracing::warn!(resource = %self.label, field, declared, found, "the server silently dropped a setting");
            } else {
                tracing::warn!(resource = %self.label, field, declared, found, "exists with another setting than declared; it is left as it is");
            }
        }
        *lock(&self.drift) = found;
    }
}

/// The configuration of an existing stream with the declared limits, and how they differ; `None`: they do not.
fn adjustment(
    declared: &Map<String, Value>,
    found: &Map<String, Value>,
) -> Option<(Map<String, Value>, Vec<Drift>)> {
    let mut changes = differences(declared, found);
    changes.retain(|drift| LIMITS.contains(&drift.field.as_str()));
    let mut config = found.clone();
    for Drift { field, .. } in &changes {
        config.insert(field.clone(), declared.get(field)?.clone());
    }
    // The server wants the window to be within the age.
    let nanos = |name: &str| config.get(name).and_then(Value::as_u64).filter(|n| *n > 0);
    if let (Some(age), Some(window)) = (nanos("max_age"), nanos("duplicate_window"))
        && window > age
    {
        config.insert("duplicate_window".to_owned(), age.into());
    }
    (!changes.is_empty()).then_some((config, changes))
}

/// Compares declared fields with what the server has. A field the server leaves out counts as its zero.
fn differences(declared: &Map<String, Value>, found: &Map<String, Value>) -> Vec<Drift> {
    declared
        .iter()
        .filter_map(|(field, want)| {
            let have = found.get(field).unwrap_or(&Value::Null);
            (normal(want) != normal(have)).then(|| Drift {
                field: field.clone(),
                declared: shown(field, want),
                found: shown(field, have),
            })
        })
        .collect()
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Bool(false) => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Number(number) if number.as_i64() == Some(0) => Value::Null,
        Value::Array(list) => {
            let mut list: Vec<String> = list.iter().map(Value::to_string).collect();
            list.sort();
            list.into()
        }
        other => other.clone(),
    }
}

fn shown(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if DURATIONS.contains(&field) => number.as_u64().map_or_else(
            || number.to_string(),
            |n| format!("{:?}", Duration::from_nanos(n)),
        ),
        other => other.to_string(),
    }
}

/// Rules of nats-server for stream names, and a bound that its file names can bear.
fn name_problem(name: &str) -> Option<String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    if name.is_empty() || name.len() > 255 || name.contains(bad) {
        return Some(format!(
            "its name {name:?} must have 1 to 255 characters, without blanks and . * > / \\"
        ));
    }
    None
}

/// Nanoseconds, as JetStream wants durations.
pub(super) fn nanos(duration: Duration) -> Value {
    i64::try_from(duration.as_nanos())
        .unwrap_or(i64::MAX)
        .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use serde_json::json;

    #[test]
    fn only_declared_fields_are_compared() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let declared = map(
            json!({"name": "A", "subjects": ["b", "a"], "max_age": 2_000_000_000u64, "max_msgs": 5, "deny_delete": false}),
        );
        let found = map(
            json!({"name": "A", "subjects": ["a", "b"], "max_age": 1_000_000_000u64, "storage": "file"}),
        );
        let drift = differences(&declared, &found);
        let fields: Vec<_> = drift
            .iter()
            .map(|d| (d.field.as_str(), d.declared.as_str(), d.found.as_str()))
            .collect();
        assert_eq!(
            fields,
            [("max_age", "2s", "1s"), ("max_msgs", "5", "not set")]
        );
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", "a.b", "a b", "a*", "a>", "a/b", "a\n"] {
            assert!(name_problem(bad).is_some(), "{bad:?}");
        }
        assert!(name_problem("a_B-1").is_none());
    }
}
