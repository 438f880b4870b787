//! `hang_up`: lets the client come back for the answer.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::diag::Code;
use crate::spec::shape::Shape;
use crate::spec::tree::Pause;

/// Ends the HTTP response of this call, so that no connection stays open while the steps go on: the client comes back for the
/// answer. Where that cannot be, nothing happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HangUp {
    /// After how many seconds, or which time span, the client should come back: 1 s when not given, a minute at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Pause>,
}

impl HangUp {
    /// The longest time until the client comes back.
    pub const MOST: Duration = Duration::from_secs(60);
}

impl Grammar for HangUp {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        if let Some(retry) = &self.retry {
            if retry.written().is_some_and(|given| given > Self::MOST) {
                let message = format!("`retry` must be at most {}s", Self::MOST.as_secs());
                cx.problem(Code::Schema, "retry", message, "write `1m` or less");
            }
            cx.value("retry", &retry.0);
        }
        Shape::object([("hung_up", Shape::Bool)])
    }
}
