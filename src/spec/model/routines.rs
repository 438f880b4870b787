//! What runs by itself for a session: timers, listeners, and steps at certain moments.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::{List, Map, Text};
use crate::spec::tree::{Expr, Span, Token, Tree};
use crate::spec::verbs::Step;

/// How often a timer may run.
pub const TIMER_PERIOD: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// Steps that run again and again while a session lasts, first after one period. A run never overlaps the one before it. A
/// run that fails is logged, and the next one comes all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// How often: 1s to 24h. An expression may use `project` and `config`.
    pub every: Span,
    /// A run is left out unless this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// What it does.
    pub steps: List<Step>,
}

/// What each session listens on while it lasts: a `subject`, whose messages come while one listens, or a `stream`, whose
/// messages come each once and in the order they were stored, over lost connections too. Messages are handled one after the
/// other; the message is `item`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The subject. It may use `project`, `config` and `session.id`; `*` and `>` may stand for whole tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Token>,
    /// A stream of this pack, instead of a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Text>,
    /// Which of the stream's instances; may use what `subject` may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// Which of the stream's subjects; all when not given. As `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<List<Token>>,
    /// A message is passed over unless this holds of it (`item`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// What is done with a message. A run that fails is logged, and sends no `reply`.
    #[serde(default)]
    pub steps: List<Step>,
    /// What is sent back after the steps, to a message on the `subject` that asks for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Tree>,
}

/// Steps that run at certain moments of a session.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// When a session ends in order: the client has gone, or the gateway is told to stop. One second for all packs
    /// together. A failure is logged.
    #[serde(default)]
    pub close: List<Step>,
    /// When a session goes on in another gateway, or after it was laid aside for want of use. One second for all packs
    /// together. A failure is logged.
    #[serde(default)]
    pub resume: List<Step>,
}
