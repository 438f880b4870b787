//! MCP resources: files of a folder that clients list and read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::{List, Text};
use crate::spec::tree::{Expr, Flag, Size, Template, Token, Tree};

/// The most bytes of a resource that may be allowed: 64 MiB.
pub const RESOURCE_BYTES: u64 = 64 << 20;

/// The files of a folder, as MCP resources: clients list and read them, and are told when they change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceDecl {
    /// What clients are told that the files are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Template>,
    /// Whether the files are served at all: an expression over `project` and `config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// A folder of this pack (`folders`).
    pub folder: Text,
    /// What the address of each file begins with: a scheme, and a `/` at its end. The path in the folder follows. May use
    /// `project` and `config`.
    pub uri: Template,
    /// Only files whose name fits one of these patterns, in which `*` stands for any text, `?` for one character and `[ab]` for
    /// one of several. With `recursive`, the path in the folder may fit instead of the name. A list of texts, or one `{{
    /// expression }}` that yields it: where it yields `omit` or null, all files are, and where it yields an empty list, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "patterns")]
    pub patterns: Option<Tree>,
    /// Whether the files of folders in it are resources too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recursive: Option<Flag>,
    /// The largest file that is read: at most 64MiB, 10MiB when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
    /// Scopes that a client must have to see and read them, where clients log in.
    #[serde(default)]
    pub scopes: List<Text>,
    /// Subjects, perhaps with wildcards, by which other programs say that something has changed. A message `{uri: …}` or
    /// `{uris: […]}` names the resources; any other says that one should look.
    #[serde(default)]
    pub changed: List<Token>,
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
