//! A bucket kept in memory, so that listing it costs one small request whatever it holds.
//!
//! Each list asks the leader what the stream holds (STREAM.INFO), reads what is new since the last time by batch direct
//! get, and answers from memory. A task reads on in between, so that little is new; there is no consumer on the server.
//!
//! What is here has every write that was acknowledged before the list began: the stream's last sequence is known, and
//! the reading goes up to it. What left the stream without a message (expired, purged) is found by counting: all keys ever
//! read are here, so as many keys as the stream has subjects are the same keys.

use super::api::{self, Info, code};
use super::bucket_spec::{Entry, Listing, Operation};
use super::direct::{BATCH, BATCH_BYTES};
use super::ensure::Resource;
use super::error::{Error, ErrorKind};
use super::events::lock;
use super::link::Link;
use super::message::{Bytes, is_match};
use super::read::{Source, Start, Stored};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::MutexGuard;

/// The most keys (deleted ones too) that are kept in memory.
const MAX_KEYS: u64 = 100_000;
/// The most bytes, as the stream counts them.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// How often the task reads on.
const FOLLOW: Duration = Duration::from_secs(2);
/// How long after the last list it does so.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How often one list looks again when the stream changed in a way that leaves a doubt.
const ATTEMPTS: usize = 5;
/// How long to wait for a replica that lags behind the leader, before it is asked again.
const LAG: Duration = Duration::from_millis(5);

/// The entries of one bucket, and how far they were read.
pub(super) struct Mirror {
    resource: Arc<Resource>,
    /// `$KV.<bucket>.`
    prefix: Arc<str>,
    /// The lock is held while reading on: one at a time.
    held: tokio::sync::Mutex<Held>,
    /// A task reads on.
    following: AtomicBool,
    listed: Mutex<Instant>,
    /// That it cannot be mirrored was logged.
    told: AtomicBool,
}

/// What was read. It is good only for the connection and for the stream that it was read from: a server that was killed
/// may have lost what it had acknowledged, and count its messages anew.
#[derive(Default)]
struct Held {
    origin: Option<Origin>,
    /// Everything up to this sequence is here, unless something later replaced it.
    position: u64,
    /// The stream's oldest message.
    first: u64,
    keys: BTreeMap<String, Kept>,
}

#[derive(PartialEq)]
struct Origin {
    epoch: (u64, u64),
    created: Option<String>,
}

struct Kept {
    /// The first sequence that was seen of this key.
    born: u64,
    entry: Arc<Entry>,
}

/// What a look at the stream led to.
enum Look {
    /// Memory has what the stream has.
    Same,
    /// The stream changed meanwhile.
    Again,
    /// This stream cannot be mirrored.
    Unfit(&'static str),
}

impl Mirror {
    pub(super) fn new(resource: Arc<Resource>, prefix: Arc<str>) -> Self {
        Self {
            resource,
            prefix,
            held: tokio::sync::Mutex::default(),
            following: AtomicBool::new(false),
            listed: Mutex::new(Instant::now()),
            told: AtomicBool::new(false),
        }
    }

    /// The entries whose key matches `filter`; `None` when they must be asked from the server.
    pub(super) async fn list(
        self: &Arc<Self>,
        what: &str,
        filter: &str,
        limit: usize,
    ) -> Result<Option<Listing>, Error> {
        let Some(held) = self.current(what).await? else {
            return Ok(None);
        };
        let listing = held.listing(filter, limit);
        drop(held);
        *lock(&self.listed) = Instant::now();
        self.follow();
        Ok(Some(listing))
    }

    /// What the stream holds now; `None` when it cannot be said. All of it is bounded as one request is; what was read
    /// by then is kept for the next time.
    async fn current(&self, what: &str) -> Result<Option<MutexGuard<'_, Held>>, Error> {
        let limit = self.resource.bus.request_timeout();
        let looked = tokio::time::timeout(limit, self.looked(what)).await;
        looked.unwrap_or(Ok(None))
    }

