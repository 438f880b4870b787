//! `enqueue`: puts an item into a queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Map;
use crate::spec::shape::Shape;
use crate::spec::tree::{QueueName, Template, Tree, Whole};

/// Puts an item into a queue, once for each id within the `duplicate_window` of its stream. One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Enqueue {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The values that pick a lane of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The id of the item. It must be what the `id` of the queue finds in the message.
    pub id: Template,
    /// The level, 1 (when not given) to the `levels` of the queue. Higher ones are claimed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Whole>,
    /// The message. A text is sent as it is, anything else as JSON.
    pub payload: Tree,
    /// Headers of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Map<Template>>,
}

impl Grammar for Enqueue {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        let queues = cx.queue(&self.queue);
        cx.lane(&queues, self.with.as_ref());
        cx.template("id", &self.id);
        cx.level(&queues, self.level.as_ref());
        cx.value("payload", &self.payload);
        cx.headers(self.headers.as_ref());
        Shape::object([
            ("id", Shape::Text),
            ("seq", Shape::Number),
            ("duplicate", Shape::Bool),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
