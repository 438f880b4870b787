//! `fail`: ends the call with an error.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::Template;

/// The text of the error: what happened, to what, and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fail(pub Template);

impl Grammar for Fail {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.template("", &self.0);
        Shape::Any
    }

    fn repeats(&self) -> bool {
        true
    }
}
