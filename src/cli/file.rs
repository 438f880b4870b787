//! Files of others that are changed: read whole, replaced whole.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The largest file that is taken for a configuration, in bytes. Some clients keep much else in it.
const MAX: u64 = 64 * 1024 * 1024;

/// How a file is replaced.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// A file that is new is for its owner alone.
    pub private: bool,
    /// The file as it was is kept beside it.
    pub backup: bool,
}

/// Reads a file; `None` when it is not there.
///
/// # Errors
/// Why it cannot be read, in words.
pub fn read(path: &Path) -> Result<Option<String>, String> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    if !found.is_file() || found.len() > MAX {
        return Err(format!(
            "{} is no regular file of at most {MAX} bytes",
            path.display()
        ));
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Replaces what [`read`] gave. A reader sees the old file or the new one, never a part; permissions stay, and a link
/// goes on pointing to it. Answers with the copy of the old file, if one is kept.
///
/// # Errors
/// Why it cannot be written, in words; then the file is as it was.
pub fn replace(
    path: &Path,
    before: Option<&str>,
    after: &str,
    how: How,
) -> Result<Option<PathBuf>, String> {
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let failed =
        |what: &str, error: io::Error| format!("{} cannot be {what}: {error}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| failed("written", e))?;
    }
    let temporary = beside(path, &format!(".{}.new", std::process::id()));
    let outcome = write(&temporary, path, after, how.private)
        .map_err(|e| failed("written", e))
        .and_then(|()| swap(&temporary, path, before, how.backup));
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome
}

/// The last steps: nobody else changed the file meanwhile, its copy is made if it is wanted, the new one takes its place.
fn swap(
    temporary: &Path,
    path: &Path,
    before: Option<&str>,
    keep: bool,
) -> Result<Option<PathBuf>, String> {
    if read(path)?.as_deref() != before {
        return Err(format!(
            "{} was changed by another program just now: try again",
            path.display()
        ));
    }
    let mut backup = None;
    if keep && before.is_some() {
        let copy = beside(path, ".bak");
        fs::copy(path, &copy).map_err(|e| format!("{} cannot be written: {e}", copy.display()))?;
        backup = Some(copy);
    }
    fs::rename(temporary, path)
        .map_err(|e| format!("{} cannot be replaced: {e}", path.display()))?;
    Ok(backup)
}

fn write(temporary: &Path, path: &Path, text: &str, private: bool) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    let old = fs::metadata(path).ok();
    #[cfg(unix)]
    if private || old.is_some() {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    let mut file = options.open(temporary)?;
    file.write_all(text.as_bytes())?;
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
    }
    file.sync_all()
}

/// The path with something added to the file's name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
