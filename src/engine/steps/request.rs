//! `request`

use std::time::Duration;

use minijinja::value::Value;

use crate::bus::{Bytes, Outgoing};
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::payload;
use crate::spec::verbs::forms::Request;

/// The wait when a spec does not say.
const DEFAULT: Duration = Duration::from_secs(2);
/// The longest wait.
const MOST: Duration = Duration::from_secs(300);

pub(super) async fn run(step: &Request, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let timeout = call
        .reader(&context)
        .span("timeout", step.timeout.as_ref())?
        .unwrap_or(DEFAULT);
    if timeout > MOST {
        return Err(Failure::new(
            FailureKind::Range,
            format!("`timeout` is {timeout:?}, and must be at most {MOST:?}"),
        ));
    }
    let payload = match &step.payload {
        Some(tree) => payload::encode(&templates.tree(tree, &context)?)?,
        None => Bytes::new(),
    };
    let message = Outgoing {
        subject: templates.token(&step.subject, &context)?,
        headers: call.headers(step.headers.as_ref(), &context)?,
        payload,
    };
    let answer = call.bus().request(message, timeout).await?;
    Ok(payload::message(&answer))
}
