//! Which item is next: the levels that hold anything, the highest first, and waiting when none does.

use super::record::State;
use super::settle::{Asked, Settled, settle};
use super::types::{Claim, Lane};
use super::wire::Delivery;
use super::{MAX_WAIT, Queue, hold, look};
use crate::bus::direct::{self, Trouble};
use crate::bus::error::{Error, ErrorKind};
use crate::bus::events::lock;
use crate::bus::leader;
use crate::bus::read::Stored;
use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// How often a waiting claim looks by itself: items that were given back ring no bell.
const LOOK: Duration = Duration::from_secs(1);
/// Messages that wait at the bell; they only say that there is something.
const BELL: usize = 16;
/// Deliveries that one look goes through, most of them no items or too late.
const MAX_DELIVERIES: usize = 1000;
/// Subjects whose newest message is remembered; beyond that all are forgotten.
const MAX_KNOWN: usize = 10_000;
/// The newest message is not known: every pull that comes back empty is followed by a patient one.
const UNKNOWN: u64 = u64::MAX;

pub(super) async fn claim(
    queue: &Queue,
    lanes: &[Lane],
    holder: &str,
    wait: Duration,
) -> Result<Option<Claim>, Error> {
    queue.check(lanes)?;
    let end = Instant::now() + wait.min(MAX_WAIT);
    let mut bell = None;
    if !wait.is_zero() {
        let subjects: Vec<String> = lanes.iter().map(Lane::filter).collect();
        bell = Some(queue.0.bus.subscribe(&subjects, BELL).await?);
    }
    loop {
        if let Some(claim) = apart(queue, lanes, holder).await? {
            return Ok(Some(claim));
        }
        let left = end.saturating_duration_since(Instant::now());
        let Some(bell) = bell.as_mut().filter(|_| !left.is_zero()) else {
            return Ok(None);
        };
        tokio::time::timeout(left.min(LOOK), bell.next()).await.ok();
    }
}

/// Looks once, on a task of its own: a caller that goes away in the middle must not take a delivery or a claim with it.
async fn apart(queue: &Queue, lanes: &[Lane], holder: &str) -> Result<Option<Claim>, Error> {
    let (send, receive) = oneshot::channel();
    let (queue, lanes, holder) = (queue.clone(), lanes.to_vec(), holder.to_owned());
    tokio::spawn(async move {
        let found = once(&queue, &lanes, &holder).await;
        // Nobody may listen any more; then it is dropped here, or where it waits to be read.
        send.send(found.map(|claim| Unheard { queue, claim })).ok();
    });
    match receive.await {
        Ok(found) => Ok(found?.claim.take()),
        Err(_) => Err(Error::new(
            ErrorKind::Closed,
            "claiming: the task that does it was ended",
        )),
    }
}

/// What a look found and nobody has heard of yet. Dropping it puts the claim back.
struct Unheard {
    queue: Queue,
    claim: Option<Claim>,
}

impl Drop for Unheard {
    fn drop(&mut self) {
        // Without a runtime the process ends, and the lease sees to it.
        if let Some(claim) = self.claim.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let queue = self.queue.clone();
            runtime.spawn(async move { hold::put_back(&queue, &claim.token).await });
        }
    }
}

/// A subject that holds messages.
struct Candidate {
    lane: usize,
    /// Sequence of its newest message.
    newest: u64,
}

async fn once(queue: &Queue, lanes: &[Lane], holder: &str) -> Result<Option<Claim>, Error> {
    let levels = candidates(queue, lanes).await?;
    let mut budget = MAX_DELIVERIES;
    // The highest level first.
    for (level, mut candidates) in levels.into_iter().rev() {
        if candidates.len() > 1 {
            candidates = by_age(queue, lanes, level, candidates).await?;
        }
        for candidate in candidates {
            let Some(lane) = lanes.get(candidate.lane) else {
                continue;
            };
            let asked = Asked {
                lane,
                index: candidate.lane,
                level,
                holder,
            };
            if let Some(claim) = drain(queue, &asked, candidate.newest, &mut budget).await? {
                return Ok(Some(claim));
            }
        }
    }
    Ok(None)
}

/// Takes deliveries of one subject until one is an item that may be claimed, or nothing comes.
async fn drain(
    queue: &Queue,
    asked: &Asked<'_>,
    newest: u64,
    budget: &mut usize,
) -> Result<Option<Claim>, Error> {
    while let Some(rest) = budget.checked_sub(1) {
        *budget = rest;
        let begun = SystemTime::now();
        let Some(delivery) = pull(queue, asked, newest).await? else {
            return stuck(queue, asked, budget).await;
        };
        if let Settled::Claimed(claim) = settle(queue, asked, delivery, begun).await? {
            return Ok(Some(*claim));
        }
    }
    Ok(None)
}

