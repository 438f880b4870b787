//! Why a call did not succeed.

use std::error::Error as _;

use serde_json::{Map, Value};

use crate::spec::env::TOKEN_SUFFIX;
use crate::{bus, files};

/// What counts failures of tools, by kind.
pub const COUNTER: &str = "jacquard_errors_total";

/// What kind of failure it is; specs see it as `error.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The arguments do not fit the tool's schema.
    Arguments,
    /// A `require` that does not hold.
    Require,
    /// A `fail` step.
    Fail,
    /// The run ends with questions to the client. No client sees it.
    Asked,
    /// The user of the client does not answer a question, and says so.
    Declined,
    /// The client cannot be asked.
    CannotAsk,
    /// An expression or template that cannot be evaluated.
    Template,
    /// Something that should be there is not.
    NotFound,
    /// A cursor that is malformed, or of another tool or other filters.
    Cursor,
    /// A value outside its bounds.
    Range,
    /// A value that does not fit the schema of a `check`.
    Invalid,
    /// The structured result does not fit the tool's output schema.
    Output,
    /// A file whose text is not of the form that it should have.
    Syntax,
    /// A folder that the settings do not name.
    Unconfigured,
    /// What the config does not let this gateway use.
    NotAllowed,
    /// A program that cannot be started.
    Program,
    /// Something of this machine takes too long.
    Timeout,
    /// A file or folder.
    File(files::ErrorKind),
    /// A fault in this program.
    Internal,
    /// NATS.
    Bus(bus::ErrorKind),
}

impl FailureKind {
    /// Whether it is an outcome that the step is there to find out (the condition does not hold, the value does not fit, the
    /// key is not there or is there already, the revision has changed, nobody answers) rather than something that went wrong.
    pub fn is_an_answer(self) -> bool {
        use bus::ErrorKind;
        matches!(
            self,
            Self::Require
                | Self::NotFound
                | Self::Invalid
                | Self::Declined
                | Self::CannotAsk
                | Self::File(files::ErrorKind::NotFound | files::ErrorKind::AlreadyExists)
                | Self::Bus(
                    ErrorKind::AlreadyExists
                        | ErrorKind::Conflict
                        | ErrorKind::NoResponders
                        | ErrorKind::NotFound
                        | ErrorKind::LeaseLost
                )
        )
    }

    /// The word that specs see.
    pub fn as_str(self) -> &'static str {
        use bus::ErrorKind;
        match self {
            Self::File(kind) => file_word(kind),
            Self::Arguments => "arguments",
            Self::Require => "require",
            Self::Fail => "fail",
            Self::Asked => "asked",
            Self::Declined => "declined",
            Self::CannotAsk => "cannot_ask",
            Self::Template => "template",
            Self::NotFound | Self::Bus(ErrorKind::NotFound) => "not_found",
            Self::Bus(ErrorKind::LeaseLost) => "lease_lost",
            Self::Cursor => "cursor",
            Self::Range => "range",
            Self::Invalid => "invalid",
            Self::Output => "output",
            Self::Syntax => "syntax",
            Self::Unconfigured => "not_configured",
            Self::NotAllowed => "not_allowed",
            Self::Program => "program",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Bus(ErrorKind::Disconnected) => "disconnected",
            Self::Bus(ErrorKind::Unauthorized) => "unauthorized",
            Self::Bus(ErrorKind::Timeout) => "timeout",
            Self::Bus(ErrorKind::NoResponders) => "no_responders",
            Self::Bus(ErrorKind::NoStream) => "no_stream",
            Self::Bus(ErrorKind::AlreadyExists) => "already_exists",
            Self::Bus(ErrorKind::Conflict) => "conflict",
            Self::Bus(ErrorKind::TooLarge) => "too_large",
            Self::Bus(ErrorKind::LimitExceeded) => "limit_exceeded",
            Self::Bus(ErrorKind::Busy) => "busy",
            Self::Bus(ErrorKind::Permission) => "permission",
            Self::Bus(ErrorKind::Unsupported) => "unsupported",
            Self::Bus(ErrorKind::InvalidKey) => "invalid_key",
            Self::Bus(ErrorKind::InvalidSubject) => "invalid_subject",
            Self::Bus(_) => "nats",
        }
    }
}

/// The word for what is wrong with a file.
fn file_word(kind: files::ErrorKind) -> &'static str {
    use files::ErrorKind;
    match kind {
        ErrorKind::BadName | ErrorKind::Outside => "invalid_path",
        ErrorKind::NotFound => "not_found",
        ErrorKind::AlreadyExists => "already_exists",
        ErrorKind::NotAFile => "not_a_file",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::BadPattern => "range",
        ErrorKind::Permission => "permission",
        ErrorKind::NotAFolder | ErrorKind::Io => "io",
    }
}

/// A failed step or call: the text is the one a model reads.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// What happened, to what, and what to do.
    pub message: String,
    /// What the client would have to be capable of, as the protocol has it, where it can be told so.
    pub lacks: Option<Box<Map<String, Value>>>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure without a deeper cause.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            lacks: None,
            source: None,
        }
    }

    /// The client lacks these capabilities.
    pub(super) fn lacking(message: String, capabilities: Map<String, Value>) -> Self {
        Self {
            lacks: Some(Box::new(capabilities)),
            ..Self::new(FailureKind::CannotAsk, message)
        }
    }

    /// The same failure in other words, which are an answer of their own.
    #[must_use]
    pub(super) fn reworded(self, message: String) -> Self {
        Self {
            message,
            lacks: None,
            ..self
        }
    }
}

impl From<bus::Error> for Failure {
    fn from(error: bus::Error) -> Self {
        Self {
            kind: FailureKind::Bus(error.kind()),
            message: error.to_string(),
            lacks: None,
            source: Some(Box::new(error)),
        }
    }
}

impl From<files::Error> for Failure {
    fn from(error: files::Error) -> Self {
        Self {
            kind: FailureKind::File(error.kind()),
            message: error.to_string(),
            lacks: None,
            source: Some(Box::new(error)),
        }
    }
}

/// What is said of an expression that takes more steps than one may.
const TOO_MUCH: &str = "this is too much for one expression to work on: give it less";

impl From<minijinja::Error> for Failure {
    fn from(error: minijinja::Error) -> Self {
        let mut message = match error.kind() {
            // What stopped the writing is its cause: the bound on texts.
            minijinja::ErrorKind::WriteFailure => error
                .source()
                .map_or_else(|| error.kind().to_string(), ToString::to_string),
            minijinja::ErrorKind::OutOfFuel => TOO_MUCH.to_owned(),
            kind => error
                .detail()
                .map_or_else(|| kind.to_string(), str::to_owned),
        };
        // A template is named by its own text; a long one would bury the point.
        if let Some(name) = error.name().filter(|name| name.len() <= 120)
            && !message.contains(name)
        {
            message.push_str(&format!(" (in `{}`)", name.trim_end_matches(TOKEN_SUFFIX)));
        }
        Self {
            kind: FailureKind::Template,
            message,
            lacks: None,
            source: Some(Box::new(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::env::environment;

    #[test]
    fn an_expression_that_never_ends_is_told_in_words() {
        let error = environment()
            .render_str(
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                (),
            )
            .err();
        let message = error.map(|error| Failure::from(error).message);
        assert!(message.is_some_and(|message| message.starts_with(TOO_MUCH)));
    }
}
