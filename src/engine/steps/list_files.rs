//! `list_files`

use minijinja::value::{Serde, Value};
use serde_json::json;

use crate::catalog::FolderPlace;
use crate::engine::call::Call;
use crate::engine::failure::Failure;
use crate::engine::machine::{self, blocking, max_bytes, texts, written};
use crate::engine::sieve::Sieve;
use crate::files::{Entry, ErrorKind, Folder, Listed, Listing};
use crate::spec::verbs::files::{FileForm, MAX_FILE_BYTES, MAX_FILES};
use crate::spec::verbs::forms::ListFiles;

pub(super) async fn run(step: &ListFiles, call: &mut Call<'_>) -> Result<Value, Failure> {
    let context = call.context();
    let templates = call.templates();
    let reader = call.reader(&context);
    let wanted = Wanted {
        place: call.folder(&step.folder)?,
        patterns: match &step.pattern {
            Some(tree) => texts("pattern", &templates.tree(tree, &context)?)?,
            None => Vec::new(),
        },
        recursive: reader.flag("recursive", step.recursive.as_ref())?,
        limit: reader
            .count("limit", step.limit.as_ref(), MAX_FILES)?
            .unwrap_or(MAX_FILES),
        read: step.read,
        max_bytes: max_bytes(&reader, step.max_bytes.as_ref())?,
    };
    let what = format!("listing the folder `{}`", step.folder);
    let (files, truncated) = blocking(&what, move || wanted.list()).await?;
    let sieve = Sieve::new(call, step.r#where.as_ref(), step.select.as_ref())?;
    let mut items = Vec::with_capacity(files.len());
    for file in &files {
        let item = Value::from(Serde(file));
        if sieve.fits(|| item.clone())? {
            items.extend(sieve.kept(item)?);
        }
    }
    Ok(minijinja::context!(count => items.len(), items => items, truncated => truncated))
}

struct Wanted {
    place: FolderPlace,
    patterns: Vec<String>,
    recursive: bool,
    limit: usize,
    read: Option<FileForm>,
    max_bytes: u64,
}

impl Wanted {
    fn list(self) -> Result<(Vec<serde_json::Value>, bool), Failure> {
        let folder = match self.place.open() {
            Ok(folder) => folder,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // One that the pack makes itself comes with its first file.
                if !self.place.create {
                    tracing::warn!(%error, "a folder that is to be listed is not there");
                }
                return Ok((Vec::new(), false));
            }
            Err(error) => return Err(error.into()),
        };
        let Listed { files, truncated } = folder.list(&Listing {
            patterns: &self.patterns,
            recursive: self.recursive,
            after: None,
            limit: self.limit,
        })?;
        let mut left = MAX_FILE_BYTES;
        let files = files.iter().map(|file| match self.read {
            None => told(file),
            Some(form) => self.read(&folder, file, form, &mut left),
        });
        Ok((files.collect(), truncated))
    }

    fn read(
        &self,
        folder: &Folder,
        file: &Entry,
        form: FileForm,
        left: &mut u64,
    ) -> serde_json::Value {
        let mut item = told(file);
        let (mut text, mut data, mut wrong) = (None, None, None);
        match folder.read(&file.name, self.max_bytes.min(*left)) {
            Ok(content) => {
                *left = left.saturating_sub(content.bytes.len() as u64);
                match machine::content(content.bytes, form) {
                    Ok((read, value)) => (text, data) = (read, Some(value)),
                    Err((read, problem)) => (text, wrong) = (Some(read), Some(problem)),
                }
            }
            Err(error) => wrong = Some(error.to_string()),
        }
        item["text"] = json!(text);
        item["data"] = json!(data);
        item["error"] = json!(wrong);
        item
    }
}

fn told(file: &Entry) -> serde_json::Value {
    json!({
        "path": file.name, "name": file.name.rsplit('/').next(), "bytes": file.bytes,
        "modified": written(file.modified),
    })
}
