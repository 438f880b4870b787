//! `complete`

use minijinja::value::Value;

use super::queues;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Complete;

pub(super) async fn run(step: &Complete, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let token = call.templates().text(&step.token, &context)?;
    let done = queue.handle.complete(&token).await?;
    Ok(minijinja::context!(id => done.id, attempt => done.attempt, duplicate => done.duplicate))
}
