//! `fetch`: what a web server answers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Map;
use crate::spec::shape::Shape;
use crate::spec::tree::{Span, Template};

/// Asks a web server with HTTP GET. Whatever becomes of it is a result (`ok` is true for a status of 2xx). The config must allow
/// the address (`allow: {connect: […]}`); redirects to other servers are not followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// An `http://` or `https://` URL.
    pub url: Template,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Map<Template>>,
    /// How long to wait in all: 5s when not given, 1m at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

impl Fetch {
    /// The longest wait.
    pub const MOST: Duration = Duration::from_secs(60);
}

impl Grammar for Fetch {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.template("url", &self.url);
        cx.headers(self.headers.as_ref());
        if let Some(timeout) = &self.timeout {
            cx.span("timeout", timeout, Self::MOST);
        }
        Shape::object([
            ("ok", Shape::Bool),
            ("status", Shape::Number),
            ("text", Shape::Text),
            ("data", Shape::Any),
            ("message", Shape::Text),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
