//! The lease record: who holds an item, until when, and what happened to it before. Its key, and the token of a claim.

use crate::bus::error::{Error, ErrorKind};
use crate::bus::time::{millis, nanos_of};
use crate::spec::token;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Version of the record.
const VERSION: u8 = 1;
/// Longest token of an id or of a lane's `first`, in bytes: keys of records and subjects of dead letters are made of them.
pub const MAX_TOKEN: usize = 200;
/// Texts about earlier attempts that a record keeps, and the longest of each in characters.
const MAX_ERRORS: usize = 32;
const MAX_ERROR: usize = 2000;

/// What is going on with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Somebody holds it until `until`.
    Claimed,
    /// It was given back; nobody gets it before `until`.
    Free,
    /// It was completed; the message may still have to go.
    Done,
    /// It becomes a dead letter.
    Burying,
    /// It is a dead letter: nothing is left to do.
    Dead,
    /// A dead letter becomes a message of the queue again.
    Reviving,
    /// It did, or did not after all: nothing is left to do.
    Revived,
}

/// A lease record, one for each item (`first` and id), as JSON in the leases bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) v: u8,
    /// Name of the queue.
    pub(super) queue: String,
    pub(super) state: State,
    /// Names the last claim; empty when there was none.
    #[serde(default)]
    pub(super) claim: String,
    /// Names of earlier claims of the same message.
    #[serde(default)]
    pub(super) past: Vec<String>,
    #[serde(default)]
    pub(super) holder: String,
    /// RFC 3339 UTC in milliseconds.
    #[serde(default)]
    pub(super) until: String,
    #[serde(default)]
    pub(super) attempt: u32,
    #[serde(default)]
    pub(super) attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<Value>,
    #[serde(default)]
    pub(super) errors: Vec<String>,
    /// Why it is buried.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    /// The message is gone from the queue.
    #[serde(default)]
    pub(super) gone: bool,
    pub(super) id: String,
    #[serde(default)]
    pub(super) first: String,
    #[serde(default)]
    pub(super) label: Value,
    /// Where the message is: stream, sequence, and the time of storing in nanoseconds since 1970, because a stream that
    /// is made anew counts from 1 again.
    pub(super) stream: String,
    pub(super) seq: u64,
    pub(super) time: u64,
    #[serde(default)]
    pub(super) subject: String,
    /// Reply subject of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ack: Option<String>,
    /// Length of the lease.
    #[serde(default)]
    pub(super) lease_ms: u64,
    /// Reviving: the dead letter is `seq` of the dead stream `stream`; the message goes to `subject` of this stream …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) target: String,
    /// … with a sequence above this one.
    #[serde(default)]
    pub(super) after: u64,
}

impl Record {
    /// A record without a past.
    pub(super) fn new(queue: &str, first: &str, id: &str) -> Self {
        Self {
            v: VERSION,
            queue: queue.to_owned(),
            state: State::Free,
            claim: String::new(),
            past: Vec::new(),
            holder: String::new(),
            until: String::new(),
            attempt: 0,
            attempts: 0,
            note: None,
            errors: Vec::new(),
            reason: String::new(),
            gone: false,
            id: id.to_owned(),
            first: first.to_owned(),
            label: Value::Null,
            stream: String::new(),
            seq: 0,
            time: 0,
            subject: String::new(),
            ack: None,
            lease_ms: 0,
            target: String::new(),
            after: 0,
        }
    }

    /// Reads a record.
    pub(super) fn read(key: &str, bytes: &[u8]) -> Result<Self, Error> {
        let bad = |why: String| {
            Error::new(
                ErrorKind::Protocol,
                format!("the lease record {key} is not understood: {why}"),
            )
        };
        let record: Self = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
        if record.v != VERSION {
            return Err(bad(format!(
                "it has version {}, this program knows {VERSION}",
                record.v
            )));
        }
        Ok(record)
    }

    /// Whether it may be a record of a later version of this program.
    pub(super) fn is_later(bytes: &[u8]) -> bool {
        let value: Option<Value> = serde_json::from_slice(bytes).ok();
        let version = value.and_then(|value| value.get("v")?.as_u64());
        version.is_some_and(|version| version > u64::from(VERSION))
    }

