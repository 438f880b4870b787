//! Which files a folder has.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::fs::{Dir, Metadata};
use glob::Pattern;

use super::error::{Error, ErrorKind};
use super::{Folder, modified};

/// Most entries of folders that one list looks at; what is behind them is left out, and the list says so.
pub const MAX_VISITED: usize = 100_000;

/// Deepest folder that a recursive list goes into.
const MAX_DEPTH: usize = 32;

/// What to list.
#[derive(Debug, Clone, Copy)]
pub struct Listing<'a> {
    /// Shell-style patterns (`*`, `?`, `[a-z]`) of the file's name; with `recursive`, of its name or its path. Every
    /// file when there is none. A `*` stands for slashes and leading dots too.
    pub patterns: &'a [String],
    /// Whether folders in the folder are looked through. Symbolic links to folders are not followed.
    pub recursive: bool,
    /// Lists only what comes after this name.
    pub after: Option<&'a str>,
    /// Most files that are listed.
    pub limit: usize,
}

/// Files that were found, sorted by the bytes of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// At most as many as were asked for.
    pub files: Vec<Entry>,
    /// Whether there are more.
    pub truncated: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the folder, with slashes.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was changed last, where the file system tells.
    pub modified: Option<SystemTime>,
}

impl Entry {
    pub(super) fn new(name: String, about: &Metadata) -> Self {
        Self {
            name,
            bytes: about.len(),
            modified: modified(about),
        }
    }
}

impl Listing<'_> {
    /// Whether a file with this name, as an [`Entry`] has it, is one that is listed: of whatever is at that name.
    pub fn selects(&self, name: &str) -> bool {
        let last = name.rsplit('/').next().unwrap_or_default();
        let patterns: Option<Vec<Pattern>> =
            self.patterns.iter().map(|p| compile(p).ok()).collect();
        let depth = name.bytes().filter(|b| *b == b'/').count();
        !last.ends_with('~')
            && depth <= if self.recursive { MAX_DEPTH } else { 0 }
            && patterns.is_some_and(|patterns| fits(&patterns, self.recursive, name, last))
    }
}

/// Whether a text is a pattern that [`Listing`] takes.
///
/// Errors: `BadPattern`.
pub fn check_pattern(pattern: &str) -> Result<(), Error> {
    compile(pattern).map(drop)
}

fn compile(pattern: &str) -> Result<Pattern, Error> {
    Pattern::new(pattern).map_err(|error| {
        Error::new(
            ErrorKind::BadPattern,
            format!(
                "the pattern {pattern:?} cannot be read at character {}: {}",
                error.pos, error.msg
            ),
        )
    })
}

impl Folder {
    /// Lists plain files, and symbolic links to plain files inside of the folder. Left out are names that end in `~`
    /// (copies of editors, and files that are being written), those that are no UTF-8 or have control characters, and what
    /// may not be looked at.
    ///
    /// Errors: `BadPattern`, `Permission` and `Io` of the folder itself.
    pub fn list(&self, listing: &Listing<'_>) -> Result<Listed, Error> {
        let patterns: Vec<Pattern> = listing
            .patterns
            .iter()
            .map(|pattern| compile(pattern))
            .collect::<Result<_, _>>()?;
        let mut walk = Walk {
            top: &self.dir,
            listing,
            patterns,
            visited: 0,
            found: BTreeMap::new(),
            truncated: false,
        };
        let top = self
            .dir
            .try_clone()
            .map_err(|source| Error::at_folder("list", &self.path, source))?;
        walk.folder(&top, Path::new(""), 0)
            .map_err(|source| Error::at_folder("list", &self.path, source))?;
        Ok(Listed {
            files: walk.found.into_values().collect(),
            truncated: walk.truncated,
        })
    }
}

struct Walk<'a> {
    top: &'a Dir,
    listing: &'a Listing<'a>,
    patterns: Vec<Pattern>,
    visited: usize,
    /// The first `limit` names so far.
    found: BTreeMap<String, Entry>,
    truncated: bool,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Dir, path: &Path, depth: usize) -> io::Result<()> {
        let mut folders = Vec::new();
        for entry in dir.entries()? {
            if self.visited >= MAX_VISITED {
                self.truncated = true;
                return Ok(());
            }
            self.visited += 1;
            // What vanished or may not be seen is passed over, as it would be a moment later or for another user.
            let Ok(entry) = entry else { continue };
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if kind.is_dir() {
                folders.push(name.to_owned());
            } else if (kind.is_file() || kind.is_symlink())
                && !name.ends_with('~')
                // Such a name could not be read.
                && !name.chars().any(char::is_control)
            {
                self.file(&path.join(name), name);
            }
        }
        if !self.listing.recursive {
            return Ok(());
        }
        self.truncated |= depth >= MAX_DEPTH && !folders.is_empty();
        if depth < MAX_DEPTH {
            self.folders(dir, path, depth, folders);
        }
        Ok(())
    }

    fn folders(&mut self, dir: &Dir, path: &Path, depth: usize, names: Vec<String>) {
        for name in names {
            let below: PathBuf = path.join(&name);
            if let Ok(dir) = dir.open_dir(&name) {
                let _ = self.folder(&dir, &below, depth + 1);
            }
        }
    }

    fn file(&mut self, path: &Path, name: &str) {
        let text = super::name::text(path);
        let late = self.listing.after.is_none_or(|after| text.as_str() > after);
        if !late || !self.fits(&text, name) {
            return;
        }
        let full = self.found.len() >= self.listing.limit;
        if full
            && self
                .found
                .last_key_value()
                .is_none_or(|(last, _)| text > *last)
        {
            // Only a file counts as more; it is looked at below otherwise.
            self.truncated |= self.top.metadata(path).is_ok_and(|about| about.is_file());
            return;
        }
        let Ok(about) = self.top.metadata(path) else {
            return;
        };
        if about.is_file() {
            self.found.insert(text.clone(), Entry::new(text, &about));
            if self.found.len() > self.listing.limit {
                self.found.pop_last();
                self.truncated = true;
            }
        }
    }

    fn fits(&self, path: &str, name: &str) -> bool {
        fits(&self.patterns, self.listing.recursive, path, name)
    }
}

fn fits(patterns: &[Pattern], recursive: bool, path: &str, name: &str) -> bool {
    let fits = |pattern: &Pattern| pattern.matches(name) || recursive && pattern.matches(path);
    patterns.is_empty() || patterns.iter().any(fits)
}
