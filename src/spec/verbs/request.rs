//! `request`: sends a message and waits for an answer.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::{StepCheck, received_shape};
use crate::spec::data::{List, Map};
use crate::spec::diag::Code;
use crate::spec::model::{Answer, Served, Telling};
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Span, Template, Token, Tree};

/// The longest wait for a reply.
pub const LONGEST_REPLY: Duration = Duration::from_secs(300);
/// The longest wait for an answer in an inbox.
pub const LONGEST_ANSWER: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time for which it is remembered that somebody listens.
pub const LONGEST_EVERY: Duration = Duration::from_secs(60 * 60);

/// Core NATS. Nobody listening is an error at once, not after the timeout. One round trip, and with `answers` as long as it
/// takes.
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
    /// How long to wait: 2s when not given. 5m at the most, and 24h with `answers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Where messages for this call arrive, instead of a reply to the message: inboxes of the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<List<Answer>>,
    /// With `answers`: the longest time without any message for this call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Span>,
    /// With `answers`: whether a message (`item`) is the answer. The first message is when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Expr>,
    /// With `until`: what is kept of each message (`item`) before the answer. The list of it is called `heard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Tree>,
    /// With `until`: what a client that asks is told at each message (`item`) before the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Telling>,
    /// With `answers`: fails at once unless somebody listens on at least one of these subjects, on which the work is done in
    /// the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
}

impl Request {
    /// What goes on in an inbox has no place in a request that waits for a reply.
    fn check_alone(&self, cx: &mut StepCheck<'_>) {
        for (key, given) in [
            ("idle", self.idle.is_some()),
            ("until", self.until.is_some()),
            ("keep", self.keep.is_some()),
            ("progress", self.progress.is_some()),
            ("served", self.served.is_some()),
        ] {
            if given {
                let message = format!("`{key}` needs `answers`: without, the first reply is all");
                let help = "take it out, or write `answers: [{inbox: …, key: …}]`";
                cx.problem(Code::Schema, key, message, help);
            }
        }
    }

    fn check_answers(&self, answers: &List<Answer>, cx: &mut StepCheck<'_>) {
        if answers.is_empty() {
            let message = "a request without an inbox would hear nothing".to_owned();
            cx.problem(Code::Schema, "answers", message, "write `[{inbox: …, key: …}]`");
        }
        let mut list = cx.inside("answers");
        for (index, answer) in answers.iter().enumerate() {
            let mut cx = list.inside(&index.to_string());
            cx.inbox("inbox", &answer.inbox);
            cx.template("key", &answer.key);
            if let Some(when) = &answer.when {
                cx.condition("when", when);
            }
        }
        if let Some(idle) = &self.idle {
            cx.span("idle", idle, LONGEST_ANSWER);
        }
        if let Some(served) = &self.served {
            let mut cx = cx.inside("served");
            cx.subjects("subjects", &served.subjects, false);
            if let Some(every) = &served.every {
                cx.span("every", every, LONGEST_EVERY);
            }
        }
        if self.until.is_none() {
            for (key, given) in [
                ("keep", self.keep.is_some()),
                ("progress", self.progress.is_some()),
            ] {
                if given {
                    let message =
                        format!("`{key}` needs `until`: without, the first message is the answer");
                    let help = "take it out, or say with `until` which message is the answer";
                    cx.problem(Code::Schema, key, message, help);
                }
            }
        }
    }

    /// The keys that see a message.
    fn check_heard(&self, cx: &mut StepCheck<'_>) -> Shape {
        let item = item_shape();
        let names = cx.names().with("heard", Shape::Any.list());
        let kept = match &self.keep {
            Some(keep) => cx.among(&names).value_over("keep", keep, item.clone()),
            None => Shape::Any,
        };
        let heard = kept.list();
        let scope = cx.names().with("item", item).with("heard", heard.clone());
        if let Some(until) = &self.until {
            cx.among(&scope).condition("until", until);
        }
        if let Some(told) = &self.progress {
            let mut cx = cx.among(&scope);
            let mut cx = cx.inside("progress");
            if let Some(when) = &told.when {
                cx.condition("when", when);
            }
            super::progress::check(&mut cx, &told.done, told.total.as_ref(), &told.message);
        }
        heard
    }
}

/// A message in an inbox as expressions see it.
fn item_shape() -> Shape {
    let fields = received_shape();
    Shape::object(fields.into_iter().chain([("inbox", Shape::Text)]))
}

impl Grammar for Request {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.token("subject", Some(&self.subject));
        if let Some(payload) = &self.payload {
            cx.value("payload", payload);
        }
        cx.headers(self.headers.as_ref());
        let longest = match &self.answers {
            Some(_) => LONGEST_ANSWER,
            None => LONGEST_REPLY,
        };
        if let Some(timeout) = &self.timeout {
            cx.span("timeout", timeout, longest);
        }
        let Some(answers) = &self.answers else {
            self.check_alone(cx);
            return Shape::object(received_shape());
        };
        self.check_answers(answers, cx);
        let heard = self.check_heard(cx);
        let fields = received_shape().into_iter();
        Shape::object(fields.chain([("inbox", Shape::Text), ("heard", heard)]))
    }

    fn aside(&self) -> Option<(&'static str, Shape)> {
        self.answers
            .is_some()
            .then(|| ("heard", Shape::Any.list()))
    }
}
