//! A tool: its form, and what it answers.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BlockDecl, Example, IconDecl};
use crate::spec::data::{List, Text};
use crate::spec::tree::{Expr, Template, Tree};
use crate::spec::verbs::Step;

/// A tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// The name people read. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Template>,
    /// What a model reads to decide when to use the tool. May use `project`, `config` and `tools`.
    #[schemars(extend("minLength" = 1))]
    pub description: Template,
    /// An expression over `project` and `config`: the tool is only there if this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// Hints for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What clients are told beside that, under names of yours such as `example.com/team`: an object, passed on as `_meta`. May use
    /// `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Tree>,
    /// Small pictures that clients may show beside the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icons: Option<List<IconDecl>>,
    /// What a client must be allowed in order to see and call it, where clients log in.
    #[serde(default)]
    pub scopes: List<Text>,
    /// JSON Schema of the arguments, of type object. Its strings may hold expressions over `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Tree>,
    /// Arguments that `input` does not name are refused, unless it has an `additionalProperties` of its own. `false` leaves
    /// the schema as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<bool>,
    /// Takes a text such as `"5"` or `"true"` for the number or the truth value that an argument's schema wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coerce: Option<bool>,
    /// Whether it runs as a task for clients that know tasks of MCP (the extension `io.modelcontextprotocol/tasks`): they are
    /// answered at once, and ask for the result later. With `true` it is a call like any other for the others; with `required`
    /// they cannot call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskUse>,
    /// JSON Schema of the structured result, of type object. Where it is one expression that yields `omit`, clients are told
    /// of none, and the result is not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Tree>,
    /// What the tool does, in order.
    #[serde(default)]
    pub steps: List<Step>,
    /// What it answers.
    pub reply: Reply,
    /// How a failure of its steps is worded, instead of the failure's own text (`error.message`), which is that of the
    /// step's `else` where it has one. Names of steps that were not reached are null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Template>,
    /// Calls with their expected results: tests and documentation at once.
    #[serde(default)]
    pub examples: List<Example>,
}

impl Tool {
    /// Whether it runs as a task for clients that know tasks.
    pub fn runs_as_task(&self) -> bool {
        matches!(self.task, Some(TaskUse::Offered | TaskUse::Required))
    }
}

/// Whether a tool runs as a task: `false`, `true` or `required`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskUse {
    /// It does not.
    Never,
    /// For clients that know tasks.
    Offered,
    /// Always: other clients cannot call it.
    Required,
}

impl TaskUse {
    const REQUIRED: &str = "required";
}

impl Serialize for TaskUse {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match (self, s.is_human_readable()) {
            (Self::Never, true) => s.serialize_bool(false),
            (Self::Offered, true) => s.serialize_bool(true),
            (Self::Required, true) => s.serialize_str(Self::REQUIRED),
            (Self::Never, false) => s.serialize_unit_variant("TaskUse", 0, "Never"),
            (Self::Offered, false) => s.serialize_unit_variant("TaskUse", 1, "Offered"),
            (Self::Required, false) => s.serialize_unit_variant("TaskUse", 2, "Required"),
        }
    }
}

impl<'de> Deserialize<'de> for TaskUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Flag(bool),
            Word(Word),
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Word {
            Required,
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Flag(false) => Self::Never,
            Form::Flag(true) => Self::Offered,
            Form::Word(Word::Required) => Self::Required,
        })
    }
}

impl JsonSchema for TaskUse {
    fn schema_name() -> Cow<'static, str> {
        "TaskUse".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": [true, false, Self::REQUIRED] })
    }
}

/// Hints for clients about what a tool does; clients must not rely on them for safety.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Annotations {
    /// It changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// It may destroy something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive: Option<bool>,
    /// Calling it twice does no more than calling it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// It reaches things outside this system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world: Option<bool>,
}

/// What a tool answers. At least one key is needed; `text`, `template` and `content` exclude each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The text a model reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
    /// Instead of `text`: the name of a template file of the pack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Text>,
    /// Instead of `text`: blocks of texts, pictures, sounds, and what is to be read, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub content: Option<List<BlockDecl>>,
    /// The structured result; needs `output`. Without a text and `content`, its JSON is the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Tree>,
}
