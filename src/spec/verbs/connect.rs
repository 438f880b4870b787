//! `connect`: whether a server takes connections.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{Span, Template};

/// Opens a TCP connection and closes it. That nobody takes it is a result (`ok` is false). The config must allow the address
/// (`allow: {connect: […]}`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// `host:port` or a URL, whose credentials are left out; several, separated by commas, of which one must answer.
    pub address: Template,
    /// How long to wait in all: 3s when not given, 1m at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

impl Connect {
    /// The longest wait.
    pub const MOST: Duration = Duration::from_secs(60);
}

impl Grammar for Connect {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.template("address", &self.address);
        if let Some(timeout) = &self.timeout {
            cx.span("timeout", timeout, Self::MOST);
        }
        Shape::object([
            ("ok", Shape::Bool),
            ("message", Shape::Text),
            ("ms", Shape::Number),
            ("address", Shape::Text),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
