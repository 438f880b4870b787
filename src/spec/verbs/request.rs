//! `request`: sends a message and waits for one answer.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Map;
use crate::spec::shape::Shape;
use crate::spec::tree::{Span, Template, Token, Tree};

/// Core NATS request and reply. Nobody listening is an error at once, not after the timeout. One round trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The subject somebody answers on.
    pub subject: Token,
    /// The message. A text is sent as it is, anything else as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Tree>,
    /// Headers of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Map<Template>>,
    /// How long to wait: 2s when not given, 5m at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

impl Grammar for Request {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.token("subject", Some(&self.subject));
        if let Some(payload) = &self.payload {
            cx.value("payload", payload);
        }
        cx.headers(self.headers.as_ref());
        if let Some(timeout) = &self.timeout {
            cx.span("timeout", timeout, Duration::from_secs(300));
        }
        Shape::object([
            ("subject", Shape::Text),
            ("data", Shape::Any),
            ("text", Shape::Text),
            ("headers", Shape::Any),
        ])
    }
}
