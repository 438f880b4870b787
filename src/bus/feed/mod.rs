//! What a stream stores, as it comes: each message once, in order, over reconnections and slow readers.
//!
//! The readers of the same subjects share a hub: one ordered consumer, and the last messages in memory (`ring.rs`). A
//! reader is no more than a position. While what follows it is in memory it takes it from there; a reader that begins in
//! the past or is slow reads from the stream until it has come up with the others. So nobody waits for a slow reader, and
//! it loses nothing.
//!
//! With [`Pace::Live`] the hub listens on core NATS, too, and each reader leaves out the second copy of what it was given
//! (`twins.rs`).

mod consumer;
mod filters;
mod follow;
mod hub;
mod past;
mod ring;
mod twins;

use super::error::{Error, ErrorKind};
use super::read::Stored;
use super::stream::Stream;
use filters::Filters;
use hub::{Cursor, Hub, Taken};
use past::Begin;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use twins::Twins;

pub(super) use filters::{covers, overlap};
pub(super) use hub::Hubs;

/// The subscriptions by which [`Pace::Live`] hears these subjects.
pub(super) fn heard_on(subjects: &[String]) -> Vec<String> {
    match Filters::new(subjects) {
        Ok(filters) => match filters.joint() {
            Some(joint) => vec![joint],
            None => filters.subjects().to_vec(),
        },
        Err(_) => subjects.to_vec(),
    }
}

/// How long to wait after a reading that failed.
const RETRY: Duration = Duration::from_millis(200);

/// Where a reader of a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStart {
    /// With what is stored from now on.
    Now,
    /// With the first message above this sequence. Where the stream has not come so far, it is another one than the
    /// sequence was of, and all of it is read.
    After(u64),
    /// With what was stored so long ago, and all since.
    Ago(Duration),
}

/// How a reader of a feed trades speed for order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    /// Each message once it is stored, with its sequence, in the order of the stream.
    Stored,
    /// Each message as soon as it is heard on core NATS, without waiting for its sequence; what was not heard follows from
    /// the stream. Each once all the same. What the stream refuses to store may be given out, too.
    Live,
}

/// A message of a feed.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Sequence in the stream; `None` of a message that was heard before it was stored.
    pub seq: Option<u64>,
    /// The message. Without a sequence its `seq` is 0 and its `time` is when it was heard.
    pub message: Arc<Stored>,
}

/// What a stream stores on some subjects. Cheap to clone; all readers of the same stream handle, subjects and pace share one
/// subscription, which ends with the last of them.
#[derive(Clone)]
pub struct Feed {
    stream: Stream,
    subjects: Vec<String>,
}

/// One reader of a feed. Dropping it costs the others nothing.
///
/// It goes on over lost connections and replaced servers. Of a stream that was made anew it gives all messages from the
/// first one on.
pub struct FeedReader {
    hub: Arc<Hub>,
    changes: watch::Receiver<()>,
    begin: Begin,
    /// Where it stands; `None` until there was a connection.
    cursor: Option<Cursor>,
    /// What was read from the stream and is to be given out, and how far that goes.
    past: VecDeque<Stored>,
    past_end: u64,
    /// For [`Pace::Live`].
    live: Option<Live>,
    /// A failed reading was logged.
    logged: bool,
    /// Where sequences began anew, and that was not told.
    turned: bool,
}

/// What a live reader keeps.
#[derive(Default)]
struct Live {
    /// The number of the next message that was heard.
    next: u64,
    twins: Twins,
}

/// What a reader of a feed is told.
#[derive(Clone, Debug)]
pub enum Told {
    /// The next message.
    Heard(Heard),
    /// The stream is another one than before, or has lost messages: positions begin anew.
    Turned,
}

/// Where a reader of a feed stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// When the stream was created, as NATS says it: sequences are of this stream. `None` when that is not known.
    pub created: Option<String>,
    /// As [`FeedReader::position`].
    pub position: u64,
}

/// What a reader has to do next.
enum Look {
    Give(Heard),
    Turned,
    /// Wait until something changes.
    Wait,
    /// Find where it begins.
    Begin,
    /// Read from the stream, up to this sequence.
    Read(Cursor, u64),
    Closed,
}

impl Stream {
    /// The feed of these subjects (wildcards allowed), which must be among those of the stream; none: all of the stream.
    pub fn feed(&self, subjects: &[String]) -> Feed {
        let all = if subjects.is_empty() {
            &self.spec().subjects
        } else {
            subjects
        };
        Feed {
            stream: self.clone(),
            subjects: all.to_vec(),
        }
    }

