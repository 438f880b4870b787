//! `delete_file`

use minijinja::value::Value;

use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::machine::blocking;
use crate::files::{Error, ErrorKind, check_name};
use crate::spec::verbs::forms::DeleteFile;

pub(super) async fn run(step: &DeleteFile, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let place = call.folder(&step.folder)?;
    let path = call.templates().text(&step.path, &context)?;
    let what = format!("removing a file of the folder `{}`", step.folder);
    let name = path.clone();
    let deleted = blocking(&what, move || {
        check_name(&name)?;
        Ok(match place.open().and_then(|folder| folder.remove(&name)) {
            // In a folder that is not there the file is not there either.
            Err(error) if Error::kind(&error) == ErrorKind::NotFound => false,
            deleted => deleted?,
        })
    })
    .await?;
    Ok(minijinja::context!(path => path, deleted => deleted))
}
