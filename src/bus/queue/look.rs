//! Looking at a queue without taking anything.

use super::Queue;
use super::record::{Record, State, id_token};
use super::types::{Found, Item, ItemState, Lane, LaneDepth, Peeked, level};
use crate::bus::api::{self, code};
use crate::bus::error::Error;
use crate::bus::read::{From, MAX_PAGE, ReadRequest, Stored};
use crate::bus::stream::Stream;
use crate::bus::time::nanos_of;
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// So many first values are asked for one by one; of more, all records are read at once.
const FEW: usize = 4;
/// Most messages of one look.
const MAX_SCAN: usize = 10_000;

/// How many messages the subjects of a stream have that match a filter; at most 100,000 subjects (nats-server
/// `JSMaxSubjectDetails`). Empty when the stream does not exist.
pub(super) async fn counts(stream: &Stream, filter: &str) -> Result<BTreeMap<String, u64>, Error> {
    #[derive(Deserialize)]
    struct Info {
        state: State,
    }
    #[derive(Deserialize)]
    struct State {
        #[serde(default)]
        subjects: Option<BTreeMap<String, u64>>,
    }
    let name = &stream.spec().name;
    let what = format!("counting the messages on {filter} in the stream {name}");
    let link = stream.resource.link(&what).await?;
    let body = json!({ "subjects_filter": filter }).to_string();
    let verb = format!("STREAM.INFO.{name}");
    match api::call::<Info>(&link, &what, &verb, body.into_bytes()).await {
        Ok(info) => Ok(info.state.subjects.unwrap_or_default()),
        Err(failure) if failure.code() == code::STREAM_NOT_FOUND => Ok(BTreeMap::new()),
        Err(failure) => Err(failure.into_error(&what)),
    }
}

pub(super) async fn found(stream: &Stream, prefix: &str) -> Result<Vec<Found>, Error> {
    let counts = counts(stream, &format!("{prefix}.>")).await?;
    let mut found: Vec<Found> = counts
        .into_iter()
        .filter_map(|(subject, messages)| {
            let rest = subject.strip_prefix(prefix)?.strip_prefix('.')?;
            let (tokens, last) = rest.rsplit_once('.')?;
            Some(Found {
                tokens: tokens.split('.').map(str::to_owned).collect(),
                level: level(last)?,
                messages,
            })
        })
        .collect();
    found.sort_by(|a, b| (&a.tokens, b.level).cmp(&(&b.tokens, a.level)));
    Ok(found)
}

pub(super) async fn depth(queue: &Queue, lanes: &[Lane]) -> Result<Vec<LaneDepth>, Error> {
    queue.check(lanes)?;
    let (records, counts) = tokio::try_join!(records_of(queue, lanes), all_counts(lanes))?;
    let depths = lanes.iter().zip(counts).map(|(lane, counts)| {
        let messages = counts.values().sum();
        let held = |record: &&Record| record.is_held() && is_in(lane, record);
        let claimed = (records.iter().filter(held).count() as u64).min(messages);
        LaneDepth {
            pending: messages - claimed,
            claimed,
            messages,
        }
    });
    Ok(depths.collect())
}

fn is_in(lane: &Lane, record: &Record) -> bool {
    record.stream == lane.stream.spec().name && lane.level_of(&record.subject).is_some()
}

/// The messages on the subjects of each lane: one request for each stream, whatever the number of its lanes.
async fn all_counts(lanes: &[Lane]) -> Result<Vec<BTreeMap<String, u64>>, Error> {
    let mut streams: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, lane) in lanes.iter().enumerate() {
        let name = lane.stream.spec().name.as_str();
        streams.entry(name).or_default().push(index);
    }
    let asked = streams.values().map(|indexes| async move {
        let mine = || indexes.iter().filter_map(|index| lanes.get(*index));
        let (Some(lane), only) = (mine().next(), indexes.len() == 1) else {
            return Ok(BTreeMap::new());
        };
        let filter = if only { lane.filter() } else { ">".to_owned() };
        counts(&lane.stream, &filter).await
    });
    let found = try_join_all(asked).await?;
    let mut all = vec![BTreeMap::new(); lanes.len()];
    for (indexes, counts) in streams.values().zip(found) {
        for index in indexes {
            if let (Some(lane), Some(own)) = (lanes.get(*index), all.get_mut(*index)) {
                *own = of_lane(lane, &counts);
            }
        }
    }
    Ok(all)
}

/// Of the messages of a stream those of a lane; its levels are next to each other in the order of subjects.
fn of_lane(lane: &Lane, counts: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    counts
        .range(lane.subject.clone()..)
        .take_while(|(subject, _)| subject.starts_with(&lane.subject))
        .filter(|(subject, _)| lane.level_of(subject).is_some())
        .map(|(subject, count)| (subject.clone(), *count))
        .collect()
}

