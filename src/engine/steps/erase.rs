//! `erase`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Erase;

pub(super) async fn run(step: &Erase, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let stream = call.stream(&step.stream, step.with.as_ref(), &context)?;
    let seq = call
        .reader(&context)
        .count("seq", Some(&step.seq), i64::MAX)?
        .unwrap_or_default();
    let erased = stream.erase(seq.unsigned_abs()).await?;
    Ok(minijinja::context!(erased => erased))
}