    async fn looked(&self, what: &str) -> Result<Option<MutexGuard<'_, Held>>, Error> {
        let mut held = self.held.lock().await;
        for _ in 0..ATTEMPTS {
            match self.look(what, &mut held).await? {
                Look::Same => return Ok(Some(held)),
                Look::Again => {}
                Look::Unfit(why) => {
                    *held = Held::default();
                    if !self.told.swap(true, Ordering::Relaxed) {
                        tracing::warn!(resource = %self.resource.label, why, "it is not kept in memory: each list asks the server for all of it");
                    }
                    return Ok(None);
                }
            }
        }
        tracing::debug!(resource = %self.resource.label, "it changes too fast for its mirror; the server lists it");
        Ok(None)
    }

    async fn look(&self, what: &str, held: &mut Held) -> Result<Look, Error> {
        // First of all: what is answered on a later connection counts as of this one, and is read again.
        let epoch = self.resource.bus.epoch();
        let link = self.resource.ready(what).await?;
        let info = match api::info(&link, what, &self.resource.name).await {
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => {
                self.resource.again(what).await?;
                return Ok(Look::Again);
            }
            info => info.map_err(|failure| failure.into_error(what))?,
        };
        if let Some(why) = unfit(&info) {
            return Ok(Look::Unfit(why));
        }
        let origin = Some(Origin {
            epoch,
            created: info.created,
        });
        let state = info.state;
        if held.origin != origin || state.last_seq < held.position {
            *held = Held {
                origin,
                ..Held::default()
            };
        }
        match self.read_on(&link, what, held, state.last_seq).await {
            // It vanished: the next look makes it again.
            Err(error) if error.kind() == ErrorKind::NoStream => return Ok(Look::Again),
            done => done?,
        }
        held.expire(state.first_seq);
        Ok(held.compare(state.num_subjects, state.last_seq))
    }

    /// Reads what is new, at least up to `last`.
    async fn read_on(
        &self,
        link: &Link,
        what: &str,
        held: &mut Held,
        last: u64,
    ) -> Result<(), Error> {
        let source = Source {
            link,
            what,
            stream: &self.resource.name,
            filter: &format!("{}>", self.prefix),
            direct: true,
            pull: None,
        };
        let mut cut = false;
        while cut || held.position < last {
            let start = Start::Seq(held.position.saturating_add(1));
            let batch = source.fetch(start, u64::MAX, BATCH).await?;
            let count = batch.messages.len();
            let mut bytes = 0;
            for stored in batch.messages {
                bytes += stored.payload.len() as u64;
                held.take(&self.prefix, stored);
            }
            // A value that a later one replaced is found only with that one, so a reading must reach the end: to stop at
            // `last` could miss both.
            cut = count >= BATCH || bytes >= BATCH_BYTES / 2 || (count > 0 && !batch.complete);
            if count == 0 && held.position < last {
                // The last messages left the stream, or this replica does not have them yet: the leader knows.
                match source.first(start).await? {
                    None => held.position = last,
                    Some(_) => tokio::time::sleep(LAG).await,
                }
            }
        }
        Ok(())
    }

    /// Starts the task, unless it runs. It ends when nobody lists any more.
    fn follow(self: &Arc<Self>) {
        if self.following.swap(true, Ordering::AcqRel) {
            return;
        }
        let mirror = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(FOLLOW).await;
                let Some(mirror) = mirror.upgrade() else {
                    return;
                };
                if lock(&mirror.listed).elapsed() > IDLE || mirror.resource.bus.is_closed() {
                    mirror.following.store(false, Ordering::Release);
                    return;
                }
                let what = format!("following the {}", mirror.resource.label);
                if let Err(error) = mirror.current(&what).await {
                    tracing::debug!(%error, "a mirror could not read on");
                }
            }
        });
    }
}

/// Why a stream cannot be mirrored.
fn unfit(info: &Info) -> Option<&'static str> {
    if !info.allows_direct() {
        return Some("it does not allow direct get");
    }
    if info.state.num_subjects > MAX_KEYS {
        return Some("it has too many keys");
    }
    (info.state.bytes > MAX_BYTES).then_some("it is too large")
}

impl Held {
    fn take(&mut self, prefix: &str, stored: Stored) {
        self.position = self.position.max(stored.seq);
        // The message is a part of a larger buffer, which must not be kept as long as this entry.
        let payload = Bytes::copy_from_slice(&stored.payload);
        let entry = Entry::read(prefix, Stored { payload, ..stored });
        let (born, entry) = (entry.revision, Arc::new(entry));
        match self.keys.get_mut(&entry.key) {
            Some(kept) => kept.entry = entry,
            None => {
                self.keys.insert(entry.key.clone(), Kept { born, entry });
            }
        }
    }

