//! `get`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::payload;
use crate::spec::verbs::forms::Get;

pub(super) async fn run(step: &Get, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let key = templates.token(&step.key, &context)?;
    if let Some(entry) = bucket.get(&key).await? {
        let found = payload::entry(&key, Some(&entry));
        let item = call.scope.with("item", found.clone()).context();
        let fits = match &step.r#where {
            Some(filter) => templates.test(filter, &item)?,
            None => true,
        };
        if fits {
            return Ok(match &step.select {
                Some(select) => {
                    minijinja::context!(value => templates.tree(select, &item)?, ..found)
                }
                None => found,
            });
        }
    }
    if call.has_else {
        return Err(payload::no_key(&bucket, &key));
    }
    Ok(payload::entry(&key, None))
}
