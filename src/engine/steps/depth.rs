//! `depth`

use minijinja::value::{Serde, Value};
use serde_json::Value as Json;

use super::queues;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::check::MAX_LANES;
use crate::spec::verbs::forms::Depth;
use crate::spec::verbs::queues::COUNTS;

pub(super) async fn run(step: &Depth, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let lanes = queues::lanes(queue, step.from.as_ref(), call, &context).await?;
    let mut told = Vec::with_capacity(lanes.len());
    for some in lanes.chunks(MAX_LANES) {
        let depths = queue.handle.depth(some).await?;
        for (lane, depth) in some.iter().zip(depths) {
            let mut entry = lane.label.as_object().cloned().unwrap_or_default();
            for (count, value) in COUNTS
                .iter()
                .zip([depth.pending, depth.claimed, depth.messages])
            {
                entry.insert((*count).to_owned(), value.into());
            }
            told.push(Json::Object(entry));
        }
    }
    let lanes = Value::from(Serde(&Json::Array(told)));
    Ok(minijinja::context!(lanes))
}
