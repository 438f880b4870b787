//! Reading from the stream what a reader is behind with, and finding where a reader begins.

use super::hub::{Cursor, Shared};
use crate::bus::api::{self, Info};
use crate::bus::direct::Batch;
use crate::bus::error::{Error, ErrorKind};
use crate::bus::link::Link;
use crate::bus::read::{Source, Start, Stored};
use futures_util::future::try_join_all;
use std::time::{Duration, SystemTime};

/// Messages that are read at once for one subject.
const MOST: usize = 256;
/// How often a stream is asked again that seems to be older than what is known of it, and how long after the other.
const LOOKS: (u32, Duration) = (5, Duration::from_millis(100));

/// A part of what was stored.
pub(super) struct Past {
    /// In the order of their sequences.
    pub(super) messages: Vec<Stored>,
    /// All up to this sequence are among `messages`.
    pub(super) end: u64,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begin {
    Now,
    After(u64),
    At(SystemTime),
}

/// Reads what follows `from`, up to `to` or for as much as is read at once. `None`: it is not the stream of this
/// generation any more.
pub(super) async fn read(shared: &Shared, cursor: Cursor, to: u64) -> Result<Option<Past>, Error> {
    let resource = &shared.resource;
    let what = format!("reading on in the {}", resource.label);
    // The semaphore is never closed.
    let _place = shared.reading.acquire().await.ok();
    let link = resource.ready(&what).await?;
    let (generation, origin) = shared.with(|state| (state.generation, state.origin.clone()));
    let Some(origin) = origin.filter(|_| generation == cursor.generation) else {
        return Ok(None);
    };
    let parts = shared.filters.subjects().iter().map(|filter| {
        let source = Source {
            link: &link,
            what: &what,
            stream: &resource.name,
            filter,
            direct: origin.direct,
            pull: None,
        };
        part(source, cursor.position, to)
    });
    let parts = try_join_all(parts).await?;
    let end = parts.iter().map(|part| part.end).min().unwrap_or(to);
    let mut messages: Vec<Stored> = parts.into_iter().flat_map(|part| part.messages).collect();
    messages.retain(|stored| stored.seq <= end);
    messages.sort_by_key(|stored| stored.seq);
    // One that two subjects take.
    messages.dedup_by_key(|stored| stored.seq);
    // Whose messages these are: a stream may have been made anew in between.
    let info = info(&link, &what, &resource.name).await?;
    if info.created != origin.created {
        shared.doubt.notify_one();
        return Ok(None);
    }
    Ok(Some(Past { messages, end }))
}

/// The same for one subject.
async fn part(source: Source<'_>, from: u64, to: u64) -> Result<Past, Error> {
    if !source.direct {
        return part_from_leader(source, from, to).await;
    }
    let (start, end) = (from.saturating_add(1), to.saturating_add(1));
    let batch = source.fetch(Start::Seq(start), end, MOST).await?;
    let Batch {
        mut messages,
        complete,
        ..
    } = batch;
    let last = messages.last().map_or(from, |stored| stored.seq);
    if last >= to || (!complete && last > from) {
        let end = last.min(to);
        return Ok(Past { messages, end });
    }
    // A replica may not have the newest yet: the leader knows.
    let next = source.first(Start::Seq(last.saturating_add(1))).await?;
    let next = next.filter(|stored| stored.seq <= to);
    let end = next.as_ref().map_or(to, |stored| stored.seq);
    messages.extend(next);
    Ok(Past { messages, end })
}

/// The leader is asked for many parts of a range at once, so the range begins small and grows while little is found.
async fn part_from_leader(source: Source<'_>, from: u64, to: u64) -> Result<Past, Error> {
    let mut past = Past {
        messages: Vec::new(),
        end: from,
    };
    let mut width = MOST as u64;
    while past.end < to && past.messages.len() < MOST / 2 {
        let high = past.end.saturating_add(width).min(to);
        let (start, end) = (past.end.saturating_add(1), high.saturating_add(1));
        let batch = source.fetch(Start::Seq(start), end, MOST).await?;
        let last = batch.messages.last().map(|stored| stored.seq);
        past.end = last.filter(|_| !batch.complete).unwrap_or(high);
        past.messages.extend(batch.messages);
        width = width.saturating_mul(8);
    }
    Ok(past)
}

/// Where a reader that begins so stands. `None`: the stream is not the one that is followed.
pub(super) async fn begin(shared: &Shared, begin: Begin) -> Result<Option<Cursor>, Error> {
    let resource = &shared.resource;
    let what = format!("beginning to read the {}", resource.label);
    let link = resource.ready(&what).await?;
    let known = shared.with(|state| Some((state.generation, state.origin.clone()?)));
    let Some((generation, origin)) = known else {
        return Ok(None);
    };
    let least = match begin {
        Begin::After(seq) => seq,
        _ => 0,
    };
    let mut info = info(&link, &what, &resource.name).await?;
    for _ in 0..LOOKS.0 {
        if info.created != origin.created {
            shared.doubt.notify_one();
            return Ok(None);
        }
        if info.state.last_seq >= least {
            break;
        }
        tokio::time::sleep(LOOKS.1).await;
        info = self::info(&link, &what, &resource.name).await?;
    }
    let last = info.state.last_seq;
    let position = match begin {
        Begin::Now => last,
        // What was said of another stream.
        Begin::After(seq) if seq > last => 0,
        Begin::After(seq) => seq,
        Begin::At(time) => before(shared, &link, &what, time).await?.min(last),
    };
    Ok(Some(Cursor {
        generation,
        position,
    }))
}

/// The sequence below the first message that was stored at this time or later.
async fn before(shared: &Shared, link: &Link, what: &str, time: SystemTime) -> Result<u64, Error> {
    let firsts = shared.filters.subjects().iter().map(async |filter| {
        let source = Source {
            link,
            what,
            stream: &shared.resource.name,
            filter,
            direct: false,
            pull: None,
        };
        source.first(Start::Time(time)).await
    });
    let firsts = try_join_all(firsts).await?;
    let seqs = firsts.into_iter().flatten().map(|stored| stored.seq);
    Ok(seqs.min().map_or(u64::MAX, |seq| seq.saturating_sub(1)))
}

/// What the stream is; one that vanished is an error of the kind [`ErrorKind::NoStream`].
async fn info(link: &Link, what: &str, name: &str) -> Result<Info, Error> {
    let info = api::info(link, what, name).await;
    info.map_err(|failure| failure.into_error(what))
}

/// Whether the stream has to be looked at again by the task that follows it.
pub(super) fn vanished(error: &Error) -> bool {
    error.kind() == ErrorKind::NoStream
}
