//! What the readers of a feed share: its last messages, how far it has come, and the task that follows the stream.

use super::consumer::{copy, passes};
use super::filters::Filters;
use super::follow::Follower;
use super::ring::{Kept, Ring};
use super::{Pace, twins};
use crate::bus::api::Info;
use crate::bus::ensure::Resource;
use crate::bus::error::Error;
use crate::bus::events::lock;
use crate::bus::read::Stored;
use crate::bus::stream::Stream;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// So many readers of a feed read from the stream at the same time. When hundreds are behind at once, what they read would
/// keep the answers away that everybody else waits for.
const READING: usize = 4;

/// The feeds of a stream that have readers now.
#[derive(Default)]
pub(in crate::bus) struct Hubs(Mutex<HashMap<(Filters, Pace), Weak<Hub>>>);

impl Hubs {
    /// Has the tasks look at the stream.
    pub(super) fn doubt(&self) {
        for hub in lock(&self.0).values().filter_map(Weak::upgrade) {
            hub.shared.doubt.notify_one();
        }
    }
}

/// One feed. It ends with its last reader.
pub(super) struct Hub {
    pub(super) shared: Arc<Shared>,
    _end: DropGuard,
}

/// What the task of a hub and its readers have in common.
pub(super) struct Shared {
    pub(super) resource: Arc<Resource>,
    pub(super) filters: Filters,
    pub(super) pace: Pace,
    state: Mutex<State>,
    /// Changes with `state`.
    changed: watch::Sender<()>,
    /// Somebody knows that the stream is another one than the task believes.
    pub(super) doubt: Notify,
    /// Places for readers that read from the stream.
    pub(super) reading: Semaphore,
}

/// How far the feed has come.
#[derive(Default)]
pub(super) struct State {
    /// The stream that was found; `None` before the first time.
    pub(super) origin: Option<Origin>,
    /// Grows when the sequences that readers hold lose their meaning.
    pub(super) generation: u64,
    /// What was given out of an earlier generation up to here counts in this one.
    restart: u64,
    /// It is being followed at this moment.
    pub(super) open: bool,
    /// Why not.
    trouble: Option<Error>,
    /// The bus was closed.
    pub(super) closed: bool,
    /// All messages above `floor` and up to `position` are in the ring.
    floor: u64,
    pub(super) position: u64,
    stored: Ring,
    /// What core NATS brought.
    pub(super) heard: Ring,
    ids: twins::Ids,
    /// When the server last said that nothing stored is still to come.
    pub(super) idle: Option<Instant>,
}

/// The stream that is followed.
#[derive(Clone, PartialEq)]
pub(super) struct Origin {
    pub(super) created: Option<String>,
    /// It allows direct get.
    pub(super) direct: bool,
    /// It stores messages on the subjects that they were sent to.
    pub(super) plain: bool,
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    pub(super) generation: u64,
    pub(super) position: u64,
}

/// What there is for a reader.
pub(super) enum Taken {
    Message(Kept),
    /// It must be read from the stream, up to this sequence.
    Behind(u64),
    /// It has all that came.
    Nothing,
    /// Nothing comes any more.
    Closed,
}

impl Hub {
    /// The hub of these subjects.
    pub(super) fn of(stream: &Stream, filters: Filters, pace: Pace) -> Arc<Self> {
        let mut hubs = lock(&stream.hubs.0);
        hubs.retain(|_, hub| hub.strong_count() > 0);
        let key = (filters, pace);
        if let Some(hub) = hubs.get(&key).and_then(Weak::upgrade) {
            return hub;
        }
        let shared = Arc::new(Shared {
            resource: Arc::clone(&stream.resource),
            filters: key.0.clone(),
            pace,
            state: Mutex::default(),
            changed: watch::channel(()).0,
            doubt: Notify::new(),
            reading: Semaphore::new(READING),
        });
        let end = CancellationToken::new();
        tokio::spawn(Follower::new(Arc::clone(&shared)).run(end.clone()));
        let hub = Arc::new(Self {
            shared,
            _end: end.drop_guard(),
        });
        hubs.insert(key, Arc::downgrade(&hub));
        hub
    }
}

