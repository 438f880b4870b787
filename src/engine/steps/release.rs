//! `release`

use minijinja::value::Value;

use super::queues;
use crate::bus::Release as Back;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Release;
use crate::spec::verbs::queues::MAX_DELAY;

pub(super) async fn run(step: &Release, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let token = call.templates().text(&step.token, &context)?;
    let dead = match &step.dead {
        Some(dead) => call.templates().tree(dead, &context)?.is_true(),
        None => false,
    };
    let back = Back {
        reason: call.templates().text(&step.reason, &context)?,
        dead,
        delay: call
            .reader(&context)
            .span_within("delay", step.delay.as_ref(), MAX_DELAY)?
            .unwrap_or_default(),
    };
    let released = queue.handle.release(&token, back).await?;
    Ok(minijinja::context!(
        id => released.id, dead => released.dead, attempt => released.attempt,
        attempts => released.attempts
    ))
}
