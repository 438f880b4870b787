//! `log`: a line for whoever watches the client's log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::diag::Code;
use crate::spec::shape::Shape;
use crate::spec::tree::{Template, Tree, is_template};

/// Sends a line to the log of the client (`notifications/message`), if it wants lines of this level: what a person may want to
/// see of the work, and no model reads. The gateway's own log has it at the level `debug`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How grave it is: `debug`, `info` (when not given), `notice`, `warning`, `error`, `critical`, `alert` or `emergency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Template>,
    /// What it says: this or `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
    /// What it says, as any value: this or `text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Tree>,
    /// Of which part of the work it tells; the name of the tool when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<Template>,
}

/// How grave a line is: each level is graver than the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Level {
    Debug,
    #[default]
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl Level {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// The level with this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }

    /// The words of all, for people.
    pub fn words() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl Grammar for Log {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        if let Some(level) = &self.level {
            cx.template("level", level);
            let word = level.0.as_ref();
            if !is_template(word) && Level::of(word).is_none() {
                let message = format!("`{word}` is no level of a log");
                let help = format!("take one of {}", Level::words());
                cx.problem(Code::Schema, "level", message, &help);
            }
        }
        match (&self.text, &self.data) {
            (Some(text), None) => cx.template("text", text),
            (None, Some(data)) => drop(cx.value("data", data)),
            _ => cx.needs(
                "a line of the log has `text` or `data`",
                "write one of them, and not both",
            ),
        }
        if let Some(logger) = &self.logger {
            cx.template("logger", logger);
        }
        Shape::object([("told", Shape::Bool)])
    }
}
