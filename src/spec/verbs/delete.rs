//! `delete`: removes one key of a bucket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Token, Tree, Whole};

/// Removes a key; one that is not there is no error. One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The key.
    pub key: Token,
    /// Only if this is still its revision; otherwise an error of the kind `conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Whole>,
}

impl Grammar for Delete {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.bucket("bucket", &self.bucket, self.with.as_ref());
        cx.token("key", Some(&self.key));
        if let Some(revision) = &self.revision {
            cx.whole("revision", revision, 0..=u64::MAX);
        }
        Shape::object([("key", Shape::Text)])
    }

    fn repeats(&self) -> bool {
        self.revision.is_none()
    }
}
