//! What the holder of a claim does with it: extend, complete, release.

use super::leases::{TRIES, lost};
use super::record::{Record, State, split};
use super::types::{Completed, Extended, Release, Released};
use super::{Queue, bury, dead};
use crate::bus::error::{Error, ErrorKind};
use crate::bus::time::millis;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// A record as it was read, and what the caller may do with it.
struct Held {
    record: Record,
    revision: u64,
    key: String,
}

pub(super) async fn extend(
    queue: &Queue,
    token: &str,
    note: Option<Value>,
) -> Result<Extended, Error> {
    for _ in 0..TRIES {
        let Held {
            mut record,
            revision,
            key,
        } = held(queue, token).await?;
        record.until = millis(SystemTime::now() + Duration::from_millis(record.lease_ms));
        if note.is_some() {
            record.note.clone_from(&note);
        }
        match queue.write(&key, &record, Some(revision)).await {
            Err(error) if lost(&error) => continue,
            written => written?,
        };
        if let Some(ack) = &record.ack {
            queue.answer(ack, "+WPI".to_owned()).await;
        }
        let Record {
            id,
            until,
            attempt,
            note,
            ..
        } = record;
        return Ok(Extended {
            id,
            until,
            attempt,
            note,
        });
    }
    Err(contended(token))
}

pub(super) async fn complete(queue: &Queue, token: &str) -> Result<Completed, Error> {
    for _ in 0..TRIES {
        let (record, revision, key) = find(queue, token).await?;
        let duplicate = record.state == State::Done;
        if !duplicate {
            refuse(&record, token)?;
        }
        let completed = Completed {
            id: record.id.clone(),
            attempt: record.attempt,
            duplicate,
        };
        if duplicate && record.gone {
            return Ok(completed);
        }
        let done = Record {
            state: State::Done,
            ..record
        };
        // Asked at the same time: a stream that was made anew counts from 1 again, and has another message there.
        let (written, there) = tokio::join!(
            async {
                match duplicate {
                    true => Ok(revision),
                    false => queue.write(&key, &done, Some(revision)).await,
                }
            },
            queue.message(&done)
        );
        let revision = match written {
            Err(error) if lost(&error) => continue,
            written => written?,
        };
        let is_there = there.map(|message| message.is_some());
        leave(queue, &key, done, revision, is_there).await;
        return Ok(completed);
    }
    Err(contended(token))
}

/// Takes the message of a completed item out of the queue. It is completed whatever happens: if this fails, a sweep or the
/// next delivery does it.
async fn leave(
    queue: &Queue,
    key: &str,
    done: Record,
    revision: u64,
    is_there: Result<bool, Error>,
) {
    let removed = match is_there {
        Ok(false) => Ok(()),
        Ok(true) => queue.take_out(&done, done.ack.as_deref()).await,
        Err(error) => Err(error),
    };
    match removed {
        Ok(()) => {
            let done = Record { gone: true, ..done };
            queue.retire_unheard(key, &done, revision).await;
        }
        Err(error) => {
            tracing::debug!(%error, key, "the message of a completed item stays for now");
        }
    }
}

pub(super) async fn release(queue: &Queue, token: &str, how: Release) -> Result<Released, Error> {
    for _ in 0..TRIES {
        let Held {
            mut record,
            revision,
            key,
        } = held(queue, token).await?;
        let text = format!(
            "attempt {} by {}: {}",
            record.attempt, record.holder, how.reason
        );
        record.note_error(&text);
        let dead = how.dead || record.used_up();
        let released = Released {
            id: record.id.clone(),
            dead,
            attempt: record.attempt,
            attempts: record.attempts,
        };
        let ack = record.ack.clone();
        let done = if dead {
            bury::begin(
                queue,
                &key,
                record,
                Some(revision),
                how.reason.clone(),
                None,
            )
            .await
        } else {
            record.state = State::Free;
            record.until = millis(SystemTime::now() + how.delay);
            queue.write(&key, &record, Some(revision)).await.map(drop)
        };
        match done {
            Err(error) if lost(&error) => continue,
            done => done?,
        }
        if !dead {
            queue.nak(ack.as_deref(), how.delay).await;
        }
        return Ok(released);
    }
    Err(contended(token))
}

/// Gives back a claim that nobody has heard of; it does not count as an attempt.
pub(super) async fn put_back(queue: &Queue, token: &str) {
    let back = async {
        let Held {
            mut record,
            revision,
            key,
        } = held(queue, token).await?;
        record.state = State::Free;
        record.attempt = record.attempt.saturating_sub(1);
        record.until = millis(SystemTime::now());
        queue.write(&key, &record, Some(revision)).await?;
        queue.nak(record.ack.as_deref(), Duration::ZERO).await;
        Ok::<(), Error>(())
    };
    if let Err(error) = back.await {
        tracing::warn!(%error, token, "an item that nobody waits for any more comes back when its lease ends");
    }
}

/// The record of a claim whose lease goes on.
async fn held(queue: &Queue, token: &str) -> Result<Held, Error> {
    let (record, revision, key) = find(queue, token).await?;
    refuse(&record, token)?;
    Ok(Held {
        record,
        revision,
        key,
    })
}

/// The record of a claim that is still the last one.
async fn find(queue: &Queue, token: &str) -> Result<(Record, u64, String), Error> {
    let unknown = || {
        Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no claim {token:?} in the queue {}",
                queue.spec().name
            ),
        )
    };
    let (key, claim) = split(token).ok_or_else(unknown)?;
    let Some((record, revision)) = queue.record(key).await? else {
        return Err(match dead::exists(queue, key).await? {
            true => gone(token, "the item is a dead letter"),
            false => unknown(),
        });
    };
    if record.queue != queue.spec().name {
        return Err(unknown());
    }
    if record.claim == claim {
        return Ok((record, revision, key.to_owned()));
    }
    if !record.past.iter().any(|past| past == claim) {
        return Err(unknown());
    }
    Err(gone(token, &fate(&record)))
}

/// Refuses what only the holder may do, when the claim does not hold any more.
fn refuse(record: &Record, token: &str) -> Result<(), Error> {
    match record.is_held() {
        true => Ok(()),
        false => Err(gone(token, &fate(record))),
    }
}

/// What became of an item, for whoever thought to hold it.
fn fate(record: &Record) -> String {
    let Record {
        holder,
        until,
        attempt,
        attempts,
        ..
    } = record;
    match record.state {
        State::Claimed if record.is_held() => {
            format!("{holder} has it now (attempt {attempt} of {attempts}), until {until}")
        }
        State::Claimed if record.used_up() => format!(
            "its lease ran out at {until}, and that was the last of {attempts} attempts: it becomes a dead letter"
        ),
        State::Claimed => format!("its lease ran out at {until}, and it waits in the queue"),
        State::Free => format!(
            "it was given back, and waits in the queue (attempt {attempt} of {attempts} is over)"
        ),
        State::Done => "it was completed".to_owned(),
        State::Burying | State::Dead => "the item is a dead letter".to_owned(),
        State::Reviving | State::Revived => "the item was put into the queue again".to_owned(),
    }
}

fn gone(token: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::LeaseLost,
        format!("the claim {token} holds no more: {why}"),
    )
}

fn contended(token: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("the lease record of {token} was changed by others {TRIES} times in a row"),
    )
}
