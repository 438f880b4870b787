//! Finishing what others left: a process that was killed leaves records, and this is who reads them.

use super::leases::{INTERRUPTED, lost};
use super::record::{Record, State, age};
use super::types::Swept;
use super::{Queue, bury, revive};
use crate::bus::bucket_spec::Entry;
use crate::bus::error::Error;

/// What was done about a record.
enum Done {
    Nothing,
    Buried,
    Finished,
}

pub(super) async fn sweep(queue: &Queue) -> Result<Swept, Error> {
    let mut swept = Swept::default();
    for (record, entry) in queue.records(">").await? {
        if record.queue != queue.spec().name {
            continue;
        }
        match look_after(queue, record, &entry).await {
            Ok(Done::Nothing) => {}
            Ok(Done::Buried) => swept.buried += 1,
            Ok(Done::Finished) => swept.finished += 1,
            // Somebody else looks after it.
            Err(error) if lost(&error) => {}
            Err(error) => {
                swept.failed += 1;
                tracing::debug!(%error, key = %entry.key, queue = %queue.spec().name, "an item is left to the next sweep");
            }
        }
    }
    Ok(swept)
}

async fn look_after(queue: &Queue, mut record: Record, entry: &Entry) -> Result<Done, Error> {
    let (key, revision) = (entry.key.as_str(), entry.revision);
    let old = age(&entry.time) >= INTERRUPTED;
    match record.state {
        State::Claimed if record.used_up() && !record.is_held() => {
            record.expire();
            let reason = record.used_up_reason();
            bury::begin(queue, key, record, Some(revision), reason, None).await?;
            Ok(Done::Buried)
        }
        State::Burying if old => {
            bury::go_on(queue, key, record, revision, None).await?;
            Ok(Done::Finished)
        }
        State::Reviving if old => {
            revive::finish(queue, key, record, revision).await?;
            Ok(Done::Finished)
        }
        State::Done if old && !record.gone => {
            queue.take_out(&record, None).await?;
            queue
                .retire(
                    key,
                    &Record {
                        gone: true,
                        ..record
                    },
                    revision,
                )
                .await?;
            Ok(Done::Finished)
        }
        _ => Ok(Done::Nothing),
    }
}
