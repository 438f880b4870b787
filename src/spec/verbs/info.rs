//! `info`: the size and the sequence range of a stream.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::Tree;

/// Asks the server about a stream. A stream that does not exist is no error: `exists` is false and the numbers are 0.
/// One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// A stream of this pack.
    pub stream: Text,
    /// Which of the stream's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
}

impl Grammar for Info {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.stream("stream", &self.stream, self.with.as_ref());
        Shape::object([
            ("stream", Shape::Text),
            ("exists", Shape::Bool),
            ("messages", Shape::Number),
            ("bytes", Shape::Number),
            ("first_seq", Shape::Number),
            ("last_seq", Shape::Number),
            ("deleted", Shape::Number),
            ("consumers", Shape::Number),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