/// The lease records of all items that may be in these lanes.
async fn records_of(queue: &Queue, lanes: &[Lane]) -> Result<Vec<Record>, Error> {
    let firsts: BTreeSet<&str> = lanes.iter().map(|lane| lane.first.as_str()).collect();
    if firsts.len() > FEW {
        let records = queue.records(">").await?;
        return Ok(records.into_iter().map(|(record, _)| record).collect());
    }
    let listed = try_join_all(firsts.into_iter().map(|first| records(queue, first)));
    Ok(listed.await?.into_iter().flatten().collect())
}

/// The lease records of a `first` token.
pub(super) async fn records(queue: &Queue, first: &str) -> Result<Vec<Record>, Error> {
    let records = queue.records(&format!("{first}.*")).await?;
    Ok(records.into_iter().map(|(record, _)| record).collect())
}

pub(super) async fn peek(queue: &Queue, lanes: &[Lane], scan: usize) -> Result<Peeked, Error> {
    queue.check(lanes)?;
    let scan = scan.clamp(1, MAX_SCAN);
    let counts = all_counts(lanes).await?;
    let total = counts.iter().flat_map(BTreeMap::values).sum();
    // Level, and the lanes that have messages there.
    let mut levels: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, (lane, counts)) in lanes.iter().zip(&counts).enumerate() {
        for level in counts.keys().filter_map(|subject| lane.level_of(subject)) {
            levels.entry(level).or_default().push(index);
        }
    }
    let mut messages = Vec::new();
    let mut more = false;
    for (level, indexes) in levels.into_iter().rev() {
        let left = scan - messages.len();
        if left == 0 {
            more = true;
            break;
        }
        let reads = indexes
            .iter()
            .map(|index| oldest(lanes, *index, level, left));
        let mut found: Vec<(usize, u32, Stored)> = Vec::new();
        for (batch, further) in try_join_all(reads).await? {
            more |= further;
            found.extend(batch);
        }
        found.sort_by_key(|(_, _, stored)| (nanos_of(&stored.time), stored.seq));
        more |= found.len() > left;
        found.truncate(left);
        messages.extend(found);
    }
    // After the messages: what is claimed in between is shown as claimed.
    let records = records_of(queue, lanes).await?;
    let records: HashMap<(&str, u64), &Record> = records
        .iter()
        .map(|record| ((record.stream.as_str(), record.seq), record))
        .collect();
    let items = messages.into_iter().filter_map(|(index, level, stored)| {
        let stream = lanes.get(index)?.stream.spec().name.as_str();
        let record = records.get(&(stream, stored.seq)).copied();
        item(queue, index, level, stored, record)
    });
    Ok(Peeked {
        items: items.collect(),
        total,
        more,
    })
}

/// The oldest messages of a level of a lane, and whether there are more.
async fn oldest(
    lanes: &[Lane],
    index: usize,
    level: u32,
    most: usize,
) -> Result<(Vec<(usize, u32, Stored)>, bool), Error> {
    let mut found = Vec::new();
    let Some(lane) = lanes.get(index) else {
        return Ok((found, false));
    };
    let mut after = Some(0);
    while let Some(seq) = after.filter(|_| found.len() < most) {
        let request = ReadRequest {
            subjects: vec![lane.subject_at(level)?],
            limit: (most - found.len()).min(MAX_PAGE),
            from: From::After(seq),
            scan: MAX_PAGE,
        };
        let page = lane.stream.read(&request, &mut |_| true).await?;
        found.extend(
            page.messages
                .into_iter()
                .map(|stored| (index, level, stored)),
        );
        after = page.next;
    }
    Ok((found, after.is_some()))
}

/// A message as an item; `None`: it has left the queue as far as its record says.
fn item(
    queue: &Queue,
    lane: usize,
    level: u32,
    message: Stored,
    record: Option<&Record>,
) -> Option<Item> {
    let time = nanos_of(&message.time);
    let record = record.filter(|record| Some(record.time) == time);
    let look = queue.0.rules.look(&message);
    let mut item = Item {
        id: look.id.filter(|id| id_token(id).is_ok()),
        lane,
        level,
        message,
        state: ItemState::Pending,
        holder: None,
        until: None,
        attempt: look.base,
        note: None,
        errors: Vec::new(),
    };
    let Some(record) = record else {
        return Some(item);
    };
    if !matches!(record.state, State::Claimed | State::Free) {
        return None;
    }
    let mut record = record.clone();
    let held = record.is_held();
    if held {
        item.state = ItemState::Claimed;
    } else {
        record.expire();
    }
    item.until = (held || !record.remaining().is_zero()).then_some(record.until);
    item.holder = held.then_some(record.holder);
    item.attempt = record.attempt;
    item.note = record.note;
    item.errors = record.errors;
    Some(item)
}
