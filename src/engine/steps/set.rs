//! `set`

use minijinja::value::Value;

use crate::catalog::templates::to_json;
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::env::is_omit;
use crate::spec::verbs::forms::Set;

pub(super) fn run(step: &Set, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let mut changes = Vec::new();
    for (name, tree) in step.0.iter() {
        let value = call.templates().tree_or_omit(tree, &context)?;
        changes.push((
            name,
            if is_omit(&value) {
                None
            } else {
                Some(to_json(&value)?)
            },
        ));
    }
    // All are checked before any is set: a refused value changes nothing.
    for (name, value) in &changes {
        let declared = call.pack().session.get(*name);
        if let (Some(declared), Some(value)) = (declared, value)
            && let Err(lines) = declared.check(value)
        {
            return Err(Failure::new(
                FailureKind::Range,
                format!(
                    "the session value `{name}` cannot be set: {}",
                    lines.join("; ")
                ),
            ));
        }
    }
    for (name, value) in changes {
        call.session.set(&call.pack().pack.name, name, value);
    }
    call.refresh_session();
    Ok(Value::from(true))
}
