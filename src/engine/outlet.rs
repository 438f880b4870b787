//! Where the pushes of a session wait for its client, and how far the client has got.
//!
//! There are two kinds of pushes. Those that a listener makes of a stream's messages are **replayed**: they carry the
//! sequence, and when a reader goes away its successor reads the stream again from what was confirmed. All others are
//! **kept** while nobody reads, a bounded number of them. News say that something is to be asked for again: they go before
//! all else, and equal ones that wait are one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::push::{Push, Seen};

/// The most pushes that wait for the client; then whoever pushes waits.
pub const WAITING: usize = 64;
/// The most news that wait for the client; then the oldest give way.
pub(super) const NEWS: usize = 1024;
/// How long a reader may take none when nothing else is said.
pub const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// A notification without its place in the order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Note {
    pub(super) method: String,
    pub(super) params: Option<Map<String, Value>>,
}

/// The pushes of one session.
#[derive(Debug)]
pub(super) struct Outlet {
    /// The session's id, for the log.
    id: String,
    state: Mutex<State>,
    /// Something in `state` has changed.
    moved: Notify,
    /// The reader there is now; 0 is nobody.
    reader: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// The listeners whose messages can be replayed.
    listeners: BTreeSet<String>,
    /// Of the tools as the client was told of them last.
    fingerprint: Arc<str>,
    news: VecDeque<Push>,
    queue: VecDeque<Waiting>,
    /// Was given out, and not confirmed yet.
    taken: Option<Waiting>,
    /// What has been handled, and so stands behind all that waits.
    handled: BTreeMap<String, u64>,
    /// What the reader is known to have.
    confirmed: BTreeMap<String, u64>,
    reader: u64,
    readers: u64,
    /// The session has ended.
    closed: bool,
    patience: Duration,
    /// Whether a reader that takes nothing for so long is dropped, since it may come back.
    drops: bool,
    /// Dropping has been logged.
    dropping: bool,
}

#[derive(Clone, Debug)]
struct Waiting {
    push: Push,
    replayed: bool,
}

/// What becomes of a push when there is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressure {
    /// It waits for room while there is a reader: for a listener whose messages wait in their stream meanwhile.
    Waits,
    /// It waits for so long as the session's reader may take; then the reader is dropped, or the oldest push gives way.
    GivesWay,
}

