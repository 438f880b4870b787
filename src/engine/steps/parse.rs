//! `parse`

use minijinja::value::{Serde, Value};

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::machine::parsed;
use crate::spec::verbs::files::FileForm;
use crate::spec::verbs::forms::Parse;
use crate::spec::verbs::parse::ParseForm;

pub(super) fn run(step: &Parse, call: &mut Call<'_>) -> Result<Value, Failure> {
    let text = call.templates().text(&step.text, &call.context())?;
    let form = match step.r#as {
        ParseForm::Yaml => FileForm::Yaml,
        ParseForm::Json => FileForm::Json,
    };
    let data = parsed(&text, form).map_err(|error| Failure::new(FailureKind::Invalid, error))?;
    let data = Value::from(Serde(&data));
    Ok(minijinja::context!(data => data))
}
