//! `check`

use minijinja::value::{Serde, Value};

use crate::catalog::templates::to_json;
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::suggest;
use crate::spec::verbs::forms::Check;

pub(super) fn run(step: &Check, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let name = call.templates().text(&step.schema, &context)?;
    let mut value = to_json(&call.templates().tree(&step.value, &context)?)?;
    let schemas = &call.pack().schemas;
    let Some(schema) = schemas.get(&name) else {
        let shown: String = name.chars().take(128).collect();
        let help = suggest::help(&name, schemas.keys().map(String::as_str));
        return Err(Failure::new(
            FailureKind::NotFound,
            format!("there is no schema `{shown}`; {help}"),
        ));
    };
    schema.fill_defaults(&mut value);
    schema.check(&value).map_err(|lines| {
        Failure::new(
            FailureKind::Invalid,
            format!(
                "the value does not fit the schema `{name}`:\n- {}",
                lines.join("\n- ")
            ),
        )
    })?;
    Ok(Value::from(Serde(&value)))
}
