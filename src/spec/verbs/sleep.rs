//! `sleep`: waits for a time.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Json;
use crate::spec::diag::Code;
use crate::spec::shape::Shape;
use crate::spec::tree::{Pause, Tree};

/// Waits for so many seconds, or a time span: an hour at the most. A call that is cancelled stops waiting at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sleep(pub Pause);

impl Sleep {
    /// The longest sleep.
    pub const MOST: Duration = Duration::from_secs(3_600);
}

impl Grammar for Sleep {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        let text = matches!(&self.0.0, Tree::Literal(Json::Str(_)));
        match self.0.written() {
            Some(given) if given > Self::MOST => {
                let message = format!("`sleep` must be at most {}s", Self::MOST.as_secs());
                cx.problem(Code::Schema, "", message, "write `1h` or less");
            }
            None if self.0.0.is_literal() => {
                let what = if text { "a time span" } else { "a number of seconds" };
                let message = format!("`sleep` must be {what}");
                let help = "write seconds, such as 1.5, or a time span, such as 500ms";
                cx.problem(Code::Schema, "", message, help);
            }
            _ => {}
        }
        cx.value("", &self.0.0);
        Shape::object([("ms", Shape::Number)])
    }
}