    pub(super) fn wire(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| {
            Error::new(ErrorKind::Protocol, "writing a lease record").caused_by(error)
        })
    }

    /// Whether it is about this message.
    pub(super) fn is_of(&self, stream: &str, seq: u64, time: u64) -> bool {
        self.stream == stream && self.seq == seq && self.time == time
    }

    /// How long `until` is ahead; zero when it has passed.
    pub(super) fn remaining(&self) -> Duration {
        let until = nanos_of(&self.until).unwrap_or(0);
        Duration::from_nanos(until.saturating_sub(now()))
    }

    /// Somebody holds it.
    pub(super) fn is_held(&self) -> bool {
        self.state == State::Claimed && !self.remaining().is_zero()
    }

    /// Nothing is left to do with it.
    pub(super) fn is_past(&self) -> bool {
        matches!(self.state, State::Done | State::Dead | State::Revived)
    }

    pub(super) fn used_up(&self) -> bool {
        self.attempt >= self.attempts
    }

    /// Why it is buried when its attempts are used up.
    pub(super) fn used_up_reason(&self) -> String {
        format!("all {} attempts are used up", self.attempts)
    }

    /// Notes what became of an attempt.
    pub(super) fn note_error(&mut self, text: &str) {
        self.errors.push(text.chars().take(MAX_ERROR).collect());
        let excess = self.errors.len().saturating_sub(MAX_ERRORS);
        self.errors.drain(..excess);
    }

    /// Ends a claim whose lease has run out.
    pub(super) fn expire(&mut self) {
        if self.state == State::Claimed {
            let text = format!(
                "attempt {}: the lease of {} ran out at {}",
                self.attempt, self.holder, self.until
            );
            self.note_error(&text);
            self.state = State::Free;
        }
    }

    /// Begins a new claim; the one before is remembered.
    pub(super) fn take(&mut self, holder: &str, until: SystemTime) {
        let last = std::mem::replace(&mut self.claim, nonce());
        if !last.is_empty() {
            self.past.push(last);
            let excess = self.past.len().saturating_sub(MAX_ERRORS);
            self.past.drain(..excess);
        }
        self.state = State::Claimed;
        holder.clone_into(&mut self.holder);
        self.until = millis(until);
        self.note = None;
    }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// How long ago a time in RFC 3339 was; zero for one that is still to come, and since 1970 for what is no time.
pub(super) fn age(time: &str) -> Duration {
    Duration::from_nanos(now().saturating_sub(nanos_of(time).unwrap_or(0)))
}

/// Short, because a model copies it. It only tells claims of one item apart.
fn nonce() -> String {
    let mut text = uuid::Uuid::new_v4().simple().to_string();
    text.truncate(10);
    text
}

/// The token of a claim.
pub(super) fn token(key: &str, record: &Record) -> String {
    format!("{key}.{}", record.claim)
}

/// The key and the claim of a token; `None`: it is none.
pub(super) fn split(token: &str) -> Option<(&str, &str)> {
    let (key, claim) = token.trim().rsplit_once('.')?;
    let (first, id) = key.split_once('.')?;
    [first, id, claim]
        .into_iter()
        .all(is_token)
        .then_some((key, claim))
}

/// Whether a text can be a part of the keys of records: 1 to [`MAX_TOKEN`] of `a-z A-Z 0-9 - _ =`.
pub(super) fn is_token(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
    (1..=MAX_TOKEN).contains(&text.len()) && text.chars().all(plain)
}

/// The token of an item's id.
pub(super) fn id_token(id: &str) -> Result<String, Error> {
    let token = token::encode(id);
    if token.is_empty() || token.len() > MAX_TOKEN {
        return Err(Error::new(
            ErrorKind::InvalidKey,
            format!(
                "the id of a work item must have 1 to {MAX_TOKEN} bytes (three for each but a-z 0-9 _ -), not {}",
                token.len()
            ),
        ));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn any_id_is_part_of_a_claims_token() {
        for text in [
            "code-review",
            "code_review",
            "c++",
            "c%%",
            "ü",
            "A",
            "a",
            "a.b",
            "=41",
            "*",
            ">",
            " ",
        ] {
            let token = id_token(text).unwrap();
            assert!(split(&format!("f.{token}.0a")).is_some(), "{token}");
        }
        assert!(id_token("").is_err() && id_token(&"ü".repeat(99)).is_err());
    }

    #[test]
    fn tokens_are_taken_apart() {
        assert_eq!(split(" a.b.c\n"), Some(("a.b", "c")));
        for bad in [
            "", "a", "a.b", "a..c", ".b.c", "a.b.", "a.b.c.d", "a.*.c", "a.b.c d", "ü.b.c",
        ] {
            assert_eq!(split(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_record_keeps_what_happened_within_bounds() {
        let mut record = Record::new("q", "f", "i");
        for attempt in 0..99 {
            record.take("h", SystemTime::UNIX_EPOCH);
            record.attempt = attempt;
            record.expire();
        }
        assert_eq!(
            (record.errors.len(), record.past.len()),
            (MAX_ERRORS, MAX_ERRORS)
        );
        assert_eq!(
            record.errors[31],
            "attempt 98: the lease of h ran out at 1970-01-01T00:00:00.000Z"
        );
        let bytes = record.wire().unwrap();
        assert_eq!(Record::read("k", &bytes).unwrap(), record);
        assert!(Record::is_later(b"{\"v\":2}"));
        assert!(!Record::is_later(&bytes) && !Record::is_later(b"[5]"));
        for odd in [&b"x"[..], b"{}", b"{\"v\":2}"] {
            assert_eq!(
                Record::read("k", odd).unwrap_err().kind(),
                ErrorKind::Protocol
            );
        }
    }
}
