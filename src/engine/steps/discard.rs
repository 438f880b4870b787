//! `discard`

use minijinja::value::Value;

use super::queues;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::DiscardDead;

pub(super) async fn run(step: &DiscardDead, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let id = queues::id(&step.id, call, &context)?;
    queue.handle.discard(&id).await?;
    Ok(minijinja::context!(id))
}
