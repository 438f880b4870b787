//! `complete`: ends a claimed item.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{QueueName, Template};

/// Says that the work is done: the item leaves the queue. Doing it again with the same token is no error. Three round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The token that `claim` gave.
    pub token: Template,
}

impl Grammar for Complete {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.queue(&self.queue);
        cx.template("token", &self.token);
        Shape::object([
            ("id", Shape::Text),
            ("attempt", Shape::Number),
            ("duplicate", Shape::Bool),
        ])
    }
}
