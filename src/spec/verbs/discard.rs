//! `discard`: removes a dead letter for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{QueueName, Template};

/// Removes a dead letter for good. Two round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardDead {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The id of the item.
    pub id: Template,
}

impl Grammar for DiscardDead {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.queue(&self.queue);
        cx.template("id", &self.id);
        Shape::object([("id", Shape::Text)])
    }
}