    /// Has the feeds of this stream look at once whether it is the one that they follow. For whoever knows better.
    pub fn doubt(&self) {
        self.hubs.doubt();
    }
}

impl Feed {
    /// A reader. Returns once nothing that is stored from now on can be missed.
    ///
    /// Without a connection (or an answer in time) it is `Ok`, too: the reader begins when there is one, then with what
    /// was stored since now by the clock of this machine.
    ///
    /// # Errors
    /// As [`Stream::ensure`] and [`Bus::subscribe`](super::Bus::subscribe), but for a connection that is away.
    pub async fn reader(&self, start: FeedStart, pace: Pace) -> Result<FeedReader, Error> {
        let filters = Filters::new(&self.subjects)?;
        if let Some(problem) = self.stream.problem() {
            let label = &self.stream.resource.label;
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("reading a feed: the {label} is not usable: {problem}"),
            ));
        }
        let now = SystemTime::now();
        let begin = match start {
            FeedStart::Now => Begin::Now,
            FeedStart::After(seq) => Begin::After(seq),
            FeedStart::Ago(ago) => Begin::At(now.checked_sub(ago).unwrap_or(UNIX_EPOCH)),
        };
        let mut reader = FeedReader::new(Hub::of(&self.stream, filters, pace), begin, pace);
        let limit = self.stream.resource.bus.request_timeout() * 2;
        match tokio::time::timeout(limit, reader.settle()).await {
            Ok(Ok(())) => return Ok(reader),
            Ok(Err(error)) if !consumer::passes(error.kind()) => return Err(error),
            Ok(Err(error)) => tracing::debug!(%error, "a feed is read later"),
            Err(_) => tracing::debug!(?limit, "a feed is read later: it was not found in time"),
        }
        if start == FeedStart::Now {
            reader.begin = Begin::At(now);
        }
        Ok(reader)
    }

    /// The sequence of the last message of the stream, of whatever subject, at this moment: one request.
    ///
    /// # Errors
    /// As [`Stream::ensure`] and [`Stream::info`].
    pub async fn last(&self) -> Result<u64, Error> {
        self.stream.ensure().await?;
        let state = self.stream.info().await?;
        Ok(state.map_or(0, |state| state.last_seq))
    }
}

impl FeedReader {
    fn new(hub: Arc<Hub>, begin: Begin, pace: Pace) -> Self {
        Self {
            changes: hub.shared.changes(),
            hub,
            begin,
            cursor: None,
            past: VecDeque::new(),
            past_end: 0,
            live: (pace == Pace::Live).then(Live::default),
            logged: false,
            turned: false,
        }
    }

