//! `require`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::verbs::forms::Require;

pub(super) fn run(step: &Require, call: &mut Call<'_>) -> Result<Value, Failure> {
    if call.templates().test(&step.0, &call.context())? {
        return Ok(Value::from(true));
    }
    Err(Failure::new(
        FailureKind::Require,
        format!("this call needs `{}`, which does not hold", step.0.0),
    ))
}
