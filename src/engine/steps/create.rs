//! `create`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::payload;
use crate::spec::verbs::forms::Create;

pub(super) async fn run(step: &Create, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let key = call.templates().token(&step.key, &context)?;
    let value = payload::encode(&call.templates().tree(&step.value, &context)?)?;
    let ttl = call.reader(&context).span("ttl", step.ttl.as_ref())?;
    let revision = bucket.create(&key, value, ttl).await?;
    Ok(minijinja::context!(key, revision))
}
