//! `update`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::payload;
use crate::spec::verbs::forms::Update;

pub(super) async fn run(step: &Update, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let key = call.templates().token(&step.key, &context)?;
    let value = payload::encode(&call.templates().tree(&step.value, &context)?)?;
    let expected: u64 = call
        .reader(&context)
        .whole("revision", Some(&step.revision))?
        .unwrap_or_default();
    let revision = bucket.update(&key, value, expected).await?;
    Ok(minijinja::context!(key, revision))
}
