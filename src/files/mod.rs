//! Folders whose files may be used, and nothing outside of them.
//!
//! Uses nothing else of the project. A [`Folder`] is opened once by its path; from then on every name is looked up below
//! it by the operating system (`cap-std`), so neither `..` nor a symbolic link leads out, whoever changes the folder
//! meanwhile. All functions block: async callers run them on a thread that may wait.

mod error;
mod list;
mod name;
mod write;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata};

pub use error::{Error, ErrorKind};
pub use list::{Entry, Listed, Listing, MAX_VISITED, check_pattern};
pub use name::{MAX_NAME_BYTES, check_name, plain_name};
pub use write::{Replace, Written};

/// An open folder. It stays the folder that was opened even if another one takes its path: open it again for each use
/// unless that is wanted.
#[derive(Debug)]
pub struct Folder {
    dir: Dir,
    path: PathBuf,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// When it was changed last, where the file system tells.
    pub modified: Option<SystemTime>,
}

impl Folder {
    /// Opens a folder that exists. A symbolic link to a folder is followed here, since the path comes from the operator.
    ///
    /// Errors: `NotFound`, `NotAFolder`, `Permission`, `Io`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::at_folder("open", path, source);
        // Asked first, because opening a file as a folder is told differently by each system.
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(Error::not_a_folder(path));
        }
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        Ok(Self {
            dir,
            path: path.to_owned(),
        })
    }

    /// Opens a folder and makes it, with those above it, if it is not there.
    ///
    /// Errors: as [`Folder::open`].
    pub fn create(path: &Path) -> Result<Self, Error> {
        match Self::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(path)
                    .map_err(|source| Error::at_folder("make", path, source))?;
                Self::open(path)
            }
            opened => opened,
        }
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a whole file of at most `max_bytes`.
    ///
    /// Errors: `BadName`, `Outside`, `NotFound`, `NotAFile`, `TooLarge`, `Permission`, `Io`.
    pub fn read(&self, name: &str, max_bytes: u64) -> Result<Content, Error> {
        let path = check_name(name)?;
        let failed = |source| Error::at_file("read", name, source);
        // Asked before it is opened, because opening a pipe waits for its other end.
        regular(name, &self.dir.metadata(&path).map_err(failed)?)?;
        let mut file = self.dir.open(&path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        regular(name, &about)?;
        if about.len() > max_bytes {
            return Err(Error::too_large(name, about.len(), max_bytes));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
        // The file may grow while it is read.
        Read::by_ref(&mut file)
            .take(max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > max_bytes {
            return Err(Error::too_large(name, bytes.len() as u64, max_bytes));
        }
        Ok(Content {
            bytes,
            modified: modified(&about),
        })
    }

    /// Tells of one file what [`Folder::list`] tells of each.
    ///
    /// Errors: `BadName`, `Outside`, `NotFound`, `NotAFile`, `Permission`, `Io`.
    pub fn look(&self, name: &str) -> Result<Entry, Error> {
        let path = check_name(name)?;
        let about = self
            .dir
            .metadata(&path)
            .map_err(|source| Error::at_file("look at", name, source))?;
        regular(name, &about)?;
        Ok(Entry::new(name::text(&path), &about))
    }

    /// Removes a file; a symbolic link is removed itself, not what it leads to. Says whether there was one.
    ///
    /// Errors: `BadName`, `Outside`, `NotAFile`, `Permission`, `Io`.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        let path = check_name(name)?;
        let failed = |source| Error::at_file("remove", name, source);
        match self.dir.symlink_metadata(&path) {
            Ok(about) if about.is_dir() => return Err(Error::not_a_file(name)),
            Ok(_) => {}
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(failed(source)),
        }
        match self.dir.remove_file(&path) {
            Ok(()) => Ok(true),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(failed(source)),
        }
    }
}

fn regular(name: &str, about: &Metadata) -> Result<(), Error> {
    if about.is_file() {
        Ok(())
    } else {
        Err(Error::not_a_file(name))
    }
}

fn modified(about: &Metadata) -> Option<SystemTime> {
    about
        .modified()
        .ok()
        .map(cap_std::time::SystemTime::into_std)
}
