//! `notify`

use minijinja::value::Value;

use crate::catalog::templates::to_json;
use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::outlet::Note;
use crate::spec::verbs::forms::Notify;
use crate::spec::verbs::notify::METHODS;

pub(super) async fn run(step: &Notify, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let method = call.templates().text(&step.method, &context)?;
    if !method.starts_with(METHODS) || method.contains(char::is_whitespace) {
        return Err(Failure::new(
            FailureKind::Range,
            format!("`{method}` is no method of a notification: it begins with `{METHODS}`"),
        ));
    }
    let params = match &step.params {
        None => None,
        Some(params) => match to_json(&call.templates().tree(params, &context)?)? {
            serde_json::Value::Object(params) => Some(params),
            other => {
                let text = format!("the parameters of a notification are an object, not {other}");
                return Err(Failure::new(FailureKind::Range, text));
            }
        },
    };
    let delivered = call.notify(Note { method, params }).await?;
    Ok(minijinja::context!(delivered))
}
