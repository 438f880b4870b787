//! `drop`: deletes a stream that holds nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::Tree;

/// Deletes a stream if it holds no messages. A stream that is not there is no error. Two round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drop {
    /// A stream of this pack.
    pub stream: Text,
    /// Which of the stream's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// Always `true`: a stream that holds messages stays.
    #[schemars(extend("const" = true))]
    pub empty: bool,
}

impl Grammar for Drop {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.stream("stream", &self.stream, self.with.as_ref());
        Shape::object([
            ("stream", Shape::Text),
            ("dropped", Shape::Bool),
            ("messages", Shape::Number),
        ])
    }
}
