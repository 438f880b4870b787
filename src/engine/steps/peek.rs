//! `peek`

use minijinja::value::Value;
use serde_json::Value as Json;

use super::queues;
use crate::bus::Peeked;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::payload;
use crate::engine::sieve::Sieve;
use crate::spec::verbs::forms::Peek;
use crate::spec::verbs::queues::{MAX_LIMIT, MAX_SCAN};

/// The most items looked at when a spec does not say.
const SCAN: usize = 1_000;

pub(super) async fn run(step: &Peek, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let reader = call.reader(&context);
    let limit = reader.count("limit", Some(&step.limit), MAX_LIMIT)?;
    let limit = limit.unwrap_or(1);
    let scan = reader.count("scan", step.scan.as_ref(), MAX_SCAN)?;
    let scan = scan.unwrap_or(SCAN);
    let lanes = queues::lanes(queue, step.from.as_ref(), call, &context).await?;
    let found = queues::look(queue, &lanes, scan.max(limit)).await?;
    let Peeked { items, total, more } = found;
    let sieve = Sieve::new(call, step.r#where.as_ref(), step.select.as_ref())?;
    let (mut kept, mut matching, mut taken) = (Vec::new(), 0_u64, 0);
    for item in &items {
        let with = lanes.get(item.lane).map_or(&Json::Null, |lane| &lane.label);
        let item = payload::queued(item, with);
        if !sieve.fits(|| item.clone())? {
            continue;
        }
        matching += 1;
        if taken < limit {
            taken += 1;
            kept.extend(sieve.kept(item)?);
        }
    }
    let left = matching > taken as u64;
    Ok(minijinja::context!(
        count => kept.len(), items => kept, matching => matching, total => total, more => more || left
    ))
}
