//! What a delivery means: a claim, or something that was to be done first. The lease record decides.

use super::leases::{TRIES, lost};
use super::record::{self, Record, State, token};
use super::types::{Claim, Lane};
use super::wire::{Delivery, is_over};
use super::{Queue, bury, revive};
use crate::bus::error::{Error, ErrorKind};
use std::time::{Duration, SystemTime};

/// When a message comes back that has to wait for something else.
const LATER: Duration = Duration::from_secs(1);
/// A delivery comes back this long after the lease before it has run out.
const MARGIN: Duration = Duration::from_millis(50);
/// When a message comes back whose record cannot be read, or which could not be buried.
const MUCH_LATER: Duration = Duration::from_secs(30);

/// On whose behalf, and from where, a delivery was asked for.
pub(super) struct Asked<'a> {
    pub(super) lane: &'a Lane,
    /// Number of the lane in the call's list.
    pub(super) index: usize,
    pub(super) level: u32,
    pub(super) holder: &'a str,
}

/// What came of a delivery.
pub(super) enum Settled {
    /// It is a claim.
    Claimed(Box<Claim>),
    /// It was nothing to claim; the next delivery may be.
    Next,
}

/// A delivery and what it says about itself.
struct Case<'a> {
    queue: &'a Queue,
    asked: &'a Asked<'a>,
    delivery: Delivery,
    key: String,
    /// The record that it gets when it has none.
    fresh: Record,
    /// Why it is to be buried without an attempt.
    hopeless: Option<String>,
    /// The end of the lease, when it is claimed.
    until: SystemTime,
}

/// What is to be done, as the record says.
enum Verdict {
    /// Claim it, or bury it: with this record, in place of that revision.
    Take(Box<Record>, Option<u64>),
    /// It comes back after this time.
    Leave(Duration),
    /// The record says that the message is to go.
    Remove,
    /// The record was changed; look again.
    Again,
}

/// Claims what was delivered, if it may be claimed. `begun` is when it was asked for: the lease counts from there, so that
/// it ends before the server gives the message to somebody else.
pub(super) async fn settle(
    queue: &Queue,
    asked: &Asked<'_>,
    delivery: Delivery,
    begun: SystemTime,
) -> Result<Settled, Error> {
    let lease = queue.consumer(asked.lane, asked.level).await?.ack_wait;
    let case = case(queue, asked, delivery, begun + lease, lease);
    let ack = case.delivery.ack.clone();
    // Most messages are delivered for the first time: no record is read for them.
    let mut verdict = Verdict::Take(Box::new(case.fresh.clone()), None);
    for _ in 0..TRIES {
        match verdict {
            Verdict::Again => {}
            Verdict::Leave(delay) => {
                queue.nak(ack.as_deref(), delay).await;
                return Ok(Settled::Next);
            }
            Verdict::Remove => {
                queue.take_out(&case.fresh, ack.as_deref()).await?;
                return Ok(Settled::Next);
            }
            Verdict::Take(record, revision) => {
                if let Some(settled) = case.take(*record, revision).await? {
                    return Ok(settled);
                }
            }
        }
        verdict = case.judge().await?;
    }
    queue.nak(ack.as_deref(), LATER).await;
    Ok(Settled::Next)
}

fn case<'a>(
    queue: &'a Queue,
    asked: &'a Asked<'a>,
    delivery: Delivery,
    until: SystemTime,
    lease: Duration,
) -> Case<'a> {
    let look = queue.0.rules.look(&delivery.stored);
    let named = look
        .id
        .and_then(|id| Some((record::id_token(&id).ok()?, id)));
    let mut hopeless = None;
    let (token, id) = named.unwrap_or_else(|| {
        hopeless = Some("not a work item".to_owned());
        let id = format!("message-{}", delivery.stored.seq);
        (id.clone(), id)
    });
    if let Some(time) = look
        .expires
        .filter(|time| hopeless.is_none() && is_over(time))
    {
        hopeless = Some(format!("the deadline {time} has passed"));
    }
    let lane = asked.lane;
    let mut fresh = Record::new(&queue.spec().name, &lane.first, &id);
    fresh.label = lane.label.clone();
    fresh.stream.clone_from(&lane.stream.spec().name);
    fresh.seq = delivery.stored.seq;
    fresh.time = delivery.time;
    fresh.subject.clone_from(&delivery.stored.subject);
    fresh.ack.clone_from(&delivery.ack);
    fresh.lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
    fresh.attempt = look.base;
    // What comes into the queue gets an attempt, whatever was tried before.
    fresh.attempts = queue.spec().attempts.max(look.base.saturating_add(1));
    Case {
        queue,
        asked,
        delivery,
        key: format!("{}.{token}", lane.first),
        fresh,
        hopeless,
        until,
    }
}

