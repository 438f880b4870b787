//! `notify`: tells the client something unasked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::diag::Code;
use crate::spec::shape::Shape;
use crate::spec::tree::{Template, Tree, is_template};

/// What the method of a notification begins with.
pub const METHODS: &str = "notifications/";

/// Sends a notification to the client of the session. What a listener makes of a stream reaches a client that was away, once
/// it is back; of other notifications the last 64 are kept for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The method: it begins with `notifications/`.
    pub method: Template,
    /// The parameters: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Tree>,
}

impl Grammar for Notify {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.template("method", &self.method);
        let method = self.method.0.as_ref();
        // One that begins with a placeholder is looked at when it is known.
        let unknown = is_template(method) && method.starts_with('{');
        if !unknown && !method.starts_with(METHODS) {
            let message = format!("the method of a notification begins with `{METHODS}`");
            let help = format!("write `{METHODS}message`, for example");
            cx.problem(Code::Schema, "method", message, &help);
        }
        if let Some(params) = &self.params {
            let shape = cx.value("params", params);
            if !matches!(shape, Shape::Any | Shape::Object(_)) {
                let message = "the parameters of a notification are an object".to_owned();
                cx.problem(Code::Schema, "params", message, "write `{name: …}`");
            }
        }
        Shape::object([("delivered", Shape::Bool)])
    }

    fn repeats(&self) -> bool {
        true
    }
}