    /// The next message; `None` once the bus is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Told::Heard(heard) = self.told().await? {
                return Some(heard);
            }
        }
    }

    /// The next message, or that positions begin anew; `None` once the bus is closed. Cancel-safe.
    pub async fn told(&mut self) -> Option<Told> {
        loop {
            // Before the look: what changes after it is not missed.
            self.changes.borrow_and_update();
            let done = match self.look() {
                Look::Give(heard) => return Some(Told::Heard(heard)),
                Look::Turned => return Some(Told::Turned),
                Look::Closed => return None,
                Look::Wait => {
                    self.changes.changed().await.ok()?;
                    Ok(())
                }
                Look::Begin => self.settle().await,
                Look::Read(cursor, to) => self.read(cursor, to).await,
            };
            match done {
                Ok(()) => self.logged = false,
                Err(error) => self.rest(&error).await,
            }
        }
    }

    /// The sequence up to which everything was given out, or is not for this reader. 0 before the first connection, when
    /// nothing else was said.
    pub fn position(&self) -> u64 {
        match (self.cursor, self.begin) {
            (Some(cursor), _) => cursor.position,
            (None, Begin::After(seq)) => seq,
            (None, _) => 0,
        }
    }

    /// Where it stands, and in which stream.
    pub fn stand(&self) -> Stand {
        let generation = self.cursor.map(|cursor| cursor.generation);
        let created = self.hub.shared.with(|state| {
            let origin = state.origin.as_ref();
            let origin = origin.filter(|_| generation == Some(state.generation))?;
            origin.created.clone()
        });
        Stand {
            created,
            position: self.position(),
        }
    }

    /// Finds where it begins.
    async fn settle(&mut self) -> Result<(), Error> {
        loop {
            self.changes.borrow_and_update();
            let shared = &self.hub.shared;
            let state = shared.with(|state| (state.closed, state.open, state.trouble()));
            match state {
                (true, ..) => {
                    let context = format!(
                        "reading the {}: the connection is closed",
                        shared.resource.label
                    );
                    return Err(Error::new(ErrorKind::Closed, context));
                }
                (_, false, Some(trouble)) if !shared.is_tried(&trouble) => return Err(trouble),
                (_, false, _) => {}
                (_, true, _) => match past::begin(shared, self.begin).await {
                    Ok(Some(cursor)) => {
                        self.cursor = Some(cursor);
                        self.skip_heard();
                        return Ok(());
                    }
                    Ok(None) => {}
                    Err(error) if past::vanished(&error) => shared.doubt.notify_one(),
                    Err(error) => return Err(error),
                },
            }
            self.changed().await;
        }
    }

    /// Reads from the stream what follows.
    async fn read(&mut self, cursor: Cursor, to: u64) -> Result<(), Error> {
        let shared = &self.hub.shared;
        match past::read(shared, cursor, to).await {
            Ok(Some(past)) => {
                self.past = past.messages.into();
                self.past_end = past.end;
                Ok(())
            }
            Ok(None) => {
                self.changed().await;
                Ok(())
            }
            Err(error) if past::vanished(&error) => {
                shared.doubt.notify_one();
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until something changes, but not for long: the change may have come before.
    async fn changed(&mut self) {
        tokio::time::timeout(RETRY, self.changes.changed())
            .await
            .ok();
    }

    /// Waits after an error.
    async fn rest(&mut self, error: &Error) {
        if !consumer::passes(error.kind()) && !self.logged {
            tracing::warn!(%error, "a feed cannot be read on; it is tried again");
            self.logged = true;
        }
        if self.hub.shared.with(|state| state.open || state.closed) {
            tokio::time::sleep(RETRY).await;
        } else {
            self.changed().await;
        }
    }

    /// What was heard until now comes from the stream.
    fn skip_heard(&mut self) {
        if let Some(live) = &mut self.live {
            live.next = self.hub.shared.with(|state| state.heard.end());
        }
    }

    fn look(&mut self) -> Look {
        let shared = &self.hub.shared;
        let Some(cursor) = &mut self.cursor else {
            return shared.with(|state| match (state.closed, state.open) {
                (true, _) => Look::Closed,
                (_, true) => Look::Begin,
                _ => Look::Wait,
            });
        };
        while let Some(stored) = self.past.pop_front() {
            cursor.position = stored.seq;
            let live = self.live.as_mut();
            if live.is_none_or(|live| live.twins.store(twins::key(&stored))) {
                return Look::Give(Heard::stored(Arc::new(stored)));
            }
        }
        cursor.position = cursor.position.max(std::mem::take(&mut self.past_end));
        loop {
            let generation = cursor.generation;
            let taken = shared.take(cursor);
            self.turned |= generation != cursor.generation;
            match taken {
                Taken::Message(kept) => {
                    let live = self.live.as_mut();
                    if live.is_none_or(|live| live.twins.store(kept.key)) {
                        return Look::Give(Heard::stored(kept.message));
                    }
                }
                Taken::Behind(to) => {
                    let cursor = *cursor;
                    self.skip_heard();
                    return Look::Read(cursor, to);
                }
                Taken::Closed => return Look::Closed,
                Taken::Nothing if std::mem::take(&mut self.turned) => return Look::Turned,
                Taken::Nothing => return self.hear(),
            }
        }
    }

    /// What was heard and is not known to be stored.
    fn hear(&mut self) -> Look {
        let Some(live) = &mut self.live else {
            return Look::Wait;
        };
        self.hub.shared.with(|state| {
            while !live.twins.is_full() && live.next < state.heard.end() {
                let Some(kept) = state.heard.get(live.next) else {
                    // It went before it was read: it comes from the stream.
                    live.next = state.heard.end();
                    break;
                };
                live.next += 1;
                if live.twins.hear(kept.key, kept.at) {
                    return Look::Give(Heard {
                        seq: None,
                        message: Arc::clone(&kept.message),
                    });
                }
            }
            live.twins.settle(state.idle);
            Look::Wait
        })
    }
}

impl Heard {
    fn stored(message: Arc<Stored>) -> Self {
        Self {
            seq: Some(message.seq),
            message,
        }
    }
}
