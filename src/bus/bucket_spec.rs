//! The declaration of a key-value bucket, and what comes out of one.

use super::ensure::nanos;
use super::message::Bytes;
use super::read::Stored;
use super::stream::{Storage, replicas_problem};
use serde_json::{Map, Value, json};
use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(super) const OPERATION: &str = "KV-Operation";
const MARKER: &str = "Nats-Marker-Reason";

/// Most old revisions of a key that NATS keeps (ADR-8).
const MAX_HISTORY: i64 = 64;

/// The declaration of a bucket. `None` leaves a setting to the server, and is not compared.
#[derive(Clone, Debug, Default)]
pub struct BucketSpec {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Revisions kept of each key, 1 (when not given) to 64.
    pub history: Option<i64>,
    /// Life of an entry.
    pub ttl: Option<Duration>,
    /// Entries may have a life of their own, and a marker tells that one ended; it stays this long
    /// (at least 1 s). Needs `history` 1: with more, nats-server raises a short life to this one.
    pub limit_markers: Option<Duration>,
    /// Most bytes.
    pub max_bytes: Option<i64>,
    /// Largest value in bytes.
    pub max_value_size: Option<i32>,
    /// Where it is kept.
    pub storage: Storage,
    /// Copies in a cluster.
    pub replicas: Option<usize>,
    /// Kept in memory by this process from the first list on, so that listing costs one small request whatever the
    /// bucket holds (up to 100,000 keys and 64 MiB). Nothing that the server knows of.
    pub mirror: bool,
}

impl BucketSpec {
    /// The configuration of the stream below, as JetStream's API names it (ADR-8).
    pub(super) fn wire(&self) -> Map<String, Value> {
        let mut wire = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                wire.insert(name.to_owned(), value);
            }
        };
        set("name", Some(format!("KV_{}", self.name).into()));
        set("subjects", Some(json!([format!("$KV.{}.>", self.name)])));
        set("description", self.description.clone().map(Value::from));
        set(
            "max_msgs_per_subject",
            Some(self.history.unwrap_or(1).into()),
        );
        set("max_age", self.ttl.map(nanos));
        // Must not be longer than max_age.
        let window = self.ttl.filter(|ttl| *ttl < Duration::from_secs(120));
        set("duplicate_window", window.map(nanos));
        set("max_bytes", self.max_bytes.map(Value::from));
        set("max_msg_size", self.max_value_size.map(Value::from));
        set("storage", Some(self.storage.wire()));
        set("num_replicas", self.replicas.map(Value::from));
        set("discard", Some("new".into()));
        set("allow_rollup_hdrs", Some(true.into()));
        set("deny_delete", Some(true.into()));
        set("allow_direct", Some(true.into()));
        set("allow_msg_ttl", self.limit_markers.map(|_| true.into()));
        set("subject_delete_marker_ttl", self.limit_markers.map(nanos));
        wire
    }

    /// Why the declaration can never work.
    pub(super) fn problem(&self) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Some(format!(
                "its name {:?} must have only letters, digits, - and _",
                self.name
            ));
        }
        let history = self.history.unwrap_or(1);
        if !(1..=MAX_HISTORY).contains(&history) {
            return Some(format!(
                "history must be from 1 to {MAX_HISTORY}, not {history}"
            ));
        }
        if self.limit_markers.is_some() && history > 1 {
            return Some("limit_markers need history 1".to_owned());
        }
        if self
            .limit_markers
            .is_some_and(|life| life < Duration::from_secs(1))
        {
            return Some("limit_markers must be at least 1 s".to_owned());
        }
        replicas_problem(self.replicas)
    }
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A value was put.
    Put,
    /// The key was deleted.
    Delete,
    /// The key was deleted with its history, or its life ended.
    Purge,
}

/// One revision of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Value; empty for a deletion.
    pub value: Bytes,
    /// Number of this change in the bucket; later ones are higher.
    pub revision: u64,
    /// When it was stored, RFC 3339 UTC.
    pub time: String,
    /// What happened. Only [`Bucket::history`](super::Bucket::history) gives anything but [`Operation::Put`].
    pub operation: Operation,
    /// What a reader made of it.
    pub memo: Memo,
}

impl Entry {
    /// Reads a stored message; `prefix` is `$KV.<bucket>.`.
    pub(super) fn read(prefix: &str, stored: Stored) -> Self {
        let operation = match (stored.header(OPERATION), stored.header(MARKER)) {
            (Some("DEL"), _) => Operation::Delete,
            (Some("PURGE"), _) | (None, Some("MaxAge" | "Purge")) => Operation::Purge,
            (None, Some("Remove")) => Operation::Delete,
            _ => Operation::Put,
        };
        let key = stored.subject.strip_prefix(prefix);
        Self {
            key: key.unwrap_or(&stored.subject).to_owned(),
            value: stored.payload,
            revision: stored.seq,
            time: stored.time,
            operation,
            memo: Memo::default(),
        }
    }
}

/// A place in an entry for what a reader makes of it, so that a listed entry that is kept in memory is decoded once.
#[derive(Default)]
pub struct Memo(OnceLock<Box<dyn Any + Send + Sync>>);

impl Memo {
    /// What was made before, else what `make` makes now. One entry has one kind of memo: the first; another one is
    /// made each time.
    pub fn get<T: Clone + Send + Sync + 'static>(&self, make: impl Fn() -> T) -> T {
        let kept = self.0.get_or_init(|| Box::new(make()));
        kept.downcast_ref().cloned().unwrap_or_else(make)
    }
}

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// It says nothing that the entry does not.
impl PartialEq for Memo {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Memo {}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memo")
    }
}

/// Entries of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Sorted by key.
    pub entries: Vec<Arc<Entry>>,
    /// There are more than asked for.
    pub more: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_checked() {
        let spec = |change: fn(&mut BucketSpec)| {
            let mut spec = BucketSpec {
                name: "b".into(),
                ..BucketSpec::default()
            };
            change(&mut spec);
            spec.problem().is_some()
        };
        assert!(!spec(|_| ()));
        assert!(!spec(|s| s.limit_markers = Some(Duration::from_secs(1))));
        assert!(spec(|s| s.name = "a.b".into()));
        assert!(spec(|s| s.name = String::new()));
        assert!(spec(|s| s.history = Some(0)));
        assert!(spec(|s| s.history = Some(65)));
        assert!(spec(|s| s.limit_markers = Some(Duration::from_millis(5))));
        assert!(spec(|s| {
            s.history = Some(2);
            s.limit_markers = Some(Duration::from_secs(9));
        }));
    }
}
