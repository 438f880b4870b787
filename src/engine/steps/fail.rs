//! `fail`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::verbs::forms::Fail;

pub(super) fn run(step: &Fail, call: &mut Call<'_>) -> Result<Value, Failure> {
    let text = call.templates().text(&step.0, &call.context())?;
    Err(Failure::new(FailureKind::Fail, text))
}
