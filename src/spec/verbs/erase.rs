//! `erase`: removes one message of a stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Tree, Whole};

/// Removes one message of a stream for good. One that is not there is no error (`erased` is false). One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// A stream of this pack.
    pub stream: Text,
    /// Which of the stream's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The sequence of the message.
    pub seq: Whole,
}

impl Grammar for Erase {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.stream("stream", &self.stream, self.with.as_ref());
        cx.whole("seq", &self.seq, 1..=u64::MAX);
        Shape::object([("erased", Shape::Bool)])
    }
}
