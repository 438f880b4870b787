//! What the verbs of queues share: which queue, which lanes, and the numbers.

use std::cmp::Reverse;

use minijinja::value::{Value, ValueKind};

use crate::bus::{Lane, Peeked};
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::resources::{Queue, lane_text, with_values};
use crate::spec::check::MAX_LANES;
use crate::spec::data::Map;
use crate::spec::tree::{QueueName, Template, Tree, Whole};

/// The queue that a step means.
pub(super) fn queue<'a>(
    name: &QueueName,
    call: &Call<'a>,
    context: &Value,
) -> Result<&'a Queue, Failure> {
    let name = call.templates().tree(&name.0, context)?;
    let engine = call.engine;
    engine.resources.queue(call.home, &name.to_string())
}

/// The lane that `with` picks.
pub(super) fn lane(
    queue: &Queue,
    with: Option<&Map<Tree>>,
    call: &Call<'_>,
    context: &Value,
) -> Result<Lane, Failure> {
    let with = with_values(call.templates(), with, context)?;
    let engine = call.engine;
    queue.lane(&engine.resources, &engine.catalog, &with)
}

/// The lanes that `from` picks, each once. Without it those that hold anything; of a queue without parameters the only one.
pub(super) async fn lanes(
    queue: &Queue,
    from: Option<&Tree>,
    call: &Call<'_>,
    context: &Value,
) -> Result<Vec<Lane>, Failure> {
    let Some(from) = from else {
        if queue.params().next().is_none() {
            return Ok(vec![lane(queue, None, call, context)?]);
        }
        let engine = call.engine;
        return queue.lanes_found(&engine.resources, &engine.catalog).await;
    };
    let from = call.templates().tree(from, context)?;
    let picks: Vec<Value> = match from.kind() {
        ValueKind::Seq | ValueKind::Iterable => from.try_iter()?.take(MAX_LANES + 1).collect(),
        _ => Vec::new(),
    };
    if !(1..=MAX_LANES).contains(&picks.len()) {
        return Err(Failure::new(
            FailureKind::Range,
            format!("`from` must be a list of 1 to {MAX_LANES} objects, one for each lane"),
        ));
    }
    let mut lanes: Vec<Lane> = Vec::with_capacity(picks.len());
    for pick in &picks {
        let lane = one_lane(queue, pick, call)?;
        // A durable of another program may not tell all values apart.
        let same = |other: &Lane| {
            other.subject == lane.subject && other.stream.spec().name == lane.stream.spec().name
        };
        if !lanes.iter().any(same) {
            lanes.push(lane);
        }
    }
    Ok(lanes)
}

fn one_lane(queue: &Queue, pick: &Value, call: &Call<'_>) -> Result<Lane, Failure> {
    if pick.kind() != ValueKind::Map {
        let text = format!("`from` has the element {pick}, and must be a list of objects");
        return Err(Failure::new(FailureKind::Range, text));
    }
    let mut with = Vec::new();
    for key in pick.try_iter()? {
        with.push((key.to_string(), pick.get_item(&key)?));
    }
    let engine = call.engine;
    queue.lane(&engine.resources, &engine.catalog, &with)
}

/// The id of an item.
pub(super) fn id(id: &Template, call: &Call<'_>, context: &Value) -> Result<String, Failure> {
    lane_text("id", &call.templates().text(id, context)?.into())
}

/// The level of a new item.
pub(super) fn level(
    queue: &Queue,
    level: Option<&Whole>,
    call: &Call<'_>,
    context: &Value,
) -> Result<u32, Failure> {
    let given = call.reader(context).count("level", level, queue.levels)?;
    Ok(given.unwrap_or(1))
}

/// Looks at the items of lanes, however many these are.
pub(super) async fn look(queue: &Queue, lanes: &[Lane], scan: usize) -> Result<Peeked, Failure> {
    let mut all = Peeked::default();
    for (round, some) in lanes.chunks(MAX_LANES).enumerate() {
        let mut found = queue.handle.peek(some, scan).await?;
        for item in &mut found.items {
            item.lane += round * MAX_LANES;
        }
        all.items.append(&mut found.items);
        all.total += found.total;
        all.more |= found.more;
    }
    if lanes.len() > MAX_LANES {
        // Only lanes that were found are so many, and those share a stream: its sequence tells the older one.
        all.items
            .sort_by_key(|item| (Reverse(item.level), item.message.seq));
        all.more |= all.items.len() > scan;
        all.items.truncate(scan);
    }
    Ok(all)
}