impl Shared {
    pub(super) fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&lock(&self.state))
    }

    /// Changes the state, and tells all readers.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let done = change(&mut lock(&self.state));
        self.changed.send_replace(());
        done
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The next message for a reader, which moves on.
    pub(super) fn take(&self, cursor: &mut Cursor) -> Taken {
        lock(&self.state).take(cursor)
    }

    /// Takes in what a consumer brought.
    pub(super) fn store(&self, stored: Stored, pending: u64) {
        let seq = stored.seq;
        let taken = self.filters.takes(&stored.subject);
        let kept = taken.then(|| self.kept(stored));
        self.change(|state| {
            state.position = seq;
            if pending == 0 {
                state.idle = Some(Instant::now());
            }
            if let Some(kept) = kept {
                if self.pace == Pace::Live {
                    state.ids.insert(&kept.message);
                }
                if let Some(gone) = state.stored.push(kept).last() {
                    state.floor = gone.message.seq;
                }
            }
        });
    }

    /// Nothing that is stored is still to come.
    pub(super) fn rest(&self) {
        if self.pace == Pace::Live {
            self.change(|state| state.idle = Some(Instant::now()));
        }
    }

    /// A message as it is kept.
    pub(super) fn kept(&self, message: Stored) -> Kept {
        Kept {
            key: match self.pace {
                Pace::Stored => 0,
                Pace::Live => twins::key(&message),
            },
            message: Arc::new(message),
            at: Instant::now(),
        }
    }

    /// Takes in what core NATS brought. A message whose id was seen may be one that the stream refuses: whether it is
    /// stored decides.
    pub(super) fn hear(&self, message: Stored) {
        let kept = self.kept(message);
        self.change(|state| {
            let plain = state.origin.as_ref().is_none_or(|origin| origin.plain);
            if plain && state.ids.insert(&kept.message) {
                state.heard.push(kept);
            }
        });
    }

    /// Takes in what the stream is. True when it is another one than before, or has lost messages.
    pub(super) fn found(&self, info: &Info) -> bool {
        let origin = Origin {
            created: info.created.clone(),
            direct: info.allows_direct(),
            plain: !info.config.contains_key("subject_transform"),
        };
        self.change(|state| state.found(origin, info.state.last_seq))
    }

    /// Whether it is about to be followed after all: the connection, which was the trouble, is back.
    pub(super) fn is_tried(&self, trouble: &Error) -> bool {
        passes(trouble.kind()) && self.resource.bus.state().is_connected()
    }

    pub(super) fn opened(&self) {
        self.change(|state| {
            state.open = true;
            state.trouble = None;
        });
    }

    pub(super) fn lost(&self) {
        self.change(|state| state.open = false);
    }

    pub(super) fn failed(&self, error: Error) {
        self.change(|state| {
            state.open = false;
            state.trouble = Some(error);
        });
    }
}

impl State {
    /// Why it is not followed, if that is known.
    pub(super) fn trouble(&self) -> Option<Error> {
        self.trouble.as_ref().map(copy)
    }

    fn take(&mut self, cursor: &mut Cursor) -> Taken {
        if self.closed {
            return Taken::Closed;
        }
        if cursor.generation != self.generation {
            let follows = cursor.generation + 1 == self.generation;
            let restart = if follows { self.restart } else { 0 };
            cursor.position = cursor.position.min(restart);
            cursor.generation = self.generation;
        }
        if cursor.position < self.floor {
            return Taken::Behind(self.position);
        }
        if let Some(kept) = self.stored.above(cursor.position) {
            cursor.position = kept.message.seq;
            return Taken::Message(kept.clone());
        }
        cursor.position = cursor.position.max(self.position);
        Taken::Nothing
    }

    fn found(&mut self, origin: Origin, last: u64) -> bool {
        let Some(known) = self.origin.replace(origin) else {
            (self.floor, self.position) = (last, last);
            return false;
        };
        let created = self.origin.as_ref().map(|origin| &origin.created);
        let restart = if created != Some(&known.created) {
            0
        } else if last < self.position {
            last
        } else {
            return false;
        };
        self.generation += 1;
        self.restart = restart;
        (self.floor, self.position) = (restart, restart);
        self.stored.clear();
        self.idle = None;
        true
    }
}
