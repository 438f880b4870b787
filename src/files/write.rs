//! Writing a file as a whole: whoever reads it finds the old one or the new one, never a part.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, Permissions};
use uuid::Uuid;

use super::error::{Error, ErrorKind};
use super::name::{check_name, text};
use super::{Folder, regular};

/// Which files may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// One that is there or not.
    Any,
    /// Only one that is there.
    Existing,
    /// Only one that is not there.
    Nothing,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name in the folder, without `.` and doubled slashes.
    pub name: String,
    /// Whether it was not there before.
    pub created: bool,
}

impl Folder {
    /// Writes a whole file: beside it first, then in its place at once. Permissions of a file that was there are kept, and
    /// a symbolic link to a file inside stays one. Folders in the name are made.
    ///
    /// Errors: `BadName`, `Outside`, `NotAFile`, `NotFound` (`Replace::Existing`), `AlreadyExists` (`Replace::Nothing`),
    /// `Permission`, `Io`.
    pub fn write(&self, name: &str, bytes: &[u8], replace: Replace) -> Result<Written, Error> {
        let path = check_name(name)?;
        let failed = |source| Error::at_file("write", name, source);
        let before = match self.dir.metadata(&path) {
            Ok(about) => {
                regular(name, &about)?;
                Some(about.permissions())
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(failed(source)),
        };
        match (replace, &before) {
            (Replace::Existing, None) => {
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            (Replace::Nothing, Some(_)) => return Err(exists(name)),
            _ => {}
        }
        let target = self.target(&path, before.is_some()).map_err(failed)?;
        let (parent, file) = self.parent(&target).map_err(failed)?;
        let created = before.is_none();
        put(&parent, &file, bytes, before, replace).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => exists(name),
            _ => failed(source),
        })?;
        Ok(Written {
            name: text(&path),
            created,
        })
    }

    /// The file itself, where the name is that of a link to it.
    fn target(&self, path: &Path, exists: bool) -> io::Result<PathBuf> {
        match self.dir.symlink_metadata(path) {
            Ok(about) if about.is_symlink() && exists => self.dir.canonicalize(path),
            Ok(about) if about.is_symlink() => Err(io::Error::other(
                "it is a symbolic link to a file that is not there",
            )),
            _ => Ok(path.to_owned()),
        }
    }

    /// The folder of a file, made if need be, and the file's name in it.
    fn parent(&self, path: &Path) -> io::Result<(Dir, PathBuf)> {
        let file = PathBuf::from(path.file_name().unwrap_or(path.as_os_str()));
        match path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            None => Ok((self.dir.try_clone()?, file)),
            Some(parent) => {
                self.dir.create_dir_all(parent)?;
                Ok((self.dir.open_dir(parent)?, file))
            }
        }
    }
}

fn exists(name: &str) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!("there is a file {name:?} already"),
    )
}

fn put(
    dir: &Dir,
    file: &Path,
    bytes: &[u8],
    permissions: Option<Permissions>,
    replace: Replace,
) -> io::Result<()> {
    // Lists leave out names that end so.
    let beside = format!(".{}~", Uuid::new_v4().simple());
    let done = fill(dir, &beside, bytes, permissions).and_then(|()| match replace {
        // A link is refused where the name is taken meanwhile; a renamed file would replace it.
        Replace::Nothing => dir.hard_link(&beside, dir, file),
        // Writing took its time: who has removed the file meanwhile does not want it back.
        Replace::Existing => dir
            .symlink_metadata(file)
            .and_then(|_| dir.rename(&beside, dir, file)),
        Replace::Any => dir.rename(&beside, dir, file),
    });
    if done.is_err() || replace == Replace::Nothing {
        let _ = dir.remove_file(&beside);
    }
    done
}

fn fill(dir: &Dir, beside: &str, bytes: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
    let mut out = dir.open_with(beside, OpenOptions::new().write(true).create_new(true))?;
    out.write_all(bytes)?;
    if let Some(permissions) = permissions {
        out.set_permissions(permissions)?;
    }
    // Otherwise an outage of power could leave an empty file in the place of the old one.
    out.sync_all()
}
