//! `publish`: sends a message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Template, Token, Tree};

/// Sends one message. With `stream`, JetStream stores it and acknowledges before the step is done; with `subject`
/// alone it goes to whoever listens, and nothing is stored. One round trip either way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// A stream of this pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Text>,
    /// Which of the stream's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The subject; the stream's own when it declares just one without wildcards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Token>,
    /// The message. A text is sent as it is, anything else as JSON.
    pub payload: Tree,
    /// Headers of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Map<Template>>,
    /// A message id (`Nats-Msg-Id`): a second message with the same id within the stream's window is not stored again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Template>,
    /// Without `stream`: nobody listening on the subject is an error. A stream that stores it, and whoever watches `>`, listens too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_listener: Option<bool>,
}

impl Grammar for Publish {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        if self.stream.is_some() && self.needs_listener.is_some() {
            cx.needs("`needs_listener` is for a `subject` alone: a stream keeps the message for whoever comes", "take `needs_listener` out");
        }
        match &self.stream {
            Some(stream) => {
                cx.stream("stream", stream, self.with.as_ref());
                match &self.subject {
                    None => cx.own_subject(stream),
                    Some(subject) => cx.stored_subject("subject", stream, &subject.0),
                }
            }
            None => {
                if self.subject.is_none() {
                    cx.needs("`publish` needs a `stream` or a `subject`", "write `stream: …` for a message that is kept, or `subject: …` for one that only goes to those who listen");
                }
                if self.with.is_some() || self.id.is_some() {
                    cx.needs("`with` and `id` belong to a `stream`, and there is none", "take them out, or name the stream");
                }
            }
        }
        cx.token("subject", self.subject.as_ref());
        cx.value("payload", &self.payload);
        cx.headers(self.headers.as_ref());
        if let Some(id) = &self.id {
            cx.template("id", id);
        }
        Shape::object([
            ("stream", Shape::Text),
            ("subject", Shape::Text),
            ("seq", Shape::Number),
            ("duplicate", Shape::Bool),
        ])
    }

    fn repeats(&self) -> bool {
        // Of what a stream stores twice under one id it keeps one.
        self.stream.is_some()
    }
}
