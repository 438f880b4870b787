//! `enqueue`

use minijinja::value::Value;

use super::queues;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::payload;
use crate::spec::verbs::forms::Enqueue;

pub(super) async fn run(step: &Enqueue, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let lane = queues::lane(queue, step.with.as_ref(), call, &context)?;
    let id = queues::id(&step.id, call, &context)?;
    let level = queues::level(queue, step.level.as_ref(), call, &context)?;
    let payload = payload::encode(&call.templates().tree(&step.payload, &context)?)?;
    let headers = call.headers(step.headers.as_ref(), &context)?;
    queue.check_id(&id, &lane, &payload, &headers)?;
    let ack = queue
        .handle
        .enqueue(&lane, level, &id, payload, headers)
        .await?;
    Ok(minijinja::context!(id => id, seq => ack.seq, duplicate => ack.duplicate))
}
