//! What can go wrong with a file.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

/// What went wrong, as far as a caller can act on it. Match on this, never on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name cannot be that of a file in a folder: absolute, with `..`, empty, too long, with control characters.
    BadName,
    /// A symbolic link leads out of the folder.
    Outside,
    /// The file or folder is not there.
    NotFound,
    /// The file is there already and must not be.
    AlreadyExists,
    /// It is a folder or something else that is no plain file.
    NotAFile,
    /// The path of a folder is that of something else.
    NotAFolder,
    /// The file has more bytes than may be read.
    TooLarge,
    /// The pattern is not well formed.
    BadPattern,
    /// The operating system refused it.
    Permission,
    /// Anything else the operating system says.
    Io,
}

/// An error about a file. It names files as the caller did; only errors of opening a folder show that folder's path.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<io::Error>,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, context: String) -> Self {
        Self {
            kind,
            context,
            source: None,
        }
    }

    /// What the operating system said of a file.
    pub(super) fn at_file(action: &str, name: &str, source: io::Error) -> Self {
        let kind = kind_of(&source);
        let context = match kind {
            ErrorKind::NotFound => format!("there is no file {name:?}"),
            ErrorKind::Outside => format!("{name:?} leads out of the folder; name a file inside"),
            ErrorKind::Permission => format!(
                "may not {action} {name:?}; check the owner and the permissions of the file and its folder"
            ),
            _ => format!("cannot {action} {name:?}"),
        };
        Self {
            kind,
            context,
            // These two would only repeat it.
            source: (!matches!(kind, ErrorKind::NotFound | ErrorKind::Outside)).then_some(source),
        }
    }

    /// What the operating system said of the folder itself.
    pub(super) fn at_folder(action: &str, path: &Path, source: io::Error) -> Self {
        Self {
            kind: kind_of(&source),
            context: format!("cannot {action} the folder {}", path.display()),
            source: Some(source),
        }
    }

    pub(super) fn not_a_folder(path: &Path) -> Self {
        Self::new(
            ErrorKind::NotAFolder,
            format!("{} is not a folder", path.display()),
        )
    }

    pub(super) fn not_a_file(name: &str) -> Self {
        Self::new(ErrorKind::NotAFile, format!("{name:?} is not a file"))
    }

    pub(super) fn too_large(name: &str, bytes: u64, most: u64) -> Self {
        Self::new(
            ErrorKind::TooLarge,
            format!("{name:?} has {bytes} bytes, and at most {most} are read"),
        )
    }

    /// The kind to match on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

fn kind_of(source: &io::Error) -> ErrorKind {
    match source.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        // A refusal of the system has its number; that of cap-std, which found a way out of the folder, has none.
        io::ErrorKind::PermissionDenied if source.raw_os_error().is_none() => ErrorKind::Outside,
        io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        // A part of the path that should be a folder is a file: then the file is not there either.
        io::ErrorKind::NotADirectory => ErrorKind::NotFound,
        io::ErrorKind::IsADirectory => ErrorKind::NotAFile,
        _ => ErrorKind::Io,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
