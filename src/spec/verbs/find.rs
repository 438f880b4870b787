//! `find`: entries of a table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Text;
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Tree, Whole};

/// The most entries of one `find`.
pub const MAX_FOUND: usize = 10_000;

/// Finds entries of a table, in memory. Where it finds none, and with `fresh`, it first makes sure that the table has all that
/// was stored before the step: one small request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// A table of this pack.
    pub table: Text,
    /// Only entries for which this holds; the entry is called `item` and has `key`, `value` and `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// An expression over the entry (`item`) by whose value they are sorted: by their keys when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<Expr>,
    /// The most entries: 1 to 10000, 1000 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Whole>,
    /// What to keep of each entry (called `item`), instead of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
    /// Makes sure in any case that the table has all that was stored before the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<bool>,
}

impl Grammar for Find {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        let entry = cx.table("table", &self.table);
        if let Some(limit) = &self.limit {
            cx.whole("limit", limit, 1..=MAX_FOUND as u64);
        }
        if let Some(sort) = &self.sort {
            cx.condition_over("sort", sort, entry.clone());
        }
        let kept = cx.kept(self.r#where.as_ref(), self.select.as_ref(), entry);
        Shape::object([
            ("items", kept.list()),
            ("count", Shape::Number),
            ("total", Shape::Number),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
