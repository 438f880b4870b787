//! `dead`: lists dead letters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, queues};
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, QueueName, Template, Tree, Whole};

/// Lists the dead letters of a queue, the oldest first, page by page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dead {
    /// A queue of this pack.
    pub queue: QueueName,
    /// Only the one of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Template>,
    /// Only those of lanes whose first value is this one, and those of other programs, which do not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Tree>,
    /// Only dead letters for which this holds; the dead letter is called `item`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// What to keep of each dead letter (called `item`), instead of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
    /// Counts all that fit by this value, made of each dead letter (called `item`); `omit` leaves one out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count_by: Option<Tree>,
    /// The most dead letters of a page: 1 to 1000.
    pub limit: Whole,
    /// The cursor of a page: what `next` of the page before was. Null or absent: the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Tree>,
}

impl Grammar for Dead {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.queue(&self.queue);
        if let Some(id) = &self.id {
            cx.template("id", id);
        }
        if let Some(first) = &self.first {
            cx.value("first", first);
        }
        cx.whole("limit", &self.limit, 1..=queues::MAX_LIMIT as u64);
        if let Some(page) = &self.page {
            cx.value("page", page);
        }
        if let Some(by) = &self.count_by {
            cx.value_over("count_by", by, queues::dead_shape());
        }
        let kept = cx.kept(self.r#where.as_ref(), self.select.as_ref(), queues::dead_shape());
        Shape::object([
            ("items", kept.list()),
            ("count", Shape::Number),
            ("total", Shape::Number),
            (
                "counts",
                Shape::object([("value", Shape::Any), ("count", Shape::Number)]).list(),
            ),
            ("next", Shape::Text),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
