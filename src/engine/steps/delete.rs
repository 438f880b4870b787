//! `delete`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Delete;

pub(super) async fn run(step: &Delete, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let key = call.templates().token(&step.key, &context)?;
    let revision = call
        .reader(&context)
        .whole("revision", step.revision.as_ref())?;
    bucket.delete(&key, revision).await?;
    Ok(minijinja::context!(key))
}
