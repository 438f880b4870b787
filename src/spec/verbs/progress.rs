//! `progress`: tells a client that asks how far the call is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{Template, Whole};

/// Tells a client that has asked for it how far the call is. What is not more than what was told before is not told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// How much is done: a number that grows.
    pub done: Whole,
    /// How much there is to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Whole>,
    /// What is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Template>,
}

impl Grammar for Progress {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        check(cx, &self.done, self.total.as_ref(), &self.message);
        Shape::object([("told", Shape::Bool)])
    }

    fn repeats(&self) -> bool {
        true
    }
}

/// What a client is told.
pub(super) fn check(
    cx: &mut StepCheck<'_>,
    done: &Whole,
    total: Option<&Whole>,
    message: &Option<Template>,
) {
    let any = 0..=u64::from(u32::MAX);
    cx.whole("done", done, any.clone());
    if let Some(total) = total {
        cx.whole("total", total, any);
    }
    if let Some(message) = message {
        cx.template("message", message);
    }
}
