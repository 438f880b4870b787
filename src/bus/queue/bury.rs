//! The way to the dead letters. The dead letter is written before the message leaves the queue; each step can be repeated.

use super::leases::lost;
use super::record::{Record, State};
use super::types::Dead;
use super::{Queue, dead};
use crate::bus::error::{Error, ErrorKind};
use crate::bus::message::Outgoing;
use crate::bus::read::Stored;
use crate::bus::time::millis;
use std::time::SystemTime;

/// Characters of a reason that are kept when a dead letter is too large with all of it.
const SHORT: usize = 200;

/// Says in the record that the item is given up, and buries it. `revision`: of the record that is there. An error that is
/// [`lost`]: somebody else changed it, and nothing was done. Other errors: a sweep goes on.
pub(super) async fn begin(
    queue: &Queue,
    key: &str,
    mut record: Record,
    revision: Option<u64>,
    reason: String,
    message: Option<Stored>,
) -> Result<(), Error> {
    record.state = State::Burying;
    record.reason = reason;
    record.until = millis(SystemTime::now());
    let revision = queue.write(key, &record, revision).await?;
    match go_on(queue, key, record, revision, message).await {
        // Not the change of the record that the caller may repeat.
        Err(error) if lost(&error) => Ok(()),
        done => done,
    }
}

/// Buries what the record says is to be buried, from wherever that was interrupted.
pub(super) async fn go_on(
    queue: &Queue,
    key: &str,
    mut record: Record,
    revision: u64,
    message: Option<Stored>,
) -> Result<(), Error> {
    let message = match message {
        Some(message) => Some(message),
        None => queue.message(&record).await?,
    };
    let origin = dead::origin(&record);
    let Some(message) = message else {
        if !dead::is_written(queue, key, &origin).await? {
            tracing::warn!(
                key,
                queue = %queue.spec().name,
                "an item that was to become a dead letter is gone from its stream (its limits, or another program)"
            );
        }
        return bury_record(queue, key, record, revision).await;
    };
    if !dead::is_written(queue, key, &origin).await? {
        write(queue, key, &origin, letter(&record, message)).await?;
    }
    queue
        .take_out(&record, record.ack.clone().as_deref())
        .await?;
    record.gone = true;
    bury_record(queue, key, record, revision).await
}

/// Writes the dead letter. One that is too large goes without what happened before: else the item would stay in the queue,
/// and nobody could claim it.
async fn write(queue: &Queue, key: &str, origin: &str, mut letter: Dead) -> Result<(), Error> {
    match publish(queue, key, origin, &letter).await {
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            tracing::warn!(%error, key, "a dead letter is written without its errors");
            letter.errors.clear();
            letter.reason = letter.reason.chars().take(SHORT).collect();
            publish(queue, key, origin, &letter).await
        }
        done => done,
    }
}

async fn publish(queue: &Queue, key: &str, origin: &str, letter: &Dead) -> Result<(), Error> {
    let message = Outgoing {
        subject: dead::subject(queue, key).await?,
        headers: dead::headers(key, origin),
        payload: queue.0.rules.record(letter)?,
    };
    let id = format!("{key}.{origin}");
    queue.spec().dead.publish(message, Some(&id)).await?;
    Ok(())
}

async fn bury_record(queue: &Queue, key: &str, record: Record, revision: u64) -> Result<(), Error> {
    let record = Record {
        state: State::Dead,
        gone: true,
        ..record
    };
    queue.retire(key, &record, revision).await
}

fn letter(record: &Record, message: Stored) -> Dead {
    Dead {
        id: record.id.clone(),
        first: record.first.clone(),
        label: record.label.clone(),
        message,
        reason: record.reason.clone(),
        attempts: record.attempt,
        failed_at: record.until.clone(),
        errors: record.errors.clone(),
    }
}
