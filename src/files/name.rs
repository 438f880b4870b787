//! Names of files in a folder: relative paths that stay inside by what they say.
//!
//! What they lead to is the operating system's to look up and `cap-std`'s to refuse; this is for clear words first.

use std::path::{Component, Path, PathBuf};

use super::error::{Error, ErrorKind};

/// Longest name of a file, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// The path that a name means, without `.` and doubled slashes.
///
/// Errors: `BadName`, for one that is empty, absolute, too long, that ends in a slash, or has `..` or control characters.
pub fn check_name(name: &str) -> Result<PathBuf, Error> {
    if name.is_empty() {
        return refuse("the name of a file must not be empty".to_owned());
    }
    if name.len() > MAX_NAME_BYTES {
        return refuse(format!(
            "the name of a file has {} bytes, and may have {MAX_NAME_BYTES}",
            name.len()
        ));
    }
    if name.chars().any(char::is_control) {
        return refuse(format!("{name:?} has control characters; leave them out"));
    }
    if name.ends_with('/') {
        return refuse(format!("{name:?} names a folder; name a file in it"));
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                return refuse(format!(
                    "{name:?} has `..`; name a file inside of the folder"
                ));
            }
            Component::RootDir | Component::Prefix(_) => {
                return refuse(format!(
                    "{name:?} is an absolute path; name a file relative to the folder"
                ));
            }
        }
    }
    if path.as_os_str().is_empty() {
        return refuse(format!("{name:?} names a folder; name a file in it"));
    }
    Ok(path)
}

/// A name as lists show it: without `.` and doubled slashes.
///
/// Errors: `BadName`.
pub fn plain_name(name: &str) -> Result<String, Error> {
    check_name(name).map(|path| text(&path))
}

/// A checked path as a name again: with slashes on every system.
pub(super) fn text(path: &Path) -> String {
    path.iter()
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

fn refuse(context: String) -> Result<PathBuf, Error> {
    Err(Error::new(ErrorKind::BadName, context))
}
