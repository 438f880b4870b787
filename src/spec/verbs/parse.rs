//! `parse`: the value of a text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::Template;

/// Reads a text as YAML or JSON. A text that is none is a failure of the kind `invalid`, which says line and column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parse {
    /// The text.
    pub text: Template,
    /// What it is.
    pub r#as: ParseForm,
}

/// What a text is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParseForm {
    /// YAML, of which JSON is a part.
    Yaml,
    /// JSON.
    Json,
}

impl Grammar for Parse {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.template("text", &self.text);
        Shape::object([("data", Shape::Any)])
    }

    fn repeats(&self) -> bool {
        true
    }
}
