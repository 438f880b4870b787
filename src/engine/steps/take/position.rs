//! A read position: what of a stream has been handed out.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::bus::{Bucket, Entry, ErrorKind, Page};
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;

/// What is stored under the key of a position.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Everything up to this sequence is handed out, or gone.
    after: u64,
    /// What is handed out beyond it.
    #[serde(default)]
    done: BTreeSet<u64>,
    /// When the stream was made that the sequences belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    /// A random id of this move, so that whoever made it knows it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

impl Position {
    /// What the entry of a position says; without one, the beginning.
    ///
    /// So it is with one that is none: messages that come twice are better than a stream that nobody can read any more.
    pub fn read(bucket: &Bucket, entry: Option<&Entry>) -> Self {
        let Some(entry) = entry else {
            return Self::default();
        };
        serde_json::from_slice(&entry.value).unwrap_or_else(|error| {
            tracing::warn!(
                %error, key = entry.key, bucket = bucket.spec().name,
                "no read position: the stream is taken from its beginning; nothing else may write to this key"
            );
            Self::default()
        })
    }

    pub fn after(&self) -> u64 {
        self.after
    }

    pub fn is_done(&self, seq: u64) -> bool {
        self.done.contains(&seq)
    }

    /// What is handed out beyond the position, the oldest first, when there is twice as much as is to be kept: all but that.
    pub fn spare(&self, keep: u64) -> Vec<u64> {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        match self.done.len().checked_sub(keep) {
            Some(spare) if spare >= keep.max(1) => self.done.iter().copied().take(spare).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the position is one of another stream: of the same name, deleted since. The page must have been read
    /// after the position, or the stream could only seem to be behind it.
    pub fn is_foreign(&self, page: &Page) -> bool {
        let last = self
            .done
            .last()
            .copied()
            .unwrap_or_default()
            .max(self.after);
        let other = matches!((&self.of, &page.created), (Some(of), Some(created)) if of != created);
        other || page.last_seq < last
    }

    /// The position once `taken` is handed out too; `looked` are the sequences that were there to be seen after the old
    /// one, in order.
    ///
    /// It moves only over what was seen: a replica of the stream may not have the newest messages yet.
    pub fn moved(&self, taken: &[u64], looked: &[u64], created: Option<&String>) -> Self {
        let mut done: BTreeSet<u64> = self.done.iter().chain(taken).copied().collect();
        let last = looked.last().copied().unwrap_or_default();
        let first_left = looked.iter().find(|seq| !done.contains(seq));
        let after = first_left.map_or(last, |seq| seq - 1).max(self.after);
        // Of what lies between, only what was seen is still there.
        done.retain(|seq| *seq > last || (*seq > after && looked.binary_search(seq).is_ok()));
        Self {
            after,
            done,
            of: created.cloned(),
            by: None,
        }
    }

    /// Stores it if the stored one is still `before`; whether it was.
    pub async fn store(
        mut self,
        bucket: &Bucket,
        key: &str,
        before: Option<&Entry>,
    ) -> Result<bool, Failure> {
        self.by = Some(uuid::Uuid::new_v4().to_string());
        let json = serde_json::to_value(&self)
            .map_err(|e| Failure::new(FailureKind::Internal, e.to_string()))?;
        let bytes = payload::encode_json(&json)?;
        let stored = match before {
            Some(entry) => bucket.update(key, bytes, entry.revision).await,
            None => bucket.create(key, bytes, None).await,
        };
        match stored {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::Conflict | ErrorKind::AlreadyExists => Ok(false),
                // The answer is missing, not necessarily the move: what was moved must be handed out.
                ErrorKind::Timeout => {
                    let now = bucket.get(key).await?;
                    let now = Self::read(bucket, now.as_ref());
                    if now.by == self.by {
                        return Ok(true);
                    }
                    Err(error.into())
                }
                _ => Err(error.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn position(after: u64, done: &[u64]) -> Position {
        Position {
            after,
            done: done.iter().copied().collect(),
            of: None,
            by: None,
        }
    }

    #[test]
    fn it_moves_over_what_is_done_or_gone() {
        let cases: &[(Position, &[u64], &[u64], Position)] = &[
            // Taken in order.
            (position(0, &[]), &[1, 2], &[1, 2, 3], position(2, &[])),
            (position(2, &[]), &[3], &[3], position(3, &[])),
            // Out of order, and then what was left out.
            (position(0, &[]), &[2], &[1, 2, 3], position(0, &[2])),
            (position(0, &[2]), &[1], &[1, 2, 3], position(2, &[])),
            (position(0, &[2, 3]), &[1], &[1, 2, 3], position(3, &[])),
            // 3 and 4 have expired, 4 after it was taken.
            (position(2, &[4]), &[6], &[5, 6], position(4, &[6])),
            // 7 was taken by somebody whose replica had it already.
            (position(0, &[7]), &[1], &[1, 5], position(4, &[7])),
            (position(4, &[]), &[], &[], position(4, &[])),
        ];
        for (before, taken, looked, after) in cases {
            assert_eq!(before.moved(taken, looked, None), *after, "{before:?}");
        }
    }

    #[test]
    fn what_is_done_beyond_it_is_spare_from_twice_as_much_on() {
        let done = |count: u64| position(2, &(4..4 + count).collect::<Vec<_>>());
        assert_eq!(done(5).spare(3), [0; 0]);
        assert_eq!(done(6).spare(3), [4, 5, 6]);
        assert_eq!((done(0).spare(0), done(1).spare(0)), (vec![], vec![4]));
    }

    #[test]
    fn a_position_belongs_to_one_stream() {
        let page = |last_seq, created: &str| Page {
            last_seq,
            created: Some(created.to_owned()),
            ..Page::default()
        };
        let of = |of: &str| Position {
            of: Some(of.to_owned()),
            ..position(3, &[5])
        };
        assert!(!of("monday").is_foreign(&page(5, "monday")));
        assert!(of("monday").is_foreign(&page(9, "tuesday")));
        assert!(of("monday").is_foreign(&page(4, "monday")));
        assert!(!position(3, &[]).is_foreign(&page(3, "tuesday")));
        assert!(position(3, &[]).is_foreign(&page(0, "tuesday")));
    }

    #[test]
    fn it_is_stored_as_plain_json() {
        let text = serde_json::to_string(&position(3, &[7, 5])).unwrap();
        assert_eq!(text, r#"{"after":3,"done":[5,7]}"#);
        let read: Position = serde_json::from_str(r#"{"after":3}"#).unwrap();
        assert_eq!(read, position(3, &[]));
    }
}
