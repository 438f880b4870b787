//! Journals: text files that the operator names, to which lines are written.
//!
//! Several processes may write to one file. Each line is one write to the end of the file under its lock, and the file is
//! opened for each: whoever moves it away, this program in another process or a log rotation, needs to tell nobody.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use minijinja::value::{Value, ValueKind};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::failure::{Failure, FailureKind};
use super::resources::cannot_be_made;
use crate::catalog::Catalog;

/// A file that would become larger than this is moved to `.1` first.
const MAX_FILE: u64 = 10 * 1024 * 1024;
/// The longest time for one line; a file system that hangs must not hold a call.
const LIMIT: Duration = Duration::from_secs(1);
/// The longest time for the lock of the file, and how often it is tried.
const LOCK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(2));

/// The journals of a catalog, by pack and name; only those that have a file.
pub(super) struct Journals(HashMap<(usize, String), Journal>);

impl Journals {
    /// Reads the declarations. No file is opened yet.
    ///
    /// # Errors
    /// A path that cannot be made from this project and config, or that is no text.
    pub(super) fn new(catalog: &Catalog) -> Result<Self, Failure> {
        let mut all = HashMap::new();
        for (pack, loaded) in catalog.packs.iter().enumerate() {
            let context = catalog.base_context(pack);
            for (name, decl) in loaded.pack.journals.iter() {
                let path = match catalog.templates.tree(&decl.file, &context) {
                    Ok(value) => path(&value),
                    // A setting that is not there.
                    Err(e) if e.kind() == minijinja::ErrorKind::UndefinedError => Ok(None),
                    Err(error) => Err(error.into()),
                };
                let path =
                    path.map_err(|error| cannot_be_made("journal", catalog, pack, name, error))?;
                if let Some(path) = path {
                    let journal = Journal::new(catalog.base.join(path));
                    all.insert((pack, name.to_owned()), journal);
                }
            }
        }
        Ok(Self(all))
    }

    /// The journal of a pack; `None` where nothing is to be written.
    pub(super) fn get(&self, pack: usize, name: &str) -> Option<&Journal> {
        self.0.get(&(pack, name.to_owned()))
    }
}

fn path(value: &Value) -> Result<Option<PathBuf>, Failure> {
    match (value.kind(), value.as_str()) {
        (ValueKind::None | ValueKind::Undefined, _) | (_, Some("")) => Ok(None),
        (_, Some(text)) => Ok(Some(PathBuf::from(text))),
        _ => Err(Failure::new(
            FailureKind::Range,
            format!("`file` is {value}, and must be a path"),
        )),
    }
}

/// One file.
pub(super) struct Journal {
    path: Arc<PathBuf>,
    /// One line at a time: so a file system that hangs holds one thread.
    turn: Arc<Mutex<()>>,
    failing: AtomicBool,
}

impl Journal {
    fn new(path: PathBuf) -> Self {
        Self {
            path: Arc::new(path),
            turn: Arc::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Writes a line, and answers whether it is in the file. The first of several failures in a row is logged.
    pub(super) async fn append(&self, line: &str) -> bool {
        let line = one_line(line);
        let (path, turn) = (Arc::clone(&self.path), Arc::clone(&self.turn));
        let work = async move {
            let turn = turn.lock_owned().await;
            let write = move || {
                let _turn = turn;
                write(&path, line.as_bytes(), MAX_FILE)
            };
            tokio::task::spawn_blocking(write).await
        };
        let outcome = match timeout(LIMIT, work).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it takes longer than {LIMIT:?}")),
        };
        self.note(outcome)
    }

    fn note(&self, outcome: Result<(), String>) -> bool {
        let path = self.path.display();
        let failed = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match &outcome {
            Ok(()) if failed => tracing::info!(file = %path, "the journal is written again"),
            Ok(()) => {}
            Err(error) if failed => tracing::debug!(file = %path, %error, "journal not written"),
            Err(error) => {
                tracing::warn!(file = %path, %error, "the journal is not written: lines are lost until it is");
            }
        }
        outcome.is_ok()
    }
}

/// The text as one line: breaks as `\n` and `\r`, other control characters but tabs as `\u001b`.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push(c),
            c if c.is_control() => line.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => line.push(c),
        }
    }
    line.push('\n');
    line
}

fn write(path: &Path, line: &[u8], most: u64) -> io::Result<()> {
    let deadline = Instant::now() + LOCK.0;
    while Instant::now() < deadline {
        let mut file = opened(path)?;
        lock(&file, deadline)?;
        let found = file.metadata()?;
        // Somebody else may have moved it away while its lock was waited for.
        if !is_at(&found, path) {
            continue;
        }
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if found.len() > 0 && found.len().saturating_add(length) > most {
            std::fs::rename(path, moved(path))?;
            continue;
        }
        return file.write_all(line);
    }
    Err(io::Error::other("others keep moving it away"))
}

/// The file, open for its end; made for this user alone where it is not there.
fn opened(path: &Path) -> io::Result<File> {
    // A pipe or a terminal could hold whoever opens it for ever.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is not a file"));
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn lock(file: &File, deadline: Instant) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            // Some file systems have no locks; a line is one write all the same.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok(());
            }
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(LOCK.1);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other("another process holds its lock"));
            }
        }
    }
}

#[cfg(unix)]
fn is_at(file: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path)
        .is_ok_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn is_at(_: &Metadata, path: &Path) -> bool {
    path.exists()
}

/// Where a full file goes.
fn moved(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(one_line("a\r\nb\tc\u{1b}[0m"), "a\\r\\nb\tc\\u001b[0m\n");
        assert_eq!(one_line(""), "\n");
    }

    #[test]
    fn a_full_file_is_moved_away_and_no_line_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::thread::scope(|scope| {
            for n in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for k in 0..50 {
                        write(path, format!("{n} {k:03}\n").as_bytes(), 60 * 6).unwrap();
                    }
                });
            }
        });
        // 200 lines of 6 bytes: 60 in each file, the last 20 in the newest.
        let (new, old) = (read(&path), read(&moved(&path)));
        assert_eq!((new.len(), old.len()), (20, 60));
        assert!(
            new.iter().chain(&old).all(|line| line.len() == 5),
            "{new:?}"
        );
    }

    fn read(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn only_a_file_is_written_and_it_is_private() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Journal::new(dir.path().to_owned()).append("x").await);
        assert!(!Journal::new(dir.path().join("none/log")).append("x").await);
        let path = dir.path().join("log");
        assert!(Journal::new(path.clone()).append("x").await);
        assert_eq!(read(&path), ["x"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
