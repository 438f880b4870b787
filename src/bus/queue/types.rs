//! What goes into a queue and what comes out of it.

use crate::bus::bucket::Bucket;
use crate::bus::error::{Error, ErrorKind};
use crate::bus::message::Bytes;
use crate::bus::read::Stored;
use crate::bus::stream::{Retention, Stream};
use serde_json::Value;
use std::time::Duration;

/// The declaration of a queue.
#[derive(Clone)]
pub struct QueueSpec {
    /// Its name; lease records carry it.
    pub name: String,
    /// Holds the lease records. Declare `limit_markers` (and history 1), so that records of the past go by themselves.
    pub leases: Bucket,
    /// Holds the dead letters.
    pub dead: Stream,
    /// Dead letters go to `<dead_subject>.<first>.<id token>`; to `dead_subject` itself when the existing stream takes only that.
    pub dead_subject: String,
    /// Attempts of an item before it is a dead letter; at least 1.
    pub attempts: u32,
}

/// One lane of a queue: what a worker can ask for.
#[derive(Clone)]
pub struct Lane {
    /// The stream, with work-queue retention.
    pub stream: Stream,
    /// Subject of the items; with levels `.p<level>` follows.
    pub subject: String,
    /// Name of the durable consumer; with levels `~p<level>` follows.
    pub consumer: String,
    /// Levels of priority, 1 to 100, the highest is served first. 0: a plain lane, subject and consumer exactly as given.
    pub levels: u32,
    /// How long a claim lasts. Of an existing consumer its own `ack_wait` counts.
    pub lease: Duration,
    /// Begins the keys of the lease records and the subjects of dead letters: one token of `a-z A-Z 0-9 - _ =`.
    pub first: String,
    /// The values that made this lane; comes back with its items.
    pub label: Value,
}

impl Lane {
    /// The subject of a level.
    pub(super) fn subject_at(&self, level: u32) -> Result<String, Error> {
        match self.levels {
            0 => Ok(self.subject.clone()),
            levels if (1..=levels).contains(&level) => Ok(format!("{}.p{level}", self.subject)),
            levels => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "the lane {} has the levels 1 to {levels}, not {level}",
                    self.subject
                ),
            )),
        }
    }

    /// The consumer of a level.
    pub(super) fn consumer_at(&self, level: u32) -> String {
        match self.levels {
            0 => self.consumer.clone(),
            _ => format!("{}~p{level}", self.consumer),
        }
    }

    /// The subjects of all levels, as a filter.
    pub(super) fn filter(&self) -> String {
        match self.levels {
            0 => self.subject.clone(),
            _ => format!("{}.*", self.subject),
        }
    }

    /// The level of a subject; `None`: not of this lane.
    pub(super) fn level_of(&self, subject: &str) -> Option<u32> {
        let rest = subject.strip_prefix(self.subject.as_str())?;
        match self.levels {
            0 => rest.is_empty().then_some(0),
            levels => level(rest.strip_prefix('.')?).filter(|level| *level <= levels),
        }
    }

    /// Why the lane can never work.
    pub(super) fn problem(&self, queue: &QueueSpec) -> Option<String> {
        let Self {
            stream, subject, ..
        } = self;
        let name = &stream.spec().name;
        if *name == queue.dead.spec().name {
            return Some(format!(
                "the lane {subject} would keep its items in the stream {name}, which holds the dead letters of the queue {}",
                queue.name
            ));
        }
        if stream.spec().retention != Retention::WorkQueue
            || stream
                .drift()
                .iter()
                .any(|drift| drift.field == "retention")
        {
            return Some(format!(
                "the stream {name} of the lane {subject} must have work-queue retention"
            ));
        }
        if self.levels > super::MAX_LEVELS {
            return Some(format!(
                "the lane {subject} has {} levels, more than {}",
                self.levels,
                super::MAX_LEVELS
            ));
        }
        if !super::record::is_token(&self.first) {
            return Some(format!(
                "the lane {subject} begins its keys with {:?}, which is not one token of at most {} letters, digits, - _ and =",
                self.first,
                super::record::MAX_TOKEN
            ));
        }
        None
    }
}

/// The number of a token `p<level>`.
pub(super) fn level(token: &str) -> Option<u32> {
    let digits = token.strip_prefix('p')?;
    let level: u32 = digits.parse().ok()?;
    (level > 0 && level.to_string() == digits).then_some(level)
}

/// What the language knows about the messages of a queue.
pub trait Rules: Send + Sync {
    /// What a message of the queue says about itself. Also called for messages of other programs.
    fn look(&self, message: &Stored) -> Look;

    /// The body of a dead letter.
    ///
    /// # Errors
    /// When it cannot be made; the item then stays in the queue, unclaimable, and it is tried again.
    fn record(&self, dead: &Dead) -> Result<Bytes, Error>;

    /// The id that a dead letter of another program tells in its body.
    fn dead_id(&self, letter: &Stored) -> Option<String>;
}

