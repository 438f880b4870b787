//! `put`: writes one key of a bucket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Token, Tree};

/// Writes one key, whatever was there, and waits for the acknowledgement. One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Put {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The key.
    pub key: Token,
    /// The value. A text is stored as it is, anything else as JSON.
    pub value: Tree,
}

impl Grammar for Put {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.bucket("bucket", &self.bucket, self.with.as_ref());
        cx.token("key", Some(&self.key));
        cx.value("value", &self.value);
        Shape::object([("key", Shape::Text), ("revision", Shape::Number)])
    }

    fn repeats(&self) -> bool {
        true
    }
}
