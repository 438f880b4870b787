//! `drop`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Drop;

pub(super) async fn run(step: &Drop, call: &mut Call<'_>) -> Result<Value, Failure> {
    let stream = call.stream(&step.stream, step.with.as_ref(), &call.context())?;
    let left = stream.drop_if_empty().await?;
    Ok(minijinja::context!(
        stream => stream.spec().name.clone(), dropped => left.dropped, messages => left.messages
    ))
}
