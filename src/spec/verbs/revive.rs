//! `revive`: puts a dead letter back into its queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Map;
use crate::spec::shape::Shape;
use crate::spec::tree::{QueueName, Template, Tree, Whole};

/// Puts the item of a dead letter back into the queue and removes the dead letter. It is never lost and never there twice.
/// About four round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Revive {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The values that pick a lane of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The id of the item.
    pub id: Template,
    /// The sequence of the dead letter, as `dead` gave it.
    pub seq: Whole,
    /// The level, 1 (when not given) to the `levels` of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Whole>,
    /// The message that goes into the queue.
    pub payload: Tree,
}

impl Grammar for Revive {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        let queues = cx.queue(&self.queue);
        cx.lane(&queues, self.with.as_ref());
        cx.template("id", &self.id);
        cx.whole("seq", &self.seq, 1..=u64::MAX);
        cx.level(&queues, self.level.as_ref());
        cx.value("payload", &self.payload);
        Shape::object([("id", Shape::Text), ("seq", Shape::Number)])
    }
}
