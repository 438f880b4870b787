//! `read_file`

use minijinja::value::{Serde, Value};
use serde_json::json;

use crate::engine::call::Call;
use crate::engine::failure::{Failure, FailureKind};
use crate::engine::machine::{blocking, content, max_bytes, written};
use crate::files::ErrorKind;
use crate::spec::verbs::files::FileForm;
use crate::spec::verbs::forms::ReadFile;

pub(super) async fn run(step: &ReadFile, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let place = call.folder(&step.folder)?;
    let path = call.templates().text(&step.path, &context)?;
    let most = max_bytes(&call.reader(&context), step.max_bytes.as_ref())?;
    let form = step.r#as.unwrap_or(FileForm::Text);
    let what = format!("reading a file of the folder `{}`", step.folder);
    let name = path.clone();
    let read = blocking(&what, move || {
        let read = place.open()?.read(&name, most)?;
        let (bytes, modified) = (read.bytes.len(), written(read.modified));
        let (text, data) = content(read.bytes, form).map_err(|(_, problem)| {
            Failure::new(FailureKind::Syntax, format!("{name:?}: {problem}"))
        })?;
        Ok(json!({
            "found": true, "path": name, "text": text, "data": data,
            "bytes": bytes, "modified": modified,
        }))
    });
    let found = match read.await {
        Err(failure)
            if !call.has_else && failure.kind == FailureKind::File(ErrorKind::NotFound) =>
        {
            json!({
                "found": false, "path": path, "text": null, "data": null, "bytes": 0, "modified": null,
            })
        }
        read => read?,
    };
    Ok(Value::from(Serde(&found)))
}
