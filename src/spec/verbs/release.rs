//! `release`: gives a claimed item back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, queues};
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{QueueName, Span, Template, Tree};

/// Gives a claimed item back, with the reason. After its last attempt it becomes a dead letter. Three round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The token that `claim` gave.
    pub token: Template,
    /// Why; those who have the item next are told, and so is the dead letter.
    pub reason: Template,
    /// True makes it a dead letter at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<Tree>,
    /// How long it waits before somebody can have it: not at all when not given, at most 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
}

impl Grammar for Release {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.queue(&self.queue);
        cx.template("token", &self.token);
        cx.template("reason", &self.reason);
        if let Some(dead) = &self.dead {
            cx.value("dead", dead);
        }
        if let Some(delay) = &self.delay {
            cx.span("delay", delay, queues::MAX_DELAY);
        }
        Shape::object([
            ("id", Shape::Text),
            ("dead", Shape::Bool),
            ("attempt", Shape::Number),
            ("attempts", Shape::Number),
        ])
    }
}
