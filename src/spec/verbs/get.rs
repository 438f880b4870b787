//! `get`: one key of a bucket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, entry_shape, entry_with};
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Token, Tree};

/// Reads one key. A key that is not there is no error (`found` is false, `value` is null), unless the step has `else`.
/// One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Get {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The key.
    pub key: Token,
    /// An entry (called `item`) for which this does not hold counts as not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// What `value` of the result is, made from the entry (called `item`), instead of the stored value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
}

impl Grammar for Get {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.bucket("bucket", &self.bucket, self.with.as_ref());
        cx.token("key", Some(&self.key));
        if let Some(filter) = &self.r#where {
            cx.condition_over("where", filter, entry_shape());
        }
        match &self.select {
            Some(select) => entry_with(cx.value_over("select", select, entry_shape())),
            None => entry_shape(),
        }
    }

    fn repeats(&self) -> bool {
        true
    }
}