/// The reader for whom something was meant is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Outlet {
    pub(super) fn new(id: &str, fingerprint: Arc<str>, listeners: BTreeSet<String>) -> Self {
        Self {
            id: id.to_owned(),
            state: Mutex::new(State {
                listeners,
                fingerprint,
                news: VecDeque::new(),
                queue: VecDeque::new(),
                taken: None,
                handled: BTreeMap::new(),
                confirmed: BTreeMap::new(),
                reader: 0,
                readers: 0,
                closed: false,
                patience: PUSH_TIMEOUT,
                drops: false,
                dropping: false,
            }),
            moved: Notify::new(),
            reader: watch::Sender::new(0),
        }
    }

    // A panic while the lock is held leaves the state usable: no change spans a call that can panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who reads now, and who will; 0 is nobody.
    pub(super) fn readers(&self) -> watch::Receiver<u64> {
        self.reader.subscribe()
    }

    /// The session begins, maybe again. With `drops`, a reader that takes nothing for `patience` is dropped.
    pub(super) fn open(&self, patience: Duration, drops: bool) {
        let mut state = self.state();
        state.closed = false;
        state.patience = patience;
        state.drops = drops;
    }

    /// The session has ended: its reader gets no more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.leave(&mut state);
    }

    /// A new reader in the place of the one before. It goes on after `seen`, or after what was confirmed.
    pub(super) fn attach(&self, seen: Option<Seen>) -> u64 {
        let mut state = self.state();
        state.settle();
        for (listener, seq) in seen.into_iter().flat_map(|seen| seen.positions) {
            if state.listeners.contains(&listener) {
                state.handled.insert(listener, seq);
            }
        }
        state.confirmed = state.handled.clone();
        let seen = state.seen_at(state.handled.clone());
        for waiting in &mut state.queue {
            waiting.push.seen = seen.clone();
        }
        state.readers += 1;
        state.reader = state.readers;
        self.tell(&state);
        state.reader
    }

    /// This reader goes away, if it is still the one.
    pub(super) fn detach(&self, reader: u64) {
        let mut state = self.state();
        if state.reader == reader {
            self.leave(&mut state);
        }
    }

    fn leave(&self, state: &mut State) {
        state.settle();
        state.reader = 0;
        self.tell(state);
    }

    fn tell(&self, state: &State) {
        self.reader.send_replace(state.reader);
        self.moved.notify_waiters();
    }

    /// What the client has seen for certain.
    pub(super) fn seen(&self) -> Seen {
        self.state().seen()
    }

    /// The tools are others from now on.
    pub(super) fn relisted(&self, fingerprint: &Arc<str>) {
        self.state().fingerprint = Arc::clone(fingerprint);
    }

    /// News for the client, unless they wait already. Never waits.
    pub(super) fn news(&self, note: Note) {
        let mut state = self.state();
        let waits = |push: &Push| push.method == note.method && push.params == note.params;
        if state.news.iter().any(waits) {
            return;
        }
        if state.news.len() >= NEWS {
            state.news.pop_front();
        }
        let push = state.push(note);
        state.news.push_back(push);
        drop(state);
        self.moved.notify_waiters();
    }

    /// Where a listener goes on for a new reader; `None` when it never began.
    pub(super) fn position(&self, listener: &str) -> Option<u64> {
        self.state().handled.get(listener).copied()
    }

    /// Where a listener begins, unless that is known already.
    pub(super) fn begin(&self, listener: &str, seq: u64) {
        let mut state = self.state();
        if !state.listeners.contains(listener) {
            return;
        }
        let position = *state.handled.entry(listener.to_owned()).or_insert(seq);
        state
            .confirmed
            .entry(listener.to_owned())
            .or_insert(position);
    }

    /// The listeners whose messages can be replayed are these from now on. Where another one was is forgotten.
    pub(super) fn listen_on(&self, listeners: &BTreeSet<String>) {
        let mut state = self.state();
        if state.listeners == *listeners {
            return;
        }
        let State {
            handled, confirmed, ..
        } = &mut *state;
        handled.retain(|listener, _| listeners.contains(listener));
        confirmed.retain(|listener, _| listeners.contains(listener));
        state.listeners.clone_from(listeners);
    }

    /// Forgets where a listener is: it has another stream from now on.
    pub(super) fn forget(&self, listener: &str) {
        let mut state = self.state();
        state.handled.remove(listener);
        state.confirmed.remove(listener);
        let State { queue, taken, .. } = &mut *state;
        for waiting in queue.iter_mut().chain(taken) {
            waiting.push.seen.positions.remove(listener);
        }
    }

    /// The next push for this reader, and the one before is confirmed. `None` when it is not the reader any more.
    pub(super) async fn next(&self, reader: u64) -> Option<Push> {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // From here on no change is missed.
            moved.as_mut().enable();
            {
                let mut state = self.state();
                if state.closed || state.reader != reader {
                    return None;
                }
                let confirmed = state.taken.take();
                let mut changed = confirmed.is_some();
                if let Some(before) = confirmed {
                    // A listener may have begun after it: then it says nothing of that one.
                    let mut seen = before.push.seen.positions;
                    seen.retain(|listener, _| state.listeners.contains(listener));
                    state.confirmed.extend(seen);
                }
                let next = state.pop();
                changed |= next.is_some();
                state.taken.clone_from(&next);
                drop(state);
                if changed {
                    self.moved.notify_waiters();
                }
                if let Some(waiting) = next {
                    return Some(waiting.push);
                }
            }
            moved.await;
        }
    }

    /// What a listener made of the stream's message `seq`, for this reader: it gets all of it or is gone. A message of which
    /// nothing was made has been handled too.
    pub(super) async fn replayed(
        &self,
        reader: u64,
        listener: &str,
        seq: Option<u64>,
        notes: Vec<Note>,
    ) -> Result<(), Gone> {
        let last = notes.len();
        for (index, note) in notes.into_iter().enumerate() {
            self.room(Pressure::GivesWay, Some(reader)).await?;
            let mut state = self.state();
            if state.reader != reader || state.closed {
                return Err(Gone);
            }
            // Only with the last one has the client seen the message: without it, all come again.
            if index + 1 == last {
                state.handle(listener, seq);
            }
            let push = state.push(note);
            state.queue.push_back(Waiting {
                push,
                replayed: true,
            });
            drop(state);
            self.moved.notify_waiters();
        }
        if last == 0 {
            let mut state = self.state();
            if state.reader != reader {
                return Err(Gone);
            }
            state.handle(listener, seq);
        }
        Ok(())
    }

    /// A push that no stream can give again. Whether somebody reads.
    pub(super) async fn kept(&self, note: Note, pressure: Pressure) -> bool {
        // Without room after all, the oldest gives way below.
        let _ = self.room(pressure, None).await;
        let mut state = self.state();
        let push = state.push(note);
        if state.queue.len() >= WAITING {
            let oldest = state.queue.iter().position(|waiting| !waiting.replayed);
            let dropped = oldest.and_then(|oldest| state.queue.remove(oldest));
            if dropped.is_some() && !std::mem::replace(&mut state.dropping, true) {
                tracing::warn!(
                    session = self.id,
                    most = WAITING,
                    "notifications wait for a client that does not read; the oldest are dropped"
                );
            }
        }
        state.queue.push_back(Waiting {
            push,
            replayed: false,
        });
        let read = state.reader != 0 && !state.closed;
        drop(state);
        self.moved.notify_waiters();
        read
    }

    /// Waits for room, while there is a reader: `of` or any. One that takes nothing for too long is dropped.
    async fn room(&self, pressure: Pressure, of: Option<u64>) -> Result<(), Gone> {
        let (patience, drops) = {
            let state = self.state();
            (state.patience, state.drops)
        };
        let deadline = Instant::now() + patience;
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let reader = {
                let state = self.state();
                if of.is_some_and(|of| of != state.reader) || state.reader == 0 || state.closed {
                    return Err(Gone);
                }
                if state.queue.len() < WAITING {
                    return Ok(());
                }
                state.reader
            };
            if pressure == Pressure::Waits {
                moved.await;
            } else if timeout_at(deadline, moved).await.is_err() {
                if drops {
                    tracing::warn!(
                        session = self.id,
                        "the client does not take its notifications; its stream is ended, and it may come back for them"
                    );
                    self.detach(reader);
                }
                return Err(Gone);
            }
        }
    }
}

