//! `ask`: asks the client, and through it its user or its model.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::{StepCheck, ask};
use crate::spec::data::{List, Map};
use crate::spec::model::Role;
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Span, Template, Tree, Whole};

/// The longest wait for the answers.
pub const LONGEST: Duration = Duration::from_secs(60 * 60);
/// The most questions of one step: as many wait on a client's stream.
pub const MOST_QUESTIONS: usize = 32;
/// The most tokens of a sampled message.
pub const MOST_TOKENS: u64 = 1_000_000;

/// Asks the client: its user with a form or a page, its model for a message, or itself for its folders. All questions are put
/// at once, and the result has the answers by their names. Clients of the version 2026-07-28 are answered with the questions and
/// call again with the answers, when the steps go on here; with older ones the step waits. A form or page that is declined
/// (`declined`) and a client that cannot be asked (`cannot_ask`) are outcomes for `else` and `optional`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The questions by their names, of which each stands once in a tool, prompt or resource.
    pub questions: Map<Question>,
    /// How long the answers may take: 5m when not given, 1h at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// One question: exactly one of `form`, `url`, `sample` and `roots`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// It is left out unless this holds; its answer is then null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// It is left out for clients that cannot be asked it; its answer is then null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// A form for the user. The answer is `{action, content}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// A page that the user is to visit. The answer is `{action}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Page>,
    /// A message by the client's model. The answer is `{role, text, content, model, stop_reason}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// The folders that the client works in. The answer is `{roots: [{uri, name}]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<Roots>,
}

/// A form for the user of a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// What the user reads.
    pub message: Template,
    /// The fields: a JSON Schema of `type: object`, whose properties are texts, numbers, truth values, choices (`enum`, or
    /// `oneOf` with `const` and `title`) or lists of choices. Defaults fill in what the answer lacks.
    pub schema: Tree,
}

/// A page that the user of a client is to visit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// What the user reads.
    pub message: Template,
    /// The address of the page.
    pub url: Template,
}

/// A message that the model of a client is to write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The conversation so far.
    pub messages: List<Said>,
    /// The most tokens of the answer; 1000 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<Whole>,
    /// What the model is told before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Template>,
    /// How freely it writes: 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Tree>,
    /// Texts at which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<List<Template>>,
    /// Which model is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Prefer>,
}

/// A message of a conversation with a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Who says it; `user` when not given.
    #[serde(default)]
    pub role: Role,
    /// What is said.
    pub text: Template,
}

/// Which model is wanted. The numbers are from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prefer {
    /// Names of models, or parts of them, the best first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hints: Option<List<Template>>,
    /// How much it matters that the model is cheap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Tree>,
    /// How much it matters that it is fast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Tree>,
    /// How much it matters that it is capable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intelligence: Option<Tree>,
}

/// The folders that a client works in: nothing is to be said about them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roots {}

impl Grammar for Ask {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        if let Some(timeout) = &self.timeout {
            cx.span("timeout", timeout, LONGEST);
        }
        ask::check(self, cx)
    }

    fn repeats(&self) -> bool {
        true
    }
}
