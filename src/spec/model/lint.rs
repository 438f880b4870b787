//! What an author has looked at and means so.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::spec::data::{List, Text};
use crate::spec::diag::Code;

/// What `jacquard validate` leaves unsaid. Errors are always said.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LintDecl {
    /// Codes of warnings. In a spec file they are not told of that file, in a config not of that config.
    #[serde(default)]
    #[schemars(schema_with = "codes")]
    pub allow: List<Text>,
}

fn codes(_: &mut SchemaGenerator) -> Schema {
    let codes: Vec<&str> = Code::ALLOWABLE.iter().map(|code| code.as_str()).collect();
    schemars::json_schema!({"type": "array", "items": {"type": "string", "enum": codes}})
}