impl State {
    fn seen_at(&self, positions: BTreeMap<String, u64>) -> Seen {
        Seen {
            fingerprint: Arc::clone(&self.fingerprint),
            positions,
        }
    }

    /// What the client has seen for certain.
    fn seen(&self) -> Seen {
        let idle = self.outstanding() == 0;
        let known = if idle { &self.handled } else { &self.confirmed };
        self.seen_at(known.clone())
    }

    fn push(&self, note: Note) -> Push {
        Push {
            method: note.method,
            params: note.params,
            seen: self.seen_at(self.handled.clone()),
            made: std::time::Instant::now(),
        }
    }

    /// What the reader gets next.
    fn pop(&mut self) -> Option<Waiting> {
        let Some(mut push) = self.news.pop_front() else {
            return self.queue.pop_front();
        };
        // They overtake what waits, so they say nothing of it.
        push.seen = self.seen();
        Some(Waiting {
            push,
            replayed: false,
        })
    }

    /// Replayed pushes that the reader is not known to have.
    fn outstanding(&self) -> usize {
        let waiting = self.taken.iter().chain(&self.queue);
        waiting.filter(|waiting| waiting.replayed).count()
    }

    fn handle(&mut self, listener: &str, seq: Option<u64>) {
        let Some(seq) = seq else { return };
        match self.handled.get_mut(listener) {
            Some(position) => *position = seq,
            None => drop(self.handled.insert(listener.to_owned(), seq)),
        }
    }

    /// Back to what the reader is known to have: what can be replayed is dropped, the rest is kept.
    fn settle(&mut self) {
        if self.outstanding() > 0 {
            self.handled.clone_from(&self.confirmed);
        }
        if let Some(taken) = self.taken.take() {
            self.queue.push_front(taken);
        }
        self.queue.retain(|waiting| !waiting.replayed);
    }
}

#[cfg(test)]
mod tests;
