//! `use`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::verbs::forms::Use;

pub(super) async fn run(step: &Use, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let mut inner = call.scope.bare();
    for (name, tree) in step.given() {
        inner.bind(name.to_owned(), templates.tree(tree, &context)?);
    }
    let Some(named) = call.pack().pack.macros.get(&step.r#macro) else {
        // The checks let no such step through.
        let text = format!("there is no macro `{}`", step.r#macro);
        return Err(Failure::new(FailureKind::NotFound, text));
    };
    let outer = std::mem::replace(&mut call.scope, inner);
    // The steps of a macro may use another one. None uses itself, so this ends.
    let outcome = call.steps(&named.steps).await;
    let result = outcome.and_then(|()| match &named.result {
        Some(tree) => Ok(templates.tree(tree, &call.context())?),
        None => Ok(Value::from(())),
    });
    call.scope = outer;
    // A `set` in the macro changed the session behind the restored scope.
    call.refresh_session();
    result
}
