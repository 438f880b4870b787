//! Work queues: items in work-queue streams, claimed under a lease, completed, released, or given up as dead letters.
//!
//! An item is a message of a stream with work-queue retention. Each level of priority has its own subject and its own
//! durable consumer, because a consumer hands out in the order of storing (stack notes 4.3). The server also takes the
//! acknowledgement of a delivery whose time is over, so deliveries do not tell who holds an item. The **lease record**
//! does (`record.rs`): one entry of a bucket for each item, changed only by compare-and-set. Every step between two
//! writes can be the last one of a process that is killed; whoever meets the record next goes on from there.
//!
//! Round trips: three for a claim (which levels, the delivery, the record; two on a single plain lane), three for a completion
//! (the record, its change, the acknowledgement), three for an extension or a release.
//!
//! The end of a lease is a time by the holder's clock. A message comes to somebody else only when the server, too, thinks
//! that the time is over; only burying after the last attempt goes by clocks alone. So clocks that differ make a lease
//! longer or shorter by that, and never give one item to two holders whose records both hold.
//!
//! | file | what it does |
//! |---|---|
//! | `record.rs`, `leases.rs` | the lease record, keys and tokens; reading and writing records |
//! | `wire.rs` | consumers, pulls, single messages of a stream |
//! | `claim.rs`, `settle.rs` | which level is asked; what a delivery means |
//! | `hold.rs` | extend, complete, release |
//! | `bury.rs`, `dead.rs`, `discard.rs` | the way to the dead letters; listing and discarding them |
//! | `revive.rs` | the way back |
//! | `look.rs` | looking without taking |
//! | `sweep.rs`, `expire.rs` | finishing what others left; what is too late |

mod bury;
mod claim;
mod dead;
mod discard;
mod expire;
mod hold;
mod leases;
mod look;
mod record;
mod revive;
mod settle;
mod sweep;
mod types;
mod wire;

pub use record::MAX_TOKEN;
pub use types::{
    Claim, Completed, Dead, DeadLetter, DeadPage, DeadQuery, Extended, Found, Item, ItemState,
    Lane, LaneDepth, Look, Peeked, QueueSpec, Release, Released, Rules, Swept,
};

use super::connection::Bus;
use super::error::{Error, ErrorKind};
use super::message::{Bytes, Outgoing};
use super::publish::Ack;
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Most lanes of one call.
pub const MAX_LANES: usize = 64;
/// Longest wait of a claim.
pub const MAX_WAIT: Duration = Duration::from_secs(30);
/// Most levels of a lane.
pub const MAX_LEVELS: u32 = 100;

/// Bytes of a message that an item leaves to its dead letter, for the errors of its attempts and the frame around them: this
/// part of the server's `max_payload`, and not less than [`LEAST_ROOM`].
const ROOM: usize = 16;
/// See [`ROOM`].
const LEAST_ROOM: usize = 4 * 1024;

/// A handle on a queue. Cheap to clone; clones share what is known about its consumers. No I/O until it is used.
///
/// Errors of all calls, besides those named: those of the connection, of streams and of buckets, and
/// [`ErrorKind::InvalidConfig`] for a lane that cannot work: not of work-queue retention, its stream is that of the dead
/// letters, an existing consumer that does not acknowledge explicitly.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    bus: Bus,
    spec: QueueSpec,
    rules: Arc<dyn Rules>,
    /// Consumers that are known to exist, by stream and name.
    consumers: Mutex<HashMap<(String, String), wire::Consumer>>,
    /// The newest message of each subject for which a patient pull came back empty.
    known: Mutex<HashMap<String, u64>>,
    /// The leases bucket takes no life of its own for an entry.
    lifeless: AtomicBool,
}

impl Bus {
    /// A handle on a queue. `rules` say what a message is, and how a dead letter looks. Make it once and keep it.
    pub fn queue(&self, spec: QueueSpec, rules: Arc<dyn Rules>) -> Queue {
        Queue(Arc::new(Inner {
            bus: self.clone(),
            spec,
            rules,
            consumers: Mutex::default(),
            known: Mutex::default(),
            lifeless: AtomicBool::new(false),
        }))
    }
}

impl Queue {
    /// The declaration.
    pub fn spec(&self) -> &QueueSpec {
        &self.0.spec
    }

    /// Puts an item into a lane: one round trip. The id makes it idempotent within the stream's duplicate window.
    /// `level` is ignored by a plain lane.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a level that the lane does not have, [`ErrorKind::InvalidKey`] for an id that
    /// is empty or too long, [`ErrorKind::TooLarge`] for a payload of more than 15/16 of the server's `max_payload` (its
    /// dead letter could not be written), and those of [`Stream::publish`](super::Stream::publish).
    pub async fn enqueue(
        &self,
        lane: &Lane,
        level: u32,
        id: &str,
        payload: impl Into<Bytes>,
        headers: Vec<(String, String)>,
    ) -> Result<Ack, Error> {
        self.check(std::slice::from_ref(lane))?;
        record::id_token(id)?;
        let payload = payload.into();
        self.leaves_room(id, payload.len())?;
        let message = Outgoing {
            subject: lane.subject_at(level)?,
            headers,
            payload,
        };
        lane.stream.publish(message, Some(id)).await
    }

    /// Claims the item that is next: the highest level that holds one, there the oldest. Waits for one at most `wait`
    /// (at most [`MAX_WAIT`]). Items that are no items, too late or used up are buried on the way.
    ///
    /// Safe to drop while it waits: what was claimed meanwhile is put back.
    ///
    /// # Errors
    /// See [`Queue`].
    pub async fn claim(
        &self,
        lanes: &[Lane],
        holder: &str,
        wait: Duration,
    ) -> Result<Option<Claim>, Error> {
        claim::claim(self, lanes, holder, wait).await
    }

