//! Deleting dead letters. It takes the mark of a revival first: of a revival and a discard at the same time one is done.

use super::leases::{TRIES, lost};
use super::record::id_token;
use super::types::DeadLetter;
use super::{Queue, dead, revive};
use crate::bus::error::{Error, ErrorKind};

pub(super) async fn discard(queue: &Queue, id: &str) -> Result<usize, Error> {
    let mut gone = 0;
    for letter in dead::with_id(queue, id).await? {
        if one(queue, &letter).await? {
            gone += 1;
        }
    }
    match gone {
        0 => Err(dead::missing(queue, id)),
        gone => Ok(gone),
    }
}

/// Deletes a letter; false: somebody else did, or is putting it back at this moment.
async fn one(queue: &Queue, letter: &DeadLetter) -> Result<bool, Error> {
    let (stream, seq) = (&queue.spec().dead.spec().name, letter.message.seq);
    let (Some(first), Some(id)) = (&letter.first, &letter.id) else {
        return queue.delete(stream, seq).await;
    };
    let key = format!("{first}.{}", id_token(id)?);
    for _ in 0..TRIES {
        let revision = match revive::may_begin(queue, &key, seq, id).await {
            Ok(Some(revision)) => revision,
            Ok(None) => continue,
            Err(error) => match error.kind() {
                ErrorKind::NotFound => return Ok(false),
                // Of something that is no record, or of an item in the queue: then nobody can put the letter back.
                ErrorKind::Conflict | ErrorKind::Protocol => {
                    return queue.delete(stream, seq).await;
                }
                _ => return Err(error),
            },
        };
        let mut record = revive::mark(queue, first, id, &letter.message);
        // Should this be interrupted, whoever finishes the revival finds that nothing was put back.
        record.target.clone_from(stream);
        record.subject.clone_from(&letter.message.subject);
        let revision = match queue.write(&key, &record, revision).await {
            Err(error) if lost(&error) => continue,
            written => written?,
        };
        let gone = queue.delete(stream, seq).await;
        revive::end(queue, &key, record, revision).await?;
        return gone;
    }
    Err(revive::busy(id))
}
