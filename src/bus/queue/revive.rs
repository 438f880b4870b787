//! The way back from the dead letters. The message is written before the dead letter goes; the record says that this is
//! going on, and a claim that meets it finishes it first, so nobody works on the item while it is both.

use super::leases::{INTERRUPTED, TRIES, lost};
use super::record::{Record, State, age, id_token};
use super::types::Lane;
use super::{Queue, dead};
use crate::bus::api::{self, code};
use crate::bus::error::{Error, ErrorKind};
use crate::bus::leader;
use crate::bus::message::{Bytes, Outgoing};
use crate::bus::publish::Ack;
use crate::bus::read::Stored;
use crate::bus::time::{millis, nanos_of};
use std::time::SystemTime;

/// Messages of a subject that are looked at for one that was put back.
const SCAN: usize = 10_000;

pub(super) async fn revive(
    queue: &Queue,
    lane: &Lane,
    id: &str,
    seq: u64,
    level: u32,
    payload: Bytes,
) -> Result<Ack, Error> {
    let key = format!("{}.{}", lane.first, id_token(id)?);
    let subject = lane.subject_at(level)?;
    lane.stream.ensure().await?;
    for _ in 0..TRIES {
        let letter = letter(queue, lane, id, seq).await?;
        let Some(revision) = may_begin(queue, &key, seq, id).await? else {
            continue;
        };
        let mut record = mark(queue, &lane.first, id, &letter);
        record.subject.clone_from(&subject);
        record.target.clone_from(&lane.stream.spec().name);
        record.after = lane.stream.info().await?.map_or(0, |state| state.last_seq);
        let revision = match queue.write(&key, &record, revision).await {
            Err(error) if lost(&error) => continue,
            written => written?,
        };
        // Until the mark was there, others could take the letter away.
        if let Err(error) = self::letter(queue, lane, id, seq).await {
            end(queue, &key, record, revision).await?;
            return Err(error);
        }
        let name = message_id(&record);
        let message = Outgoing::new(subject, payload);
        let ack = match lane.stream.publish(message, Some(&name)).await {
            // It may be stored: whoever comes by later finds out.
            Err(error) if error.kind() == ErrorKind::Timeout => return Err(error),
            Err(error) => {
                end(queue, &key, record, revision).await?;
                return Err(error);
            }
            Ok(ack) => ack,
        };
        queue.delete(&record.stream, seq).await?;
        end(queue, &key, record, revision).await?;
        return Ok(ack);
    }
    Err(busy(id))
}

/// The dead letter `seq`, if it is one of this item.
async fn letter(queue: &Queue, lane: &Lane, id: &str, seq: u64) -> Result<Stored, Error> {
    let found = queue.get(&queue.spec().dead.spec().name, seq).await?;
    let letter = found.filter(|stored| {
        dead::letter(queue, stored).is_some_and(|letter| {
            letter.id.as_deref() == Some(id) && letter.first.is_none_or(|first| first == lane.first)
        })
    });
    letter.ok_or_else(|| dead::missing(queue, id))
}

/// The record that says that something is done with a dead letter now.
pub(super) fn mark(queue: &Queue, first: &str, id: &str, letter: &Stored) -> Record {
    let mut record = Record::new(&queue.spec().name, first, id);
    record.state = State::Reviving;
    record.stream.clone_from(&queue.spec().dead.spec().name);
    record.seq = letter.seq;
    record.time = nanos_of(&letter.time).unwrap_or(0);
    record.until = millis(SystemTime::now());
    record
}

/// Whether the record of a key lets a revival begin: in place of which revision (inner `None`: there is no record). Outer
/// `None`: something was finished first, look again.
pub(super) async fn may_begin(
    queue: &Queue,
    key: &str,
    letter: u64,
    id: &str,
) -> Result<Option<Option<u64>>, Error> {
    let Some((record, revision)) = queue.record(key).await? else {
        return Ok(Some(None));
    };
    if record.is_past() {
        return Ok(Some(Some(revision)));
    }
    match record.state {
        State::Reviving => {
            if age(&record.until) < INTERRUPTED {
                return Err(match record.seq == letter {
                    true => dead::missing(queue, id),
                    false => busy(id),
                });
            }
            finish(queue, key, record, revision).await.map(|()| None)
        }
        _ if queue.message(&record).await?.is_some() => Err(busy(id)),
        // About a message that is no more.
        _ => Ok(Some(Some(revision))),
    }
}

/// Finishes a revival that was interrupted: the dead letter goes if the message was written, else it stays.
pub(super) async fn finish(
    queue: &Queue,
    key: &str,
    record: Record,
    revision: u64,
) -> Result<(), Error> {
    if is_written(queue, &record).await? && queue.message(&record).await?.is_some() {
        queue.delete(&record.stream, record.seq).await?;
    }
    end(queue, key, record, revision).await
}

pub(super) async fn end(
    queue: &Queue,
    key: &str,
    record: Record,
    revision: u64,
) -> Result<(), Error> {
    let record = Record {
        state: State::Revived,
        gone: true,
        ..record
    };
    queue.retire(key, &record, revision).await
}

/// Whether the message was put into the queue. It is still there: nobody can complete it before this was found out.
async fn is_written(queue: &Queue, record: &Record) -> Result<bool, Error> {
    let what = format!(
        "looking for an item that was put back on {}",
        record.subject
    );
    let link = queue.link(&what).await?;
    let last = match api::info(&link, &what, &record.target).await {
        Err(failure) if failure.code() == code::STREAM_NOT_FOUND => return Ok(false),
        info => {
            info.map_err(|failure| failure.into_error(&what))?
                .state
                .last_seq
        }
    };
    let range = record.after.saturating_add(1)..last.saturating_add(1);
    let name = message_id(record);
    let batch = leader::batch(&link, &what, &record.target, &record.subject, range, SCAN).await?;
    Ok(batch
        .messages
        .iter()
        .any(|stored| stored.header("Nats-Msg-Id") == Some(&name)))
}

/// Id of the message of a revived item: repeating it within the duplicate window stores it once.
/// The time tells dead letters apart whose stream was made anew.
fn message_id(record: &Record) -> String {
    let Record { id, seq, time, .. } = record;
    format!("{id}-revived-{seq}-{time}")
}

pub(super) fn busy(id: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "the item {id} cannot be put back: an item with this id is in the queue, or is being changed"
        ),
    )
}
