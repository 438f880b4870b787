//! `progress`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::progress::Done;
use crate::spec::tree::{Template, Whole};
use crate::spec::verbs::forms::Progress;

pub(super) fn run(step: &Progress, call: &mut Call<'_>) -> Result<Value, Failure> {
    if !call.progress.is_wanted() {
        return Ok(minijinja::context!(told => false));
    }
    let context = call.context();
    let done = done(
        call,
        &step.done,
        step.total.as_ref(),
        step.message.as_ref(),
        &context,
    )?;
    let told = call.progress.tell(done);
    Ok(minijinja::context!(told))
}

/// What is told of how far a call is.
pub(super) fn done(
    call: &Call<'_>,
    done: &Whole,
    total: Option<&Whole>,
    message: Option<&Template>,
    context: &Value,
) -> Result<Done, Failure> {
    let reader = call.reader(context);
    Ok(Done {
        done: reader.whole("done", Some(done))?.unwrap_or_default(),
        total: reader.whole("total", total)?,
        message: message
            .map(|text| call.templates().text(text, context))
            .transpose()?,
    })
}
