//! Prompts: messages that people pick from a menu of their client; and completions, which propose values for arguments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::{List, Map, Text};
use crate::spec::tree::{Expr, Template, Tree};
use crate::spec::verbs::Step;

/// A prompt: messages that a client puts into a conversation when its user picks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptDecl {
    /// The name people read. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Template>,
    /// What people read to decide whether to pick it. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Template>,
    /// An expression over `project` and `config`: the prompt is only there if this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// What a client must be allowed in order to see and use it, where clients log in.
    #[serde(default)]
    pub scopes: List<Text>,
    /// What a client asks its user for, in this order. Each is a text, `args.NAME`.
    #[serde(default)]
    pub arguments: Map<Argument>,
    /// What is done before the messages are made, in order.
    #[serde(default)]
    pub steps: List<Step>,
    /// The messages, in order.
    #[schemars(length(min = 1))]
    pub messages: List<MessageDecl>,
}

/// An argument of a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// The name people read. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Template>,
    /// What is to be given. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Template>,
    /// Whether it must be given: no when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// What proposes values (`completions`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<Text>,
}

/// A message of a prompt: exactly one of `text`, `template` and `resource`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageDecl {
    /// Who says it.
    pub role: Role,
    /// The message is left out unless this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// What is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
    /// Instead of `text`: the name of a template file of the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Text>,
    /// Instead of `text`: something to read, in the message itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Embedded>,
}

/// Who says a message of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The one who picks the prompt.
    #[default]
    User,
    /// The model.
    Assistant,
}

/// Something to read in a message: `text` or `blob`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// Its address.
    pub uri: Template,
    /// Its type: `text/plain` of a text when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<Template>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
    /// Its bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Template>,
}

/// What proposes values for an argument of a prompt, or a parameter of a resource's address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletionDecl {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// What is done to find the values, in order. `value` is what was typed so far, `arguments` what other arguments have.
    #[serde(default)]
    pub steps: List<Step>,
    /// The values: a list, or one `{{ expression }}` that yields it. Those that begin with what was typed are proposed, small and
    /// capital letters being the same.
    pub values: Tree,
}
