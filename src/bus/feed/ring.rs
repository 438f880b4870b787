//! The last messages of a feed, shared by its readers: bounded in number and bytes.

use crate::bus::read::Stored;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The most messages that are kept.
pub(super) const MAX_MESSAGES: usize = 1024;
/// The most bytes of payloads, unless a single message has more.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A message that came.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) message: Arc<Stored>,
    /// What tells it from others where it has no sequence; 0 when nobody asks for it.
    pub(super) key: u64,
    /// When it came.
    pub(super) at: Instant,
}

/// Messages in the order of their coming, each with a number that only grows.
#[derive(Default)]
pub(super) struct Ring {
    kept: VecDeque<Kept>,
    bytes: usize,
    /// The number of the first one.
    first: u64,
}

impl Ring {
    /// Adds one; gives what had to go for it.
    pub(super) fn push(&mut self, kept: Kept) -> Vec<Kept> {
        self.bytes += kept.message.payload.len();
        self.kept.push_back(kept);
        let mut gone = Vec::new();
        while self.kept.len() > 1 && (self.kept.len() > MAX_MESSAGES || self.bytes > MAX_BYTES) {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= oldest.message.payload.len();
            self.first += 1;
            gone.push(oldest);
        }
        gone
    }

    /// Forgets all of them; numbers go on.
    pub(super) fn clear(&mut self) {
        self.first = self.end();
        self.kept.clear();
        self.bytes = 0;
    }

    /// The number that the next one gets.
    pub(super) fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    /// The one with this number; `None`: it is gone, or still to come.
    pub(super) fn get(&self, number: u64) -> Option<&Kept> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.kept.get(index)
    }

    /// The first one above this sequence, where all have sequences in order.
    pub(super) fn above(&self, seq: u64) -> Option<&Kept> {
        let index = self.kept.partition_point(|kept| kept.message.seq <= seq);
        self.kept.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::message::Bytes;

    fn kept(seq: u64, bytes: usize) -> Kept {
        let message = Stored {
            seq,
            time: String::new(),
            subject: String::new(),
            headers: Vec::new(),
            payload: Bytes::from(vec![0; bytes]),
        };
        Kept {
            message: Arc::new(message),
            key: 0,
            at: Instant::now(),
        }
    }

    #[test]
    fn the_oldest_go() {
        let mut ring = Ring::default();
        for seq in 0..MAX_MESSAGES as u64 {
            assert!(ring.push(kept(seq * 2, 1)).is_empty());
        }
        let gone = ring.push(kept(10_000, 1));
        assert_eq!(gone.len(), 1);
        assert!(ring.get(0).is_none());
        assert_eq!(ring.get(1).map(|kept| kept.message.seq), Some(2));
        assert_eq!(ring.above(2).map(|kept| kept.message.seq), Some(4));
        assert_eq!(ring.above(3).map(|kept| kept.message.seq), Some(4));
        assert!(ring.above(10_000).is_none());
        assert_eq!(ring.end(), MAX_MESSAGES as u64 + 1);
        // A large one takes the place of many.
        assert_eq!(ring.push(kept(10_001, MAX_BYTES)).len(), MAX_MESSAGES);
        assert_eq!(ring.push(kept(10_002, MAX_BYTES + 1)).len(), 1);
        assert!(ring.above(0).is_some());
        ring.clear();
        assert!(ring.above(0).is_none());
        assert_eq!(ring.end(), MAX_MESSAGES as u64 + 3);
    }
}