impl Case<'_> {
    async fn judge(&self) -> Result<Verdict, Error> {
        let (found, revision) = match self.queue.record(&self.key).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Verdict::Take(Box::new(self.fresh.clone()), None)),
            Err(error) if error.kind() == ErrorKind::Protocol => return self.unread(&error).await,
            Err(error) => return Err(error),
        };
        let fresh = &self.fresh;
        let same = found.is_of(&fresh.stream, fresh.seq, fresh.time);
        let done = match found.state {
            State::Reviving => revive::finish(self.queue, &self.key, found, revision).await,
            State::Burying if same => {
                let message = Some(self.delivery.stored.clone());
                bury::go_on(self.queue, &self.key, found, revision, message).await
            }
            _ if same => return Ok(self.same(found, revision)),
            _ => return self.other(found, revision).await,
        };
        Ok(done.map_or_else(|error| self.give_up(&error), |()| Verdict::Again))
    }

    /// The record cannot be read. Something else than a record holds nothing: the delivery says that the item is free.
    async fn unread(&self, error: &Error) -> Result<Verdict, Error> {
        let Some(revision) = self.queue.foreign(&self.key).await? else {
            return Ok(self.give_up(error));
        };
        tracing::warn!(%error, key = %self.key, queue = %self.queue.spec().name, "something else is written over");
        let fresh = Box::new(self.fresh.clone());
        Ok(Verdict::Take(fresh, Some(revision)))
    }

    /// This one item cannot be helped now; the others can.
    fn give_up(&self, error: &Error) -> Verdict {
        tracing::warn!(%error, key = %self.key, queue = %self.queue.spec().name, "an item is left alone for a while");
        Verdict::Leave(MUCH_LATER)
    }

    /// The record is about this message.
    fn same(&self, mut found: Record, revision: u64) -> Verdict {
        if found.is_past() {
            return Verdict::Remove;
        }
        let left = found.remaining();
        if !left.is_zero() {
            return Verdict::Leave(left + MARGIN);
        }
        found.expire();
        found.ack.clone_from(&self.fresh.ack);
        found.lease_ms = self.fresh.lease_ms;
        Verdict::Take(Box::new(found), Some(revision))
    }

    /// The record is about another message with the same id. Of two in the queue the one that has the record comes first.
    async fn other(&self, found: Record, revision: u64) -> Result<Verdict, Error> {
        if !found.is_past() && self.queue.message(&found).await?.is_some() {
            return Ok(Verdict::Leave(found.remaining().max(LATER)));
        }
        Ok(Verdict::Take(Box::new(self.fresh.clone()), Some(revision)))
    }

    /// Writes the record as a claim, or as a burial. `None`: somebody else was faster.
    async fn take(
        &self,
        mut record: Record,
        revision: Option<u64>,
    ) -> Result<Option<Settled>, Error> {
        let used_up = record.used_up().then(|| record.used_up_reason());
        if let Some(reason) = self.hopeless.clone().or(used_up) {
            return self.bury(record, revision, reason).await;
        }
        record.attempt = record.attempt.saturating_add(1);
        record.take(self.asked.holder, self.until);
        match self.queue.write(&self.key, &record, revision).await {
            Ok(_) => Ok(Some(Settled::Claimed(Box::new(self.claimed(&record))))),
            Err(error) if lost(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn bury(
        &self,
        record: Record,
        revision: Option<u64>,
        reason: String,
    ) -> Result<Option<Settled>, Error> {
        let message = Some(self.delivery.stored.clone());
        match bury::begin(self.queue, &self.key, record, revision, reason, message).await {
            Ok(()) => Ok(Some(Settled::Next)),
            Err(error) if lost(&error) => Ok(None),
            Err(error) => {
                self.give_up(&error);
                self.queue
                    .nak(self.delivery.ack.as_deref(), MUCH_LATER)
                    .await;
                Ok(Some(Settled::Next))
            }
        }
    }

    fn claimed(&self, record: &Record) -> Claim {
        Claim {
            token: token(&self.key, record),
            id: record.id.clone(),
            lane: self.asked.index,
            level: self.asked.level,
            message: self.delivery.stored.clone(),
            attempt: record.attempt,
            attempts: record.attempts,
            until: record.until.clone(),
            errors: record.errors.clone(),
        }
    }
}
