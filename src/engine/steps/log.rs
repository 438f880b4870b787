//! `log`

use minijinja::value::Value;

use crate::catalog::templates::to_json;
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::log::{Level, Line};
use crate::spec::verbs::forms::Log;

pub(super) fn run(step: &Log, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let level = match &step.level {
        None => Level::default(),
        Some(level) => {
            let word = templates.text(level, &context)?;
            Level::of(&word).ok_or_else(|| {
                let text = format!(
                    "`{word}` is no level of a log: take one of {}",
                    Level::words()
                );
                Failure::new(FailureKind::Range, text)
            })?
        }
    };
    let data = match (&step.text, &step.data) {
        (Some(text), _) => templates.text(text, &context)?.into(),
        (None, Some(data)) => to_json(&templates.tree(data, &context)?)?,
        (None, None) => serde_json::Value::Null,
    };
    let logger = match &step.logger {
        None => call.name.to_owned(),
        Some(logger) => templates.text(logger, &context)?,
    };
    tracing::debug!(steps = %call.name, level = level.as_str(), %logger, %data, "log");
    let told = call.log.write(Line {
        level,
        logger,
        data,
    });
    Ok(minijinja::context!(told))
}
