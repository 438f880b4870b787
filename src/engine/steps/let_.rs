//! `let`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Let;

pub(super) fn run(step: &Let, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let mut values = Vec::new();
    for (name, tree) in step.0.0.iter() {
        values.push((name.clone(), call.templates().tree(tree, &context)?));
    }
    let all = Value::from_pairs(values.iter().map(|(n, v)| (n.to_string(), v.clone())));
    for (name, value) in values {
        call.scope.bind(name, value);
    }
    Ok(all)
}

/// Later expressions see null.
pub(super) fn skip(step: &Let, call: &mut Call<'_>) {
    for name in step.0.keys() {
        call.scope.bind(name.to_owned(), Value::from(()));
    }
}
