//! `claim`

use std::time::Duration;

use minijinja::value::{Serde, Value};
use serde_json::json;

use super::queues;
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::spec::verbs::forms::Claim;
use crate::spec::verbs::queues::MAX_WAIT;

pub(super) async fn run(step: &Claim, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let queue = queues::queue(&step.queue, call, &context)?;
    let lanes = queues::lanes(queue, step.from.as_ref(), call, &context).await?;
    let holder = call.templates().text(&step.holder, &context)?;
    let wait = call
        .reader(&context)
        .span_within("wait", step.wait.as_ref(), MAX_WAIT)?;
    let claim = queue
        .handle
        .claim(&lanes, &holder, wait.unwrap_or(Duration::ZERO))
        .await?;
    let Some(claim) = claim else {
        if call.has_else {
            let text = format!("there is nothing to claim in the queue `{}`", queue.name);
            return Err(Failure::new(FailureKind::NotFound, text));
        }
        return Ok(Value::from(Serde(&json!({
            "found": false, "token": null, "id": null, "data": null, "text": "", "level": 0, "attempt": 0,
            "attempts": queue.attempts, "until": null, "with": null, "errors": [],
        }))));
    };
    let with = lanes.get(claim.lane).map(|lane| &lane.label);
    Ok(payload::claim(
        &claim,
        with.unwrap_or(&serde_json::Value::Null),
    ))
}