/// What a message says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The id; `None`: not a work item, it is buried at once.
    pub id: Option<String>,
    /// Worthless after this time, RFC 3339. Other texts count as no time.
    pub expires: Option<String>,
    /// Attempts made before it came into this queue.
    pub base: u32,
}

/// An item that is given up.
#[derive(Clone, Debug)]
pub struct Dead {
    /// Its id; `message-<sequence>` for what is not a work item.
    pub id: String,
    /// The token that began its keys.
    pub first: String,
    /// Label of its lane.
    pub label: Value,
    /// The message as it was in the queue.
    pub message: Stored,
    /// Why.
    pub reason: String,
    /// Attempts made.
    pub attempts: u32,
    /// When it was given up, RFC 3339 UTC in milliseconds.
    pub failed_at: String,
    /// What became of each attempt.
    pub errors: Vec<String>,
}

/// An item that is claimed now.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Names this claim, on any gateway.
    pub token: String,
    /// Id of the item.
    pub id: String,
    /// Number of the lane in the call's list.
    pub lane: usize,
    /// Level; 0 in a plain lane.
    pub level: u32,
    /// The message.
    pub message: Stored,
    /// This attempt, from 1.
    pub attempt: u32,
    /// Attempts it gets in all.
    pub attempts: u32,
    /// End of the lease, RFC 3339 UTC in milliseconds.
    pub until: String,
    /// What became of earlier attempts.
    pub errors: Vec<String>,
}

/// A renewed lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Extended {
    /// Id of the item.
    pub id: String,
    /// End of the lease, RFC 3339 UTC in milliseconds.
    pub until: String,
    /// This attempt.
    pub attempt: u32,
    /// What is noted with the lease.
    pub note: Option<Value>,
}

/// A completed item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Id of the item.
    pub id: String,
    /// The attempt that did it.
    pub attempt: u32,
    /// It was completed with this token before.
    pub duplicate: bool,
}

/// How an item is given back.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// Why; it is kept with the item.
    pub reason: String,
    /// Bury it at once.
    pub dead: bool,
    /// Nobody gets it sooner.
    pub delay: Duration,
}

/// An item that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Id of the item.
    pub id: String,
    /// It is a dead letter now.
    pub dead: bool,
    /// The attempt that ended.
    pub attempt: u32,
    /// Attempts it gets in all.
    pub attempts: u32,
}

/// Whether somebody holds an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemState {
    /// Nobody does.
    Pending,
    /// Somebody does.
    Claimed,
}

/// An item that was looked at.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its id; `None`: not a work item.
    pub id: Option<String>,
    /// Number of the lane in the call's list.
    pub lane: usize,
    /// Level; 0 in a plain lane.
    pub level: u32,
    /// The message.
    pub message: Stored,
    /// Whether somebody holds it.
    pub state: ItemState,
    /// Who holds it, when claimed.
    pub holder: Option<String>,
    /// End of the lease (claimed), or not before this time (pending), RFC 3339.
    pub until: Option<String>,
    /// Attempts begun.
    pub attempt: u32,
    /// What the last holder noted.
    pub note: Option<Value>,
    /// What became of earlier attempts.
    pub errors: Vec<String>,
}

/// What a look at a queue found.
#[derive(Clone, Debug, Default)]
pub struct Peeked {
    /// The highest level first, then the oldest.
    pub items: Vec<Item>,
    /// Messages of these lanes in all.
    pub total: u64,
    /// There were more than were looked at.
    pub more: bool,
}

/// What a lane holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneDepth {
    /// Messages that nobody holds.
    pub pending: u64,
    /// Messages that somebody holds.
    pub claimed: u64,
    /// Both.
    pub messages: u64,
}

/// A subject with messages, of a lane with levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The tokens between prefix and level.
    pub tokens: Vec<String>,
    /// The level.
    pub level: u32,
    /// Messages.
    pub messages: u64,
}

/// Which dead letters are wanted.
#[derive(Clone, Debug, Default)]
pub struct DeadQuery {
    /// With this id.
    pub id: Option<String>,
    /// Of lanes with this `first` token. Letters of other programs do not tell theirs; they are always shown to `accept`.
    pub first: Option<String>,
    /// Only sequences above this one.
    pub after: u64,
    /// Most accepted letters, 1 to 1,000.
    pub limit: usize,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id; `None` when another program's body does not tell it.
    pub id: Option<String>,
    /// `first` token of its lane; `None` in a letter of another program.
    pub first: Option<String>,
    /// The message; its `seq` is what [`Queue::revive`](super::Queue::revive) wants.
    pub message: Stored,
}

/// A page of dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadPage {
    /// The oldest first.
    pub letters: Vec<DeadLetter>,
    /// All accepted letters, on this page and on others, as far as they were looked at.
    pub total: u64,
    /// `after` of the next page; `None` when this was the last.
    pub next: Option<u64>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Items whose last lease had run out, buried.
    pub buried: usize,
    /// Burials, revivals and completions finished.
    pub finished: usize,
    /// Items that failed; they are tried again by the next sweep.
    pub failed: usize,
}
