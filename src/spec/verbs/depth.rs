//! `depth`: counts the items of a queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, queues};
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{QueueName, Tree};

/// Counts the items of some lanes, or of all that hold anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Depth {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The lanes: a list of 1 to 64 objects with the values that pick one. All that hold anything when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Tree>,
}

impl Grammar for Depth {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        let queues = cx.queue(&self.queue);
        cx.lanes(&queues, self.from.as_ref(), true);
        let lane = match StepCheck::lane_fields(&queues) {
            Some(params) => {
                let counts = queues::COUNTS.iter().map(|name| (*name, Shape::Number));
                Shape::object(params.iter().map(|name| (*name, Shape::Text)).chain(counts))
            }
            None => Shape::Any,
        };
        Shape::object([("lanes", lane.list())])
    }

    fn repeats(&self) -> bool {
        true
    }
}
