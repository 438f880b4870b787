//! What the steps share that use files, programs and servers of this machine.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Value;

use super::call::Call;
use super::failure::{Failure, FailureKind};
use super::resources::Reader;
use crate::catalog::FolderPlace;
use crate::spec::address::Address;
use crate::spec::doc::Doc;
use crate::spec::source::Source;
use crate::spec::times;
use crate::spec::tree::{Flag, Size};
use crate::spec::verbs::files::{FileForm, MAX_FILE_BYTES};

/// The longest time for one use of a file system; one that hangs must not hold a call.
const LIMIT: Duration = Duration::from_secs(10);
/// The largest file that is read when a spec does not say.
const DEFAULT_BYTES: u64 = 1 << 20;

impl Call<'_> {
    /// A declared folder.
    ///
    /// # Errors
    /// `Unconfigured` where its path is null or empty.
    pub(super) fn folder(&self, name: &str) -> Result<FolderPlace, Failure> {
        let found = self.engine.catalog.machine.folder(self.home, name);
        found.cloned().ok_or_else(|| {
            let text =
                format!("the folder `{name}` has no path in this gateway's settings; set it there");
            Failure::new(FailureKind::Unconfigured, text)
        })
    }

    /// Checks that the config lets these servers be looked at.
    ///
    /// # Errors
    /// `NotAllowed`.
    pub(super) fn may_look_at(&self, servers: &[Address]) -> Result<(), Failure> {
        let allowed = &self.engine.catalog.machine.servers;
        match servers.iter().find(|address| !allowed.has(address)) {
            None => Ok(()),
            Some(address) => Err(Failure::new(
                FailureKind::NotAllowed,
                format!(
                    "this gateway's config does not allow {address}; if it may be looked at, write there: \
                     `allow: {{connect: [\"{address}\"]}}`"
                ),
            )),
        }
    }
}

/// Does something that blocks on a thread that may wait, for 10 s at the most.
///
/// # Errors
/// Those of the work; `Timeout`. What takes longer goes on, and nobody waits for it.
pub(super) async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::time::timeout(LIMIT, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(Failure::new(
            FailureKind::Internal,
            format!("{what} broke off: {error}"),
        )),
        Err(_) => Err(Failure::new(
            FailureKind::Timeout,
            format!("{what} takes longer than {LIMIT:?}; check the file system"),
        )),
    }
}

/// The largest file that a step reads.
///
/// # Errors
/// `Range` beyond 16 MiB.
pub(super) fn max_bytes(reader: &Reader<'_>, size: Option<&Size>) -> Result<u64, Failure> {
    let given = reader.size("max_bytes", size)?.unwrap_or(DEFAULT_BYTES);
    if given > MAX_FILE_BYTES {
        let text = format!("`max_bytes` is {given}, and must be at most {MAX_FILE_BYTES}");
        return Err(Failure::new(FailureKind::Range, text));
    }
    Ok(given)
}

/// Yes or no; yes when not given.
///
/// # Errors
/// `Range` for anything else.
pub(super) fn unless_no(
    reader: &Reader<'_>,
    key: &str,
    flag: Option<&Flag>,
) -> Result<bool, Failure> {
    match flag {
        None => Ok(true),
        flag => reader.flag(key, flag),
    }
}

/// The value of a text, null where it is text alone; or what is wrong with it, with line and column.
pub(super) fn parsed(text: &str, form: FileForm) -> Result<serde_json::Value, String> {
    match form {
        FileForm::Text | FileForm::Base64 => Ok(serde_json::Value::Null),
        FileForm::Json => serde_json::from_str(text).map_err(|error| {
            let words = error.to_string();
            let (line, column) = (error.line(), error.column());
            let what = words.split(" at line ").next().unwrap_or_default();
            format!("line {line}, column {column}: {what}")
        }),
        FileForm::Yaml => match Doc::parse(Source::new("text", text)) {
            Ok(doc) => Ok(doc.value),
            Err(report) => Err(report.sorted().first().map_or_else(String::new, |first| {
                let place = first.place().map(|at| (at.line, at.column));
                let (line, column) = place.unwrap_or((1, 1));
                format!("line {line}, column {column}: {}", first.message)
            })),
        },
    }
}

/// The text of a file, and what it is taken for: `text` and `data` as expressions see them.
///
/// # Errors
/// The text, and where in it something is wrong.
pub(super) fn content(
    bytes: Vec<u8>,
    form: FileForm,
) -> Result<(Option<String>, serde_json::Value), (String, String)> {
    if form == FileForm::Base64 {
        return Ok((None, STANDARD.encode(bytes).into()));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match parsed(&text, form) {
        Ok(data) => Ok((Some(text), data)),
        Err(problem) => Err((text, problem)),
    }
}

/// A time of the file system as expressions see it.
pub(super) fn written(time: Option<SystemTime>) -> Option<String> {
    times::of_system(time?)
}

/// A list of texts, from one text or a list; nothing from null.
///
/// # Errors
/// `Range` for anything else.
pub(super) fn texts(key: &str, value: &Value) -> Result<Vec<String>, Failure> {
    use minijinja::value::ValueKind;
    let wrong = || {
        let text = format!("`{key}` is {value}, and must be a text or a list of texts");
        Failure::new(FailureKind::Range, text)
    };
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => Ok(Vec::new()),
        ValueKind::String => Ok(vec![value.to_string()]),
        ValueKind::Seq | ValueKind::Iterable => value
            .try_iter()?
            .map(|item| match item.kind() {
                ValueKind::String | ValueKind::Number => Ok(item.to_string()),
                // As texts have it everywhere, not as Python writes it.
                ValueKind::Bool => Ok(item.is_true().to_string()),
                _ => Err(wrong()),
            })
            .collect(),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use minijinja::value::Serde;

    use super::*;

    #[test]
    fn broken_texts_are_told_with_line_and_column() {
        assert_eq!(
            parsed("a: [1]", FileForm::Yaml),
            Ok(serde_json::json!({"a": [1]}))
        );
        assert_eq!(parsed("{", FileForm::Text), Ok(serde_json::Value::Null));
        let yaml = parsed("a: 1\nb: [\n", FileForm::Yaml).unwrap_err();
        assert!(yaml.starts_with("line "), "{yaml}");
        let json = parsed("{\"a\": 1,\n x}", FileForm::Json).unwrap_err();
        assert!(json.starts_with("line 2, column 2: "), "{json}");
        assert!(!json.contains(" at line "), "{json}");
    }

    #[test]
    fn lists_of_texts_are_read_from_what_a_spec_says() {
        let list = Value::from(Serde(&serde_json::json!(["a", 5, true])));
        assert_eq!(texts("x", &list).unwrap_or_default(), ["a", "5", "true"]);
        assert_eq!(texts("x", &Value::from("a b")).unwrap_or_default(), ["a b"]);
        assert!(texts("x", &Value::from(())).is_ok_and(|list| list.is_empty()));
        let nested = Value::from(Serde(&serde_json::json!([["a"]])));
        assert_eq!(
            texts("x", &nested).map_err(|e| e.kind),
            Err(FailureKind::Range)
        );
    }
}
