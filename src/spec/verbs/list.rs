//! `list`: the entries of a bucket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, entry_shape};
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Token, Tree, Whole};

/// Reads all entries of a bucket, or those whose key begins with a prefix, sorted by key. One round trip for up to 1,024 keys,
/// and pages beyond.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// Only keys under this one: `team` finds `team.a` and `team.b.c`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<Token>,
    /// The most entries: 1 to 10000, 1000 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Whole>,
    /// The cursor of a page: what `next` of the page before was. Null or absent: the first page. A cursor of another
    /// tool or of other filters is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Tree>,
    /// Only entries for which this holds; the entry is called `item`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// What to keep of each entry (called `item`), instead of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
}

impl Grammar for List {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.bucket("bucket", &self.bucket, self.with.as_ref());
        cx.token("under", self.under.as_ref());
        if let Some(limit) = &self.limit {
            cx.whole("limit", limit, 1..=10_000);
        }
        if let Some(page) = &self.page {
            cx.value("page", page);
        }
        let kept = cx.kept(self.r#where.as_ref(), self.select.as_ref(), entry_shape());
        Shape::object([
            ("entries", kept.list()),
            ("count", Shape::Number),
            ("total", Shape::Number),
            ("more", Shape::Bool),
            ("next", Shape::Text),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
