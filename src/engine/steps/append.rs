//! `append`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::spec::verbs::forms::Append;

pub(super) async fn run(step: &Append, call: &mut Call<'_>) -> Result<Value, Failure> {
    let line = call.templates().text(&step.line, &call.context())?;
    let journal = call.engine.journals.get(call.home, &step.journal);
    let written = match journal {
        Some(journal) => journal.append(&line).await,
        None => false,
    };
    Ok(minijinja::context!(written => written))
}
