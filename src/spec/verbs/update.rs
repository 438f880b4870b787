//! `update`: writes one key of a bucket if nobody else has meanwhile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Token, Tree, Whole};

/// Compare and set: writes the key if its revision is still `revision`; otherwise an error of the kind `conflict`. One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The key.
    pub key: Token,
    /// The value. A text is stored as it is, anything else as JSON.
    pub value: Tree,
    /// The revision that was read.
    pub revision: Whole,
}

impl Grammar for Update {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.bucket("bucket", &self.bucket, self.with.as_ref());
        cx.token("key", Some(&self.key));
        cx.value("value", &self.value);
        cx.whole("revision", &self.revision, 0..=u64::MAX);
        Shape::object([("key", Shape::Text), ("revision", Shape::Number)])
    }
}
