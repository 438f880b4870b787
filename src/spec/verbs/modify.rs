//! `modify`: changes fields of a stored JSON object.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, entry_shape};
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Token, Tree};

/// Replaces fields of the JSON object that is stored under a key; its other fields stay as they are. Nothing that others
/// write meanwhile is lost: when the entry has changed since it was read, it is read again. Two round trips, more where
/// others change the same key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Modify {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The key.
    pub key: Token,
    /// Only if this holds for the entry, which is called `item`; otherwise an error of the kind `conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// The new values of these fields, made from the entry as it is, called `item`; `omit` leaves a field as it is.
    pub set: Map<Tree>,
}

impl Grammar for Modify {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.bucket("bucket", &self.bucket, self.with.as_ref());
        cx.token("key", Some(&self.key));
        if let Some(filter) = &self.r#where {
            cx.condition_over("where", filter, entry_shape());
        }
        for (field, tree) in self.set.iter() {
            cx.inside("set").value_over(field, tree, entry_shape());
        }
        Shape::object([
            ("key", Shape::Text),
            ("revision", Shape::Number),
            ("before", Shape::Any),
            ("after", Shape::Any),
        ])
    }
}
