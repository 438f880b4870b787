//! `fail`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::verbs::fail::Refusal;
use crate::spec::verbs::forms::Fail;

pub(super) fn run(step: &Fail, call: &mut Call<'_>) -> Result<Value, Failure> {
    let (text, kind) = match step {
        Fail::Text(text) => (text, FailureKind::Fail),
        Fail::Refusal(refusal) => {
            let code = refusal.code.unwrap_or(Refusal::INTERNAL);
            (&refusal.text, FailureKind::Protocol(code))
        }
    };
    let text = call.templates().text(text, &call.context())?;
    Err(Failure::new(kind, text))
}
