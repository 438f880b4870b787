//! `extend`: holds on to a claimed item.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{QueueName, Template, Tree};

/// Makes the lease of a claimed item begin anew, and says how far the work is. Three round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The token that `claim` gave.
    pub token: Template,
    /// How far the work is, for those who `peek`; what was said before when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Tree>,
}

impl Grammar for Extend {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.queue(&self.queue);
        cx.template("token", &self.token);
        if let Some(note) = &self.note {
            cx.value("note", note);
        }
        Shape::object([
            ("id", Shape::Text),
            ("until", Shape::Text),
            ("attempt", Shape::Number),
            ("note", Shape::Any),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
