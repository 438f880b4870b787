//! `subjects`: the subjects of a stream, and how many messages each has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Token, Tree, Whole};

/// Tells which subjects a stream holds messages of, sorted by subject. One round trip for up to 100,000 subjects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subjects {
    /// A stream of this pack.
    pub stream: Text,
    /// Which of the stream's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// Only subjects that fit this one; `*` and `>` may stand for whole tokens. All when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Token>,
    /// The most subjects of a page: 1 to 10000, 1000 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Whole>,
    /// The cursor of a page: what `next` of the page before was. Null or absent: the first page. A cursor of another
    /// tool or of other filters is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Tree>,
    /// Only subjects for which this holds; `item` has `subject` and `messages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// What to keep of each (called `item`), instead of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
}

impl Grammar for Subjects {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.stream("stream", &self.stream, self.with.as_ref());
        cx.filter("subject", self.subject.as_ref());
        if let Some(limit) = &self.limit {
            cx.whole("limit", limit, 1..=10_000);
        }
        if let Some(page) = &self.page {
            cx.value("page", page);
        }
        let item = Shape::object([("subject", Shape::Text), ("messages", Shape::Number)]);
        let kept = cx.kept(self.r#where.as_ref(), self.select.as_ref(), item);
        Shape::object([
            ("items", kept.list()),
            ("count", Shape::Number),
            ("total", Shape::Number),
            ("next", Shape::Text),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
