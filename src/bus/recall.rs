//! Where the newest messages of a filter were found last time, so that the next read can ask for them at once.
//!
//! It is a hint and no more: what is on a page is decided by what the server answers, and a hint that has become wrong (a
//! stream made anew, messages deleted or expired) costs a further request.

use super::events::lock;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Filters remembered for each stream; the one that was not used for longest goes first.
const MAX_FILTERS: usize = 1024;
/// Sequences remembered for each filter.
const MAX_SEQS: usize = 1000;

/// What a stream's handle remembers of its reads.
#[derive(Default)]
pub(super) struct Recall {
    ahead: AtomicBool,
    /// The server refused a consumer.
    unpulled: AtomicBool,
    /// When the stream was created, and its last sequence, as it was told last.
    end: Mutex<(Option<String>, u64)>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    uses: u64,
    filters: HashMap<String, Memory>,
}

struct Memory {
    trace: Trace,
    used: u64,
}

/// The newest matching messages, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    /// Sequences of the newest ones, ascending, none left out.
    pub(super) seqs: Vec<u64>,
    /// Nothing older matched.
    pub(super) whole: bool,
}

impl Recall {
    /// Whether messages may be asked for together with the stream's info, not after it.
    pub(super) fn ahead(&self) -> bool {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Remembers it.
    pub(super) fn set_ahead(&self, ahead: bool) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// When the stream was created, and its last sequence, as it was told last.
    pub(super) fn end(&self) -> (Option<String>, u64) {
        lock(&self.end).clone()
    }

    /// Remembers it.
    pub(super) fn set_end(&self, created: Option<String>, last: u64) {
        *lock(&self.end) = (created, last);
    }

    /// Whether the stream may be read by consumers, as far as is known.
    pub(super) fn may_pull(&self) -> bool {
        !self.unpulled.load(Ordering::Relaxed)
    }

    /// Remembers that it may not.
    pub(super) fn refuse_pull(&self) {
        self.unpulled.store(true, Ordering::Relaxed);
    }

    /// What is known of a filter.
    pub(super) fn get(&self, filter: &str) -> Trace {
        let mut kept = lock(&self.kept);
        kept.uses += 1;
        let uses = kept.uses;
        match kept.filters.get_mut(filter) {
            Some(memory) => {
                memory.used = uses;
                memory.trace.clone()
            }
            None => Trace::default(),
        }
    }

    /// Adds what a read of the newest messages has found.
    pub(super) fn learn(&self, filter: &str, found: Trace) {
        let mut kept = lock(&self.kept);
        kept.uses += 1;
        let used = kept.uses;
        let known = kept.filters.remove(filter).map(|memory| memory.trace);
        let trace = known.unwrap_or_default().joined(found);
        if trace.seqs.is_empty() {
            return;
        }
        if kept.filters.len() >= MAX_FILTERS {
            let oldest = kept.filters.iter().min_by_key(|(_, memory)| memory.used);
            if let Some(oldest) = oldest.map(|(filter, _)| filter.clone()) {
                kept.filters.remove(&oldest);
            }
        }
        kept.filters
            .insert(filter.to_owned(), Memory { trace, used });
    }
}

impl Trace {
    /// What was known before, with what is known now. Older sequences stay if no unknown ones are between.
    fn joined(mut self, found: Trace) -> Self {
        let touches = match (self.seqs.last(), found.seqs.first()) {
            (Some(last), Some(first)) => first <= last,
            _ => false,
        };
        if !touches || found.whole {
            self = found;
        } else if let Some(first) = found.seqs.first() {
            self.seqs.retain(|seq| seq < first);
            self.seqs.extend(found.seqs);
        }
        let excess = self.seqs.len().saturating_sub(MAX_SEQS);
        if excess > 0 {
            self.seqs.drain(..excess);
            self.whole = false;
        }
        self
    }

    /// Where the newest `most` messages below `high` begin, as far back as is known; `None`: nothing is known there.
    pub(super) fn low(&self, high: u64, most: usize) -> Option<u64> {
        let below = self.seqs.partition_point(|seq| *seq < high);
        let at = below.saturating_sub(most);
        self.seqs.get(at).copied().filter(|seq| *seq < high)
    }

    /// Where to begin to get the newest `most` messages and one more, or all; `None`: that is not known.
    pub(super) fn begin(&self, most: usize) -> Option<u64> {
        match self.seqs.len().checked_sub(most.saturating_add(1)) {
            Some(at) => self.seqs.get(at).copied(),
            None => (self.whole && !self.seqs.is_empty()).then_some(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(seqs: impl IntoIterator<Item = u64>, whole: bool) -> Trace {
        let seqs = seqs.into_iter().collect();
        Trace { seqs, whole }
    }

    #[test]
    fn what_is_known_grows_without_gaps() {
        let old = trace([3, 5, 8], true);
        assert_eq!(
            old.clone().joined(trace([8, 9], false)),
            trace([3, 5, 8, 9], true)
        );
        // 8 was deleted meanwhile.
        assert_eq!(
            old.clone().joined(trace([5, 9], false)),
            trace([3, 5, 9], true)
        );
        // What is between 8 and 20 is not known.
        assert_eq!(
            old.clone().joined(trace([20, 21], false)),
            trace([20, 21], false)
        );
        assert_eq!(old.joined(trace([], true)), trace([], true));
        let many = trace([], false).joined(trace(1..=1500, true));
        assert_eq!(many, trace(501..=1500, false));
    }

    #[test]
    fn where_to_begin() {
        let part = trace([3, 5, 8, 9], false);
        assert_eq!(part.begin(3), Some(3));
        assert_eq!(part.begin(1), Some(8));
        assert_eq!(part.begin(4), None);
        assert_eq!(trace([3, 5], true).begin(2), Some(1));
        assert_eq!(trace([], true).begin(2), None);
        assert_eq!(part.low(9, 2), Some(5));
        assert_eq!(part.low(9, 20), Some(3));
        assert_eq!(part.low(3, 1), None);
        assert_eq!(part.low(100, 1), Some(9));
    }

    #[test]
    fn the_filter_that_was_used_longest_ago_is_forgotten() {
        let recall = Recall::default();
        for filter in 0..=MAX_FILTERS {
            recall.learn(&filter.to_string(), trace([1], true));
            assert_eq!(recall.get("0"), trace([1], true));
        }
        assert_eq!(recall.get("1"), Trace::default());
        assert_eq!(recall.get("2"), trace([1], true));
    }
}
