//! Which message that was heard and which that was stored are the same one.
//!
//! Nothing that core NATS brings has a sequence. So the two are matched by what they say, each heard one with one stored:
//! messages that say the same are as good as one another, and their number is right whatever the order of arrival.

use crate::bus::read::Stored;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

/// The most that wait for their twins.
const MOST: usize = 4096;
/// How long after the one the other may come, while nothing is known to be under way.
const GRACE: Duration = Duration::from_secs(60);
/// Header with the id of a message.
const MSG_ID: &str = "Nats-Msg-Id";

/// What a message says. Headers of the server's own are left out.
pub(super) fn key(message: &Stored) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.subject.hash(&mut hasher);
    message.payload.hash(&mut hasher);
    for (name, value) in &message.headers {
        if !name.starts_with("Nats-") || name == MSG_ID {
            (name, value.trim()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Messages that wait for their twins, the oldest first.
#[derive(Default)]
struct Waiting {
    by_key: HashMap<u64, VecDeque<u64>>,
    all: BTreeMap<u64, (u64, Instant)>,
    next: u64,
}

impl Waiting {
    fn add(&mut self, key: u64, at: Instant) {
        self.by_key.entry(key).or_default().push_back(self.next);
        self.all.insert(self.next, (key, at));
        self.next += 1;
    }

    /// Takes out the oldest one that says this.
    fn take(&mut self, key: u64) -> bool {
        let Some(numbers) = self.by_key.get_mut(&key) else {
            return false;
        };
        let number = numbers.pop_front();
        if numbers.is_empty() {
            self.by_key.remove(&key);
        }
        number.is_some_and(|number| self.all.remove(&number).is_some())
    }

    /// Forgets the oldest while it came before `time`, or there are more than `most`.
    fn forget(&mut self, time: Option<Instant>, most: usize) {
        while let Some((_, &(key, at))) = self.all.first_key_value() {
            if self.all.len() <= most && time.is_none_or(|time| at >= time) {
                return;
            }
            self.take(key);
        }
    }
}

/// What one reader was given by one way and not yet by the other.
#[derive(Default)]
pub(super) struct Twins {
    heard: Waiting,
    stored: Waiting,
}

impl Twins {
    /// A message was heard: whether it is to be given out.
    pub(super) fn hear(&mut self, key: u64, at: Instant) -> bool {
        let new = !self.stored.take(key);
        if new {
            self.heard.add(key, at);
        }
        new
    }

    /// The next stored message: whether it is to be given out.
    pub(super) fn store(&mut self, key: u64) -> bool {
        let new = !self.heard.take(key);
        if new {
            self.stored.add(key, Instant::now());
            // The heard ones that are kept are fewer.
            self.stored.forget(None, MOST);
        }
        new
    }

    /// Nothing more may be heard before some of it is stored.
    pub(super) fn is_full(&self) -> bool {
        self.heard.all.len() >= MOST
    }

    /// All that has come was given out; `idle` is when nothing stored was still to come.
    pub(super) fn settle(&mut self, idle: Option<Instant>) {
        let before = |time: Instant| time.checked_sub(GRACE);
        self.stored.forget(before(Instant::now()), MOST);
        // What the stream refused. As long as it is behind, it may still bring it.
        self.heard.forget(idle.and_then(before), MOST);
    }
}

/// Ids of the last messages: a stream does not store the same one twice.
#[derive(Default)]
pub(super) struct Ids {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Ids {
    /// False when it was there. A message without an id is always new.
    pub(super) fn insert(&mut self, message: &Stored) -> bool {
        let Some(id) = message.header(MSG_ID) else {
            return true;
        };
        if !self.known.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::message::Bytes;

    fn message(subject: &str, headers: &[(&str, &str)], payload: &'static str) -> Stored {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Stored {
            seq: 0,
            time: String::new(),
            subject: subject.to_owned(),
            headers: headers.iter().map(pair).collect(),
            payload: Bytes::from(payload),
        }
    }

    #[test]
    fn a_key_is_what_a_message_says() {
        let plain = key(&message("a", &[], "x"));
        let stored = Stored {
            seq: 7,
            ..message("a", &[("Nats-Stream", "S")], "x")
        };
        assert_eq!(key(&stored), plain);
        for other in [
            message("b", &[], "x"),
            message("a", &[], "y"),
            message("a", &[("H", "1")], "x"),
            message("a", &[("Nats-Msg-Id", "1")], "x"),
        ] {
            assert_ne!(key(&other), plain, "{other:?}");
        }
    }

    #[test]
    fn each_is_given_out_once_whatever_comes_first() {
        let mut twins = Twins::default();
        let now = Instant::now();
        assert!(twins.hear(1, now));
        assert!(twins.hear(1, now));
        assert!(!twins.store(1));
        assert!(!twins.store(1));
        // One that was not heard.
        assert!(twins.store(1));
        assert!(!twins.hear(1, now));
        assert!(twins.hear(1, now));
        assert!(twins.store(2));
        assert!(!twins.store(1));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut twins = Twins::default();
        let now = Instant::now();
        let late = now.checked_add(GRACE * 2);
        for key in 0..MOST as u64 {
            assert!(!twins.is_full());
            assert!(twins.hear(key, now));
            assert!(twins.store(key + 1_000_000));
        }
        assert!(twins.is_full());
        // The stream is behind: nothing is forgotten.
        twins.settle(None);
        assert!(twins.is_full());
        twins.settle(late);
        assert!(!twins.is_full());
        assert!(twins.store(0), "it was forgotten");
        assert!(twins.hear(1_000_000, now), "the oldest went");
        assert!(!twins.hear(1_000_001, now));
        assert_eq!(twins.stored.all.len(), twins.stored.by_key.len());
    }

    #[test]
    fn ids_are_new_once() {
        let mut ids = Ids::default();
        let with = |id: &str| message("a", &[(MSG_ID, id)], "x");
        assert!(ids.insert(&message("a", &[], "x")));
        assert!(ids.insert(&message("a", &[], "x")));
        assert!(ids.insert(&with("1")));
        assert!(!ids.insert(&with("1")));
        for number in 0..MOST {
            ids.insert(&with(&format!("n{number}")));
        }
        assert!(ids.insert(&with("1")), "it was forgotten");
    }
}
