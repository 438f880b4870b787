//! `require`: goes on only if an expression is true.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::expr;
use crate::spec::shape::Shape;
use crate::spec::tree::Expr;

/// The condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Require(pub Expr);

impl Grammar for Require {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.condition("", &self.0);
        Shape::Bool
    }

    fn proves(&self) -> Vec<String> {
        expr::paths(&self.0.0)
    }

    fn repeats(&self) -> bool {
        true
    }
}
