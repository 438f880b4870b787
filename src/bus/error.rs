//! The one error of this layer: a small kind, what was being done to what, and the cause.

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, as far as a caller can act on it. Match on this, never on text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection to NATS at this moment. It is retried by itself.
    Disconnected,
    /// The server refused the credentials. It is retried by itself, in case they are repaired there.
    Unauthorized,
    /// The answer did not come within the limit. The operation may or may not have been done.
    Timeout,
    /// Nobody listens on the subject of the request.
    NoResponders,
    /// No stream takes the message, or the stream (or bucket) does not exist.
    NoStream,
    /// The message was stored by another stream than the one it was meant for.
    WrongStream,
    /// The subjects of a stream to be created belong to another stream already.
    Overlap,
    /// The key exists and was to be created.
    AlreadyExists,
    /// What was named is not there.
    NotFound,
    /// A claim does not hold (any more): its lease ran out, or the item was given back, completed or buried.
    LeaseLost,
    /// The key was changed since the revision that the caller had read.
    Conflict,
    /// The message or value is larger than the server or the stream takes.
    TooLarge,
    /// A limit of the stream or of the account is reached (messages, bytes, storage).
    LimitExceeded,
    /// JetStream cannot take it at this moment (too many requests, a cluster without a leader): nothing was done.
    Busy,
    /// The NATS user has no permission for the subject.
    Permission,
    /// The server is too old or does not offer what is needed.
    Unsupported,
    /// The configuration (address, credentials, stream or bucket definition) cannot work.
    InvalidConfig,
    /// The subject or the filter is not well formed.
    InvalidSubject,
    /// The key is not well formed.
    InvalidKey,
    /// A header name or value has characters that NATS does not carry.
    InvalidHeader,
    /// The server answered in a way that this program does not understand, or with an error of its own.
    Protocol,
    /// The bus was closed by this process.
    Closed,
}

impl ErrorKind {
    /// What an operator can do about it.
    fn advice(self) -> &'static str {
        match self {
            Self::Disconnected => "it reconnects by itself; check that NATS runs and is reachable",
            Self::Unauthorized => {
                "check the user, password, token, nkey or creds file given to this program"
            }
            Self::Timeout => {
                "it may or may not have been done; check the load of the server and try again"
            }
            Self::NoResponders => "start the service that answers on this subject",
            Self::NoStream => {
                "check that the subject belongs to the stream and that JetStream is running"
            }
            Self::WrongStream | Self::Overlap => {
                "let only one stream take the subject: change or delete the other one"
            }
            Self::AlreadyExists => "choose another key, or update it",
            Self::NotFound => "check what was named",
            Self::LeaseLost => "stop working on it, or claim it again",
            Self::Conflict => "read it again and repeat the change",
            Self::TooLarge => "send less, or raise the limit where it is set",
            Self::LimitExceeded => "make room (delete or purge), or raise the limit",
            Self::Busy => {
                "nothing was done; try again in a moment, and check the load of the server"
            }
            Self::Permission => "grant the subject to this NATS user",
            Self::Unsupported => "use a newer nats-server with JetStream enabled",
            Self::InvalidConfig => "correct the configuration",
            Self::InvalidSubject => "correct the subject",
            Self::InvalidKey => "use letters, digits and - _ = / with single dots inside",
            Self::InvalidHeader => "correct the header",
            Self::Protocol => "see the log of the server",
            Self::Closed => "the gateway is shutting down",
        }
    }
}

/// An error of the NATS layer. `Display` is one line for an operator and says what to do;
/// no credential is ever part of it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `context` says what was being done to what, and what happened.
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// Keeps the cause. The caller makes sure that it does not print a secret.
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, with how often it was tried.
    pub(super) fn tried(mut self, times: u32) -> Self {
        self.context = format!("{}, tried {times} times", self.context);
        self
    }

    /// The kind to match on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What an operator can do about it.
    pub fn advice(&self) -> &'static str {
        self.kind.advice()
    }

    /// What was being done to what, without the advice.
    pub fn context(&self) -> &str {
        &self.context
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        write!(f, " ({})", self.kind.advice())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
