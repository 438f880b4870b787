//! `revive`

use minijinja::value::Value;

use super::queues;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::payload;
use crate::spec::verbs::forms::Revive;

pub(super) async fn run(step: &Revive, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let lane = queues::lane(queue, step.with.as_ref(), call, &context)?;
    let id = queues::id(&step.id, call, &context)?;
    let dead: u64 = call
        .reader(&context)
        .whole("seq", Some(&step.seq))?
        .unwrap_or_default();
    let level = queues::level(queue, step.level.as_ref(), call, &context)?;
    let payload = payload::encode(&call.templates().tree(&step.payload, &context)?)?;
    queue.check_id(&id, &lane, &payload, &[])?;
    let ack = queue
        .handle
        .revive(&lane, &id, dead, level, payload)
        .await?;
    Ok(minijinja::context!(id => id, seq => ack.seq))
}