/// A pull; a patient one when the subject has a message that no patient pull has looked for yet.
async fn pull(queue: &Queue, asked: &Asked<'_>, newest: u64) -> Result<Option<Delivery>, Error> {
    let found = queue.pull(asked.lane, asked.level, false).await?;
    let subject = asked.lane.subject_at(asked.level)?;
    if found.is_some() || !is_news(queue, &subject, newest) {
        return Ok(found);
    }
    let found = queue.pull(asked.lane, asked.level, true).await?;
    if found.is_none() {
        let mut known = lock(&queue.0.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(subject, newest);
    }
    Ok(found)
}

fn is_news(queue: &Queue, subject: &str, newest: u64) -> bool {
    newest == UNKNOWN || lock(&queue.0.known).get(subject) != Some(&newest)
}

/// Messages that their consumer delivers no more, because another program limited the deliveries (`max_deliver`): those
/// whose record says that nobody holds them are claimed without a delivery.
async fn stuck(
    queue: &Queue,
    asked: &Asked<'_>,
    budget: &mut usize,
) -> Result<Option<Claim>, Error> {
    if !queue.consumer(asked.lane, asked.level).await?.limited {
        return Ok(None);
    }
    let mut records = look::records(queue, &asked.lane.first).await?;
    let subject = asked.lane.subject_at(asked.level)?;
    records.retain(|record| {
        matches!(record.state, State::Free | State::Claimed)
            && record.remaining().is_zero()
            && record.subject == subject
            && record.stream == asked.lane.stream.spec().name
    });
    records.sort_by_key(|record| record.seq);
    for record in records {
        let Some(rest) = budget.checked_sub(1) else {
            break;
        };
        *budget = rest;
        let begun = SystemTime::now();
        let Some(stored) = queue.message(&record).await? else {
            continue;
        };
        let delivery = Delivery {
            stored,
            time: record.time,
            ack: None,
        };
        if let Settled::Claimed(claim) = settle(queue, asked, delivery, begun).await? {
            return Ok(Some(*claim));
        }
    }
    Ok(None)
}

/// The levels that hold anything. Messages that somebody holds count too: what is found is a hint, a pull is the truth.
/// One round trip for each stream, in parallel; none for a single plain lane.
async fn candidates(queue: &Queue, lanes: &[Lane]) -> Result<BTreeMap<u32, Vec<Candidate>>, Error> {
    let mut streams: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut levels: BTreeMap<u32, Vec<Candidate>> = BTreeMap::new();
    for (index, lane) in lanes.iter().enumerate() {
        if lane.levels == 0 {
            levels.entry(0).or_default().push(Candidate {
                lane: index,
                newest: UNKNOWN,
            });
        } else {
            streams
                .entry(&lane.stream.spec().name)
                .or_default()
                .push(index);
        }
    }
    let asked = streams
        .values()
        .map(|indexes| newest(queue, lanes, indexes));
    for (indexes, found) in streams.values().zip(try_join_all(asked).await?) {
        for (subject, newest) in found {
            let of = |index: &usize| Some((*index, lanes.get(*index)?.level_of(&subject)?));
            for (lane, level) in indexes.iter().filter_map(of) {
                levels
                    .entry(level)
                    .or_default()
                    .push(Candidate { lane, newest });
            }
        }
    }
    Ok(levels)
}

/// The subjects of these lanes (of one stream) that hold messages, and the sequence of the newest of each.
async fn newest(
    queue: &Queue,
    lanes: &[Lane],
    indexes: &[usize],
) -> Result<Vec<(String, u64)>, Error> {
    let mine: Vec<&Lane> = indexes
        .iter()
        .filter_map(|index| lanes.get(*index))
        .collect();
    let Some(stream) = mine.first().map(|lane| &lane.stream) else {
        return Ok(Vec::new());
    };
    stream.ensure().await?;
    let name = &stream.spec().name;
    let what = format!("looking for work in the stream {name}");
    let link = queue.link(&what).await?;
    let filters: Vec<String> = mine.iter().map(|lane| lane.filter()).collect();
    let body = json!({ "multi_last": filters });
    let lasts = |found: Vec<Stored>| {
        found
            .into_iter()
            .map(|stored| (stored.subject, stored.seq))
            .collect()
    };
    let batch = tokio::select! {
        batch = direct::batch(&link, &what, name, &body, u64::MAX) => batch,
        () = stream.resource.missing(&link, &what, true) => Err(Trouble::NoDirect),
    };
    match batch {
        Ok(batch) if batch.complete => Ok(lasts(batch.messages)),
        Err(Trouble::Failed(error)) => Err(error),
        // No direct get in a stream that another program made, or it is gone; more than one answer holds.
        Ok(_) | Err(Trouble::NoDirect | Trouble::TooMany) => {
            stream.forget();
            stream.ensure().await?;
            let counts =
                try_join_all(filters.iter().map(|filter| look::counts(stream, filter))).await?;
            let subjects = counts.into_iter().flatten().map(|(subject, _)| subject);
            Ok(subjects.map(|subject| (subject, UNKNOWN)).collect())
        }
    }
}

/// Puts the lanes whose oldest message is older first, and leaves out those that have none.
async fn by_age(
    queue: &Queue,
    lanes: &[Lane],
    level: u32,
    candidates: Vec<Candidate>,
) -> Result<Vec<Candidate>, Error> {
    let link = queue.link("looking for the oldest work").await?;
    let link = &link;
    let oldest = candidates.into_iter().map(|candidate| async move {
        let lane = lanes.get(candidate.lane)?;
        let (stream, subject) = (&lane.stream.spec().name, lane.subject_at(level).ok()?);
        let what = format!("looking for the oldest message on {subject}");
        match leader::next(link, &what, stream, &subject, 1).await {
            Ok(stored) => Some((crate::bus::time::nanos_of(&stored?.time), candidate)),
            // A stream that is not there yet: the pull makes it.
            Err(_) => Some((None, candidate)),
        }
    });
    let mut aged: Vec<(Option<u64>, Candidate)> =
        join_all(oldest).await.into_iter().flatten().collect();
    aged.sort_by_key(|(time, _)| time.unwrap_or(u64::MAX));
    Ok(aged.into_iter().map(|(_, candidate)| candidate).collect())
}
