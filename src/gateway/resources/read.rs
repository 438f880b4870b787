//! Reading one resource.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{ErrorData, ResourceContents};
use serde_json::json;

use super::source::Source;
use super::unreadable;
use crate::files::{self, ErrorKind};
use crate::spec::kind;

/// Characters of an address that an error repeats.
const SHOWN: usize = 300;

/// The section that an address belongs to.
///
/// # Errors
/// It belongs to none.
pub(super) fn whose(sources: &[Arc<Source>], uri: &str) -> Result<Arc<Source>, ErrorData> {
    if let Some(source) = sources.iter().find(|s| uri.starts_with(&s.prefix)) {
        return Ok(Arc::clone(source));
    }
    let uri = shown(uri);
    let text = match sources {
        [] => return Err(not_found(&uri)),
        [only] => format!(
            "Invalid {} URI: {uri} (expected {}...)",
            only.name, only.prefix
        ),
        several => {
            let known: Vec<String> = several.iter().map(|s| format!("{}...", s.prefix)).collect();
            format!("Invalid URI: {uri} (expected {})", known.join(" or "))
        }
    };
    Err(ErrorData::invalid_params(text, None))
}

/// Reads the file that an address means. Blocks.
///
/// # Errors
/// In words for the client, without paths of this machine.
pub(super) fn read(source: &Source, uri: &str) -> Result<ResourceContents, ErrorData> {
    let name = source.name_of(uri).ok_or_else(|| not_found(uri))?;
    let folder = source.open().map_err(|e| unreadable(source, &e))?;
    let folder = folder.ok_or_else(|| not_found(uri))?;
    let file = folder.look(&name).map_err(|e| refused(uri, &name, &e))?;
    if !source.listing(None, 1).selects(&file.name) {
        return Err(not_found(uri));
    }
    let content = folder.read(&file.name, source.max_bytes);
    let content = content.map_err(|e| refused(uri, &name, &e))?;
    Ok(contents(uri, &file.name, content.bytes))
}

fn contents(uri: &str, name: &str, bytes: Vec<u8>) -> ResourceContents {
    let kind = kind::of(name);
    let made = if kind::is_text(kind) {
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        ResourceContents::text(text, uri)
    } else {
        ResourceContents::blob(STANDARD.encode(bytes), uri)
    };
    made.with_mime_type(kind)
}

fn refused(uri: &str, name: &str, error: &files::Error) -> ErrorData {
    match error.kind() {
        ErrorKind::Outside => traversal(uri),
        ErrorKind::BadName if name.starts_with('/') || name.split('/').any(|p| p == "..") => {
            traversal(uri)
        }
        ErrorKind::BadName | ErrorKind::NotFound | ErrorKind::NotAFile => not_found(uri),
        ErrorKind::TooLarge => {
            ErrorData::invalid_params(format!("Resource too large: {error}"), None)
        }
        _ => ErrorData::internal_error(error.to_string(), None),
    }
}

fn traversal(uri: &str) -> ErrorData {
    ErrorData::invalid_params(format!("Path traversal detected: {}", shown(uri)), None)
}

/// There is no such resource.
pub(super) fn not_found(uri: &str) -> ErrorData {
    let uri = shown(uri);
    let data = json!({ "uri": uri });
    ErrorData::resource_not_found(format!("Resource not found: {uri}"), Some(data))
}

fn shown(uri: &str) -> String {
    uri.chars().take(SHOWN).collect()
}
