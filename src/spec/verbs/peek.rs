//! `peek`: looks at the items of a queue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, queues};
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, QueueName, Tree, Whole};

/// Looks at the items of some lanes, or of all, without taking one: the highest level first, then the oldest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peek {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The lanes: a list of 1 to 64 objects with the values that pick one. All that hold anything when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Tree>,
    /// Only items for which this holds; the item is called `item`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// What to keep of each item (called `item`), instead of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
    /// The most items: 1 to 1000.
    pub limit: Whole,
    /// The most items looked at: 1000 when not given, at most 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Whole>,
}

impl Grammar for Peek {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        let queues = cx.queue(&self.queue);
        cx.lanes(&queues, self.from.as_ref(), true);
        cx.whole("limit", &self.limit, 1..=queues::MAX_LIMIT as u64);
        if let Some(scan) = &self.scan {
            cx.whole("scan", scan, 1..=queues::MAX_SCAN as u64);
        }
        let kept = cx.kept(self.r#where.as_ref(), self.select.as_ref(), queues::queued_shape());
        Shape::object([
            ("items", kept.list()),
            ("count", Shape::Number),
            ("matching", Shape::Number),
            ("total", Shape::Number),
            ("more", Shape::Bool),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
