//! `get`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::spec::verbs::forms::Get;

pub(super) async fn run(step: &Get, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let key = call.templates().token(&step.key, &context)?;
    let entry = bucket.get(&key).await?;
    if entry.is_none() && call.has_else {
        return Err(Failure::new(
            FailureKind::NotFound,
            format!("the bucket {} has no key {key}", bucket.spec().name),
        ));
    }
    Ok(payload::entry(&key, entry.as_ref()))
}
