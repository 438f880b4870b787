//! Examples of tools: calls with what comes of them, and what they stand on.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use crate::spec::data::{Json, List, Map, Text};
use crate::spec::tree::{Expr, Template, Tree};

/// The fixture of examples that name none.
pub const DEFAULT_FIXTURE: &str = "default";
/// The longest time that a part of an example may be tried again, in seconds.
pub const MAX_WITHIN: u64 = 60;

/// What examples stand on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// Settings of this pack. `${NATS_URL}` in them is the address of the example's NATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Json>,
    /// What the pack may use of this machine, as in a config. Paths are relative to the folder of the example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allowed>,
    /// Environment variables: examples see these and no others.
    #[serde(default)]
    pub env: Map<Text>,
    /// Files in the folder of the example, which is the project's folder too: contents by relative path.
    #[serde(default)]
    pub files: Map<Text>,
    /// Programs that stand by and answer.
    #[serde(default)]
    pub respond: List<Responder>,
    /// Who the clients are, by the names of sessions: as if they had logged in.
    #[serde(default)]
    pub clients: Map<FixtureClient>,
}

/// What a pack may use of this machine: lists as in `allow` of a config.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Folders whose files may be read.
    #[serde(default)]
    pub read: List<Text>,
    /// Folders whose files may be read, written and removed.
    #[serde(default)]
    pub write: List<Text>,
    /// Programs that may be started.
    #[serde(default)]
    pub run: List<Text>,
    /// Servers that may be looked at; `${NATS_URL}` is the example's NATS.
    #[serde(default)]
    pub connect: List<Text>,
}

/// Who the client of a session is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixtureClient {
    /// `session.principal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Text>,
    /// `session.claims`: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Json>,
}

/// A program that stands by: each message on its subject is answered. Its texts may use `message` (`subject`, `data`, `text`,
/// `headers`, `reply`), `project` and `config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Responder {
    /// The subject; it may have wildcards. May use `project` and `config`.
    pub subject: Template,
    /// Which messages it answers; all when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// Where the answer goes instead of the reply subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Template>,
    /// The answer. A text is sent as it is, anything else as JSON.
    pub payload: Tree,
    /// Headers of the answer.
    #[serde(default)]
    pub headers: Map<Template>,
}

/// A call with its expected result. Its texts may use `project`, `config`, `tools` and the names that `let` has given before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text>,
    /// What it stands on: a name of `fixtures`. Without, the one called `default`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixture: Option<Text>,
    /// Under `generate` only: which of the tools that are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Text>,
    /// What happens before it, in order.
    #[serde(default)]
    pub given: List<Given>,
    /// The name of the session that calls; without, one that has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#as: Option<Text>,
    /// The arguments.
    pub call: Tree,
    /// What the client answers when it is asked, by the names of the questions: `{content: {…}}` or `{action: decline}` to a form
    /// or page, `{text: …}` for a model, `{roots: […]}`. Without, it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Map<Tree>>,
    /// What comes back.
    pub expect: Expect,
    /// The call is made again until all that is expected holds, for this long at the most (`60s` or less): `500ms`, `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m)$"))]
    pub within: Option<Text>,
    /// Names for later, from the names `text` and `structured` of the reply.
    #[serde(default)]
    pub r#let: Map<Tree>,
    /// What happens after it, in order.
    #[serde(default)]
    pub then: List<Given>,
}

/// What happens before or after the call of an example: another call, something else that a client asks for, or a message of
/// another program. With none of them, only what a session has been told is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The name of the session; without, the one that has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#as: Option<Text>,
    /// The tool that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Text>,
    /// The prompt whose messages are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Text>,
    /// The address of a resource that is read; with `complete`, as it is declared: `notes://{name}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Template>,
    /// The argument of the `prompt`, or the parameter of the `resource`, for which values are proposed. What has been typed of
    /// it stands under `args`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<Text>,
    /// The arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Tree>,
    /// As those of the example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Map<Tree>>,
    /// What another program says on NATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Said>,
    /// What comes back; without, it must not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// As that of the example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m)$"))]
    pub within: Option<Text>,
    /// Names for later, from the names `text` and `structured` of the reply.
    #[serde(default)]
    pub r#let: Map<Tree>,
}

impl Given {
    /// Whether something is asked for that answers.
    pub fn asks(&self) -> bool {
        self.tool.is_some() || self.prompt.is_some() || self.resource.is_some()
    }
}

/// A message on NATS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Its subject. Where it is expected, it may have wildcards.
    pub subject: Template,
    /// What it says. A text is sent as it is, anything else as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Tree>,
    /// Its headers.
    #[serde(default)]
    pub headers: Map<Template>,
}

/// What an example expects. Everything named must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The text, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
    /// Parts of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<Parts>,
    /// What the text must not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<Parts>,
    /// A regular expression that the text matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<Text>,
    /// The structured result: these keys with these values, others may be there. Lists have the same length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Tree>,
    /// The blocks of contents as a client gets them (`type`, `text`, `data`, `mimeType`, `uri` and so on): a list of the same length,
    /// of each these keys with these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Tree>,
    /// Whether the call fails; it must not when this is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<bool>,
    /// The names of the questions that the client is asked, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<List<Text>>,
    /// Messages that are published on NATS meanwhile, in any order. Others may be there.
    #[serde(default)]
    pub messages: List<Said>,
    /// What the session is told, in any order; others may be there. An empty list: nothing has been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifications: Option<List<Told>>,
}

/// A notification that a session is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Its method, such as `notifications/message`.
    pub method: Template,
    /// Its parameters: these keys with these values, others may be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Tree>,
}

/// One text, or several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parts(pub List<Template>);

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            One(Template),
            Several(Vec<Template>),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::One(text) => vec![text].into(),
            Form::Several(texts) => texts.into(),
        }))
    }
}

impl JsonSchema for Parts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parts".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Template>();
        schemars::json_schema!({
            "anyOf": [text, {"type": "array", "items": text, "minItems": 1}],
            "description": "One text, or a list of texts."
        })
    }
}

/// Under which name a pack's `origins` has an example: of a tool, or of a generator (`generate/NAME`).
pub fn example_origin(owner: &str, index: usize) -> String {
    format!("{owner}#{index}")
}
