//! `write_file`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::machine::{blocking, unless_no};
use crate::files::Replace;
use crate::spec::verbs::forms::WriteFile;

pub(super) async fn run(step: &WriteFile, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let place = call.folder(&step.folder)?;
    let path = templates.text(&step.path, &context)?;
    let text = templates.text(&step.text, &context)?;
    let reader = call.reader(&context);
    let create = unless_no(&reader, "create", step.create.as_ref())?;
    let overwrite = unless_no(&reader, "overwrite", step.overwrite.as_ref())?;
    let replace = match (create, overwrite) {
        (true, true) => Replace::Any,
        (true, false) => Replace::Nothing,
        (false, _) => Replace::Existing,
    };
    let what = format!("writing a file of the folder `{}`", step.folder);
    let bytes = text.len();
    let written = blocking(&what, move || {
        let folder = place.open_to_write()?;
        Ok(folder.write(&path, text.as_bytes(), replace)?)
    })
    .await?;
    Ok(minijinja::context!(path => written.name, bytes => bytes, created => written.created))
}
