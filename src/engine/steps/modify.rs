//! `modify`

use minijinja::value::{Serde, Value};
use serde_json::{Map, Value as Json};

use crate::bus::{Bucket, Entry, ErrorKind};
use crate::catalog::templates::to_json;
use crate::engine::call::Call;
use crate::engine::contest::{Contest, TRIES};
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::spec::env::is_omit;
use crate::spec::verbs::forms::Modify;

pub(super) async fn run(step: &Modify, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let bucket = call.bucket(&step.bucket, step.with.as_ref(), &context)?;
    let key = call.templates().token(&step.key, &context)?;
    let mut contest = Contest::default();
    while contest.again().await {
        let Some(entry) = bucket.get(&key).await? else {
            return Err(payload::no_key(&bucket, &key));
        };
        let before = object(&bucket, &entry)?;
        let after = Json::Object(changed(step, call, &bucket, &entry, &before)?);
        let bytes = payload::encode_json(&after)?;
        match bucket.update(&key, bytes, entry.revision).await {
            Ok(revision) => {
                let (before, after) = (Value::from(Serde(&before)), Value::from(Serde(&after)));
                return Ok(minijinja::context!(key, revision, before, after));
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(conflict(
        &bucket,
        &key,
        &format!("was changed by others during each of {TRIES} tries: try again"),
    ))
}

fn conflict(bucket: &Bucket, key: &str, why: &str) -> Failure {
    Failure::new(
        FailureKind::Bus(ErrorKind::Conflict),
        format!(
            "nothing was written: the key {key} of the bucket {} {why}",
            bucket.spec().name
        ),
    )
}

fn object(bucket: &Bucket, entry: &Entry) -> Result<Map<String, Json>, Failure> {
    serde_json::from_slice(&entry.value).map_err(|_| {
        Failure::new(
            FailureKind::Range,
            format!(
                "the key {} of the bucket {} holds no JSON object, so it has no fields to change",
                entry.key,
                bucket.spec().name
            ),
        )
    })
}

/// The stored object with its new fields.
fn changed(
    step: &Modify,
    call: &Call<'_>,
    bucket: &Bucket,
    entry: &Entry,
    before: &Map<String, Json>,
) -> Result<Map<String, Json>, Failure> {
    let item = payload::entry(&entry.key, Some(entry));
    let context = call.scope.with("item", item).context();
    if let Some(filter) = &step.r#where
        && !call.templates().test(filter, &context)?
    {
        return Err(conflict(bucket, &entry.key, "is not as `where` wants it"));
    }
    let mut after = before.clone();
    for (field, tree) in step.set.iter() {
        let value = call.templates().tree_or_omit(tree, &context)?;
        if !is_omit(&value) {
            after.insert(field.to_owned(), to_json(&value)?);
        }
    }
    Ok(after)
}
