//! `create`: writes one key of a bucket only if it is not there.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Span, Token, Tree};

/// Writes a key that must not exist; an existing one is an error of the kind `already_exists`. One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The key.
    pub key: Token,
    /// The value. A text is stored as it is, anything else as JSON.
    pub value: Tree,
    /// How long this entry lives; the bucket must declare `limit_markers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
}

impl Grammar for Create {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.bucket("bucket", &self.bucket, self.with.as_ref());
        cx.token("key", Some(&self.key));
        cx.value("value", &self.value);
        if let Some(ttl) = &self.ttl {
            cx.span("ttl", ttl, Duration::MAX);
            cx.entry_life(&self.bucket);
        }
        Shape::object([("key", Shape::Text), ("revision", Shape::Number)])
    }
}