    /// Drops what is older than the stream's oldest message: so go the entries of a purged stream, and those whose
    /// common life ended.
    fn expire(&mut self, first: u64) {
        if first > self.first {
            self.keys.retain(|_, kept| kept.entry.revision >= first);
            self.first = first;
        }
    }

    /// Whether these are the keys of a stream that had `subjects` of them when its last message was `last`.
    fn compare(&mut self, subjects: u64, last: u64) -> Look {
        let known = self.keys.len() as u64;
        if known == subjects {
            return Look::Same;
        }
        // Keys that may have come later.
        let later = self.keys.values().filter(|kept| kept.born > last).count() as u64;
        match (known - later).cmp(&subjects) {
            std::cmp::Ordering::Equal => Look::Same,
            // Changed while it was read.
            std::cmp::Ordering::Less => Look::Again,
            std::cmp::Ordering::Greater => {
                // Something left without a word, and nothing says what.
                *self = Self::default();
                Look::Again
            }
        }
    }

    fn listing(&self, filter: &str, limit: usize) -> Listing {
        let literal = filter.split(['*', '>']).next().unwrap_or_default();
        let mut found = self
            .keys
            .range(literal.to_owned()..)
            .take_while(|(key, _)| key.starts_with(literal))
            .filter(|(key, kept)| kept.entry.operation == Operation::Put && is_match(filter, key))
            .map(|(_, kept)| Arc::clone(&kept.entry));
        Listing {
            entries: found.by_ref().take(limit).collect(),
            more: found.next().is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(key: &str, seq: u64) -> Stored {
        Stored {
            seq,
            time: String::new(),
            subject: format!("$KV.b.{key}"),
            headers: Vec::new(),
            payload: Bytes::new(),
        }
    }

    fn held(entries: &[(&str, u64)]) -> Held {
        let mut held = Held::default();
        for (key, seq) in entries {
            held.take("$KV.b.", stored(key, *seq));
        }
        held
    }

    #[test]
    fn a_listing_is_what_the_filter_matches() {
        let held = held(&[("a.b", 1), ("a.c", 2), ("ab", 3), ("b", 4)]);
        let keys = |filter: &str, limit| {
            let listing = held.listing(filter, limit);
            let keys: Vec<String> = listing.entries.iter().map(|e| e.key.clone()).collect();
            (keys.join(" "), listing.more)
        };
        assert_eq!(keys("a.>", 9), ("a.b a.c".into(), false));
        assert_eq!(keys(">", 2), ("a.b a.c".into(), true));
        assert_eq!(keys("*", 2), ("ab b".into(), false));
    }

    #[test]
    fn memory_is_bounded() {
        let why = |change: fn(&mut Info)| {
            let direct = serde_json::json!({"allow_direct": true});
            let mut info = Info {
                ts: None,
                config: direct.as_object().cloned().unwrap_or_default(),
                state: api::WireState::default(),
                created: None,
                clustered: false,
            };
            change(&mut info);
            unfit(&info)
        };
        assert_eq!(why(|info| info.state.num_subjects = MAX_KEYS), None);
        assert!(why(|info| info.state.num_subjects = MAX_KEYS + 1).is_some());
        assert!(why(|info| info.state.bytes = MAX_BYTES + 1).is_some());
        assert!(why(|info| info.config.clear()).is_some());
    }

    #[test]
    fn counting_finds_what_left_without_a_word() {
        let same = |held: &mut Held, subjects, last| {
            let look = held.compare(subjects, last);
            matches!(look, Look::Same)
        };
        // `c` came after the count.
        let mut later = held(&[("a", 1), ("b", 2), ("a", 4), ("c", 5)]);
        assert!(same(&mut later, 3, 5));
        assert!(same(&mut later, 2, 4));
        // `x` was counted and is not here yet: look again, and keep the rest.
        assert!(!same(&mut later, 4, 5));
        assert_eq!(later.keys.len(), 3);
        assert!(!same(&mut later, 2, 5));
        assert_eq!(later.keys.len(), 0);
        let mut purged = held(&[("a", 1), ("b", 2), ("a", 4)]);
        purged.expire(3);
        assert!(same(&mut purged, 1, 4));
    }
}
