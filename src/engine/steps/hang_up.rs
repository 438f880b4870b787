//! `hang_up`

use std::time::Duration;

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::verbs::forms::HangUp;

/// When the client should come back if the spec does not say.
const RETRY: Duration = Duration::from_secs(1);

pub(super) fn run(step: &HangUp, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let reader = call.reader(&context);
    let retry = match &step.retry {
        None => RETRY,
        Some(retry) => reader.pause("retry", retry)?,
    };
    if retry > HangUp::MOST {
        let text = format!(
            "`retry` is {retry:?}, and must be at most {:?}",
            HangUp::MOST
        );
        return Err(Failure::new(FailureKind::Range, text));
    }
    let hung_up = call.wire.as_ref().is_some_and(|wire| wire.hang_up(retry));
    Ok(minijinja::context!(hung_up))
}
