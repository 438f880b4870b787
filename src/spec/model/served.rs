//! MCP resources: files of a folder, and what steps make, that clients list and read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IconDecl;
use crate::spec::config::cache::{Scope, Ttl};
use crate::spec::data::{List, Map, Text};
use crate::spec::tree::{Expr, Flag, Size, Template, Token, Tree};
use crate::spec::verbs::Step;

/// The most bytes of a resource that may be allowed: 64 MiB.
pub const RESOURCE_BYTES: u64 = 64 << 20;

/// MCP resources: the files of a `folder`, or what steps make of an address (`text`, `json` or `blob`). Clients list and read
/// them, and are told when they change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceDecl {
    /// The name people read, of what steps make. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Template>,
    /// What clients are told that the files are, or what is to be read there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Template>,
    /// Whether it is served at all: an expression over `project` and `config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// What clients are told beside that of what steps make, under names of yours such as `example.com/team`: an object, passed on as `_meta`. May use
    /// `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Tree>,
    /// Small pictures that clients may show beside the name of what steps make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icons: Option<List<IconDecl>>,
    /// A folder of this pack (`folders`), whose files are the resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Text>,
    /// With `folder`, what the address of each file begins with: a scheme, and a `/` at its end. The path in the folder follows.
    /// Otherwise the whole address, in which `{name}` stands for a parameter. May use `project` and `config`.
    pub uri: Template,
    /// Of a folder, only files whose name fits one of these patterns, in which `*` stands for any text, `?` for one character and
    /// `[ab]` for one of several. With `recursive`, the path in the folder may fit instead of the name. A list of texts, or one
    /// `{{ expression }}` that yields it: where it yields `omit` or null, all files are, and where it yields an empty list, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "patterns")]
    pub patterns: Option<Tree>,
    /// Whether the files of folders in the folder are resources too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recursive: Option<Flag>,
    /// The largest file that is read: at most 64MiB, 10MiB when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
    /// The type of what steps make: `application/json` with `json`, `text/plain` with `text`, and `application/octet-stream` with
    /// `blob` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<Template>,
    /// More about the `{name}`s in the `uri`.
    #[serde(default)]
    pub parameters: Map<Parameter>,
    /// What is done when it is read, in order. `uri` is the address that is read, `args.NAME` what stands for `{NAME}` in it.
    #[serde(default)]
    pub steps: List<Step>,
    /// What is to be read: a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Template>,
    /// What is to be read: a value, written as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Tree>,
    /// What is to be read: bytes, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Template>,
    /// What is done before `list` is worked out, in order.
    #[serde(default)]
    pub list_steps: List<Step>,
    /// Which resources with parameters are listed: a list of objects with a value for each parameter, and perhaps a `title` and a
    /// `description`, or of the values themselves where there is one parameter; or one `{{ expression }}` that yields it. None when
    /// not given: clients make the addresses themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<Tree>,
    /// Scopes that a client must have to see and read them, where clients log in.
    #[serde(default)]
    pub scopes: List<Text>,
    /// Subjects, perhaps with wildcards, by which other programs say that something has changed. A message `{uri: …}` or
    /// `{uris: […]}` names the resources; any other says that one should look.
    #[serde(default)]
    pub changed: List<Token>,
    /// How long clients of MCP 2026-07-28 and later may keep what is read, where it is another time than the config's `cache`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<ResourceCache>,
}

/// How long clients may keep what is read. What is not given is as the config says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceCache {
    /// For how long: a number of seconds or a time span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Who may keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

/// A parameter in the address of a resource.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// What proposes values (`completions`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<Text>,
}

fn patterns(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [
            {"type": "array", "items": {"type": "string"}, "maxItems": 100},
            {"type": "string", "pattern": "^\\{\\{.*\\}\\}$"}
        ],
        "description": "A list of at most 100 patterns, or one `{{ expression }}` that yields one."
    })
}