    /// Renews the lease from now on, and keeps `note` with it (`None` leaves the last one).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a token that means nothing here, [`ErrorKind::LeaseLost`] when the lease ran out, the
    /// text says what became of the item.
    pub async fn extend(
        &self,
        token: &str,
        note: Option<serde_json::Value>,
    ) -> Result<Extended, Error> {
        hold::extend(self, token, note).await
    }

    /// The item is done, and leaves the queue. Repeating it (for 30 s at least) is no error.
    ///
    /// # Errors
    /// As [`Queue::extend`].
    pub async fn complete(&self, token: &str) -> Result<Completed, Error> {
        hold::complete(self, token).await
    }

    /// Gives the item back for another attempt, or buries it: when that is asked for, or its attempts are used up.
    ///
    /// # Errors
    /// As [`Queue::extend`].
    pub async fn release(&self, token: &str, how: Release) -> Result<Released, Error> {
        hold::release(self, token, how).await
    }

    /// The items of the lanes, the highest level first, then the oldest; at most `scan` (1 to 10,000). Takes nothing.
    ///
    /// # Errors
    /// See [`Queue`].
    pub async fn peek(&self, lanes: &[Lane], scan: usize) -> Result<Peeked, Error> {
        look::peek(self, lanes, scan).await
    }

    /// How many items each of the lanes holds, in the order of `lanes`.
    ///
    /// # Errors
    /// See [`Queue`].
    pub async fn depth(&self, lanes: &[Lane]) -> Result<Vec<LaneDepth>, Error> {
        look::depth(self, lanes).await
    }

    /// What a stream holds below `prefix`, for lanes with levels: `<prefix>.<token>…<token>.p<level>`. Sorted by tokens, then by level,
    /// the highest first. At most 100,000 subjects are looked at.
    ///
    /// # Errors
    /// See [`Queue`].
    pub async fn lanes_found(
        &self,
        stream: &super::Stream,
        prefix: &str,
    ) -> Result<Vec<Found>, Error> {
        look::found(stream, prefix).await
    }

    /// A page of dead letters, the oldest first. `accept` says which count, and sees each once, those of other pages too:
    /// up to 100,000. With an id only those that have it are looked for.
    ///
    /// # Errors
    /// See [`Queue`].
    pub async fn dead(
        &self,
        query: &DeadQuery,
        accept: &mut (dyn FnMut(&DeadLetter) -> bool + Send),
    ) -> Result<DeadPage, Error> {
        dead::list(self, query, accept).await
    }

    /// Puts `payload` back into a lane in place of the dead letter with this id and sequence, which is removed then.
    /// Of two at the same time one wins. The item has a first attempt before it (at least one).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such dead letter (any more); [`ErrorKind::Conflict`] when an item with this
    /// id is being worked on.
    pub async fn revive(
        &self,
        lane: &Lane,
        id: &str,
        seq: u64,
        level: u32,
        payload: impl Into<Bytes>,
    ) -> Result<Ack, Error> {
        self.check(std::slice::from_ref(lane))?;
        revive::revive(self, lane, id, seq, level, payload.into()).await
    }

    /// Removes the dead letters with this id; says how many there were.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there are none.
    pub async fn discard(&self, id: &str) -> Result<usize, Error> {
        discard::discard(self, id).await
    }

    /// Finishes what others left undone: buries items whose last lease ran out, and goes on with interrupted burials,
    /// revivals and completions. Several processes may do it at once. Looks at up to 100,000 lease records; when there
    /// are none, that is one round trip.
    ///
    /// # Errors
    /// See [`Queue`]. What fails with one item only is logged and left for the next sweep.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        sweep::sweep(self).await
    }

    /// Whether it is for this process to look for items that are too late: true for one of all in this time.
    ///
    /// # Errors
    /// See [`Queue`].
    pub async fn begins_to_expire(&self, every: Duration) -> Result<bool, Error> {
        expire::begins(self, every).await
    }

    /// Buries the items of these lanes (at most [`MAX_LANES`]) whose time is over, as a claim would; returns how many. Reads up to
    /// 10,000 messages.
    ///
    /// # Errors
    /// See [`Queue`].
    pub async fn expire(&self, lanes: &[Lane]) -> Result<usize, Error> {
        expire::expire(self, lanes).await
    }

    /// Refuses an item whose dead letter could not be written: nobody could ever take it out of the queue as one.
    fn leaves_room(&self, id: &str, size: usize) -> Result<(), Error> {
        // Without a server publishing fails by itself.
        let Some(server) = self.0.bus.server() else {
            return Ok(());
        };
        let room = (server.max_payload / ROOM).max(LEAST_ROOM);
        let most = server.max_payload.saturating_sub(room);
        if size <= most {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "the item {id:?} has {size} bytes, more than the {most} of an item of the queue {}: its dead letter needs \
                 room for errors within the {} bytes (max_payload) that the server takes",
                self.0.spec.name, server.max_payload
            ),
        ))
    }

    /// Refuses lanes that can never work.
    fn check(&self, lanes: &[Lane]) -> Result<(), Error> {
        let bad = |text: String| Err(Error::new(ErrorKind::InvalidConfig, text));
        if lanes.is_empty() || lanes.len() > MAX_LANES {
            return bad(format!(
                "the queue {} is asked for {} lanes; it takes 1 to {MAX_LANES}",
                self.0.spec.name,
                lanes.len()
            ));
        }
        lanes
            .iter()
            .find_map(|lane| lane.problem(&self.0.spec))
            .map_or(Ok(()), bad)
    }
}
