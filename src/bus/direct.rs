//! Batch direct get (ADR-31, nats-server 2.11+): many stored messages for one request, answered by
//! any replica. `async_nats` has no wrapper for it.
//!
//! Each message comes with `Nats-Sequence`, `Nats-Time-Stamp`, `Nats-Subject` and `Nats-Num-Pending`
//! (matching messages after it, to the end of the stream). The end is an empty message with status
//! 204; 404 means nothing matched, 408 a bad request, 413 more than 1024 subjects (`multi_last`).
//! A `batch` of 5,000 was served in full by 2.15.1.

use super::error::{Error, ErrorKind};
use super::link::{Link, permission, timeout};
use super::message::{Bytes, listed};
use super::read::Stored;
use futures_util::StreamExt as _;
use serde_json::Value;

/// Most messages asked for in one batch.
pub(super) const BATCH: usize = 1000;

/// Bytes after which the server ends a batch, so that a page of large messages is read in parts.
/// At least one message always comes.
pub(super) const BATCH_BYTES: u64 = 1024 * 1024;

/// Batches at the same time on one connection; further ones wait. With [`BATCH_BYTES`] and a last message of 1 MB each they
/// stay below the 64 MB that a server lets wait for a client before it cuts it off.
pub(super) const BATCHES: usize = 24;

/// What a batch gave.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// In the order of their sequences.
    pub(super) messages: Vec<Stored>,
    /// Matching messages after the last of `messages`, when the server says so.
    pub(super) pending: Option<u64>,
    /// Nothing more matches up to the asked end.
    pub(super) complete: bool,
}

impl Batch {
    /// All matching messages from the first of `messages` on, when the server says how many follow.
    pub(super) fn total(&self) -> Option<u64> {
        let pending = self.pending?;
        Some(pending.saturating_add(self.messages.len() as u64))
    }
}

/// How a batch ended badly.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The stream does not exist or does not allow direct get.
    NoDirect,
    /// More subjects match than `multi_last` serves.
    TooMany,
    /// Anything else.
    Failed(Error),
}

impl Trouble {
    /// The error of a stream that was read directly before.
    pub(super) fn into_error(self, what: &str) -> Error {
        match self {
            Self::Failed(error) => error,
            Self::NoDirect => Error::new(
                ErrorKind::NoStream,
                format!("{what}: it vanished while it was read"),
            ),
            Self::TooMany => Error::new(
                ErrorKind::Protocol,
                format!("{what}: the server says that too many subjects match"),
            ),
        }
    }
}

/// Sends `body` to the stream's direct API and collects the answer. Messages from `until` on are
/// not part of the batch. At most [`BATCH`] messages (1024 for `multi_last`).
pub(super) async fn batch(
    link: &Link,
    what: &str,
    stream: &str,
    body: &Value,
    until: u64,
) -> Result<Batch, Trouble> {
    let subject = format!("$JS.API.DIRECT.GET.{stream}");
    let inbox = link.client.new_inbox();
    let mut vigil = link.health.vigil();
    let payload = Bytes::from(body.to_string());
    let _turn = tokio::time::timeout(link.limit, link.batches.acquire())
        .await
        .map_err(|_| Trouble::Failed(timeout(what, link.limit)))?;
    let mut answers = link
        .subscribe(what, &inbox)
        .await
        .map_err(Trouble::Failed)?;
    link.send(subject.clone(), Some(inbox), None, payload)
        .await
        .map_err(|error| Trouble::Failed(link.publish_error(what, &subject, 0, error)))?;
    let mut batch = Batch::default();
    loop {
        let message = tokio::select! {
            message = answers.next() => message.ok_or_else(|| link.broken(what)),
            error = vigil.trouble(what, &subject) => Err(error),
            () = tokio::time::sleep(link.limit) => Err(if link.health.inbox_refused() {
                permission(what, &subject)
            } else {
                timeout(what, link.limit)
            }),
        }
        .map_err(Trouble::Failed)?;
        if ended(what, &message, &mut batch)? {
            return Ok(batch);
        }
        let (stored, pending) = stored(what, message).map_err(Trouble::Failed)?;
        if stored.seq >= until {
            batch.complete = true;
            return Ok(batch);
        }
        batch.complete = pending == Some(0) || stored.seq.saturating_add(1) == until;
        batch.pending = pending;
        batch.messages.push(stored);
    }
}

/// Looks at the status of an answer; true when it was the last.
fn ended(what: &str, message: &async_nats::Message, batch: &mut Batch) -> Result<bool, Trouble> {
    match message.status.map(|status| status.as_u16()) {
        None => Ok(false),
        Some(204) => Ok(true),
        Some(404) => {
            batch.complete = true;
            Ok(true)
        }
        Some(413) => Err(Trouble::TooMany),
        Some(503) => Err(Trouble::NoDirect),
        Some(other) => Err(Trouble::Failed(Error::new(
            ErrorKind::Protocol,
            format!(
                "{what}: the direct get was answered with status {other} {}",
                message.description.as_deref().unwrap_or_default()
            ),
        ))),
    }
}

/// Headers that a direct get adds to the stored ones.
const ADDED: [&str; 6] = [
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
];

/// Reads one message of a direct get, and the number of matching messages after it.
pub(super) fn stored(
    what: &str,
    message: async_nats::Message,
) -> Result<(Stored, Option<u64>), Error> {
    let header = |name: &str| {
        // The last one: the message itself may have been copied with such a header.
        let headers = message.headers.as_ref()?;
        headers.get_last(name).map(|value| value.as_str())
    };
    let missing = |name: &str| {
        Error::new(
            ErrorKind::Protocol,
            format!("{what}: the answer to a direct get has no usable {name} header"),
        )
    };
    let seq = header("Nats-Sequence")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| missing("Nats-Sequence"))?;
    let time = header("Nats-Time-Stamp").ok_or_else(|| missing("Nats-Time-Stamp"))?;
    let subject = header("Nats-Subject").ok_or_else(|| missing("Nats-Subject"))?;
    let pending = header("Nats-Num-Pending").and_then(|text| text.parse().ok());
    let stored = Stored {
        seq,
        time: time.to_owned(),
        subject: subject.to_owned(),
        headers: listed(message.headers.as_ref(), |name| !ADDED.contains(&name)),
        payload: message.payload.clone(),
    };
    Ok((stored, pending))
}
