//! `extend`

use minijinja::value::{Serde, Value};

use super::queues;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Extend;

pub(super) async fn run(step: &Extend, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let token = call.templates().text(&step.token, &context)?;
    let note = match &step.note {
        // Null says nothing new.
        Some(note) => Some(call.templates().json(note, &context)?).filter(|note| !note.is_null()),
        None => None,
    };
    let held = queue.handle.extend(&token, note).await?;
    Ok(minijinja::context!(
        id => held.id, until => held.until, attempt => held.attempt, note => Value::from(Serde(&held.note))
    ))
}
