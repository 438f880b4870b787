//! Arguments that clients of MCP 2026-07-28 repeat in a header of their HTTP request (`x-mcp-header`).
//!
//! A client leaves out a tool whose annotations are not as the protocol wants them, without a word to anybody.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Findings;
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};

/// The keyword.
const KEY: &str = "x-mcp-header";

/// Checks the annotations of an input schema.
pub(super) fn check_headers(doc: &Doc, pointer: &str, schema: &Value, report: &mut Findings) {
    let mut check = Check {
        doc,
        report,
        known: BTreeMap::new(),
    };
    if let Some(schema) = schema.as_object() {
        check.schema(pointer, schema, Way::Root);
    }
}

/// How a schema is reached from that of the arguments.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// It is that schema.
    Root,
    /// By `properties` alone: each call has one value at the most.
    Properties,
    /// By another keyword.
    Other,
}

struct Check<'a> {
    doc: &'a Doc,
    report: &'a mut Findings,
    /// Headers in small letters, and where they are.
    known: BTreeMap<String, String>,
}

impl Check<'_> {
    fn schema(&mut self, at: &str, schema: &Map<String, Value>, way: Way) {
        if let Some(header) = schema.get(KEY) {
            self.annotation(at, schema, header, way);
        }
        for (key, value) in schema {
            let at = join(at, key);
            let inner = match (key.as_str(), way) {
                ("properties", Way::Root | Way::Properties) => Way::Properties,
                // Values, and no schemas.
                ("default" | "const" | "enum" | "examples", _) => continue,
                _ => Way::Other,
            };
            match key.as_str() {
                "properties" | "patternProperties" | "$defs" | "definitions"
                | "dependentSchemas" => self.all_of(&at, value, inner),
                _ => self.any(&at, value, inner),
            }
        }
    }

    /// Schemas by their names.
    fn all_of(&mut self, at: &str, schemas: &Value, way: Way) {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            self.any(&join(at, name), schema, way);
        }
    }

    fn any(&mut self, at: &str, value: &Value, way: Way) {
        match value {
            Value::Object(schema) => self.schema(at, schema, way),
            Value::Array(schemas) => {
                for (index, schema) in schemas.iter().enumerate() {
                    self.any(&join(at, &index.to_string()), schema, Way::Other);
                }
            }
            _ => {}
        }
    }

    fn annotation(&mut self, at: &str, schema: &Map<String, Value>, header: &Value, way: Way) {
        let at = join(at, KEY);
        if way != Way::Properties {
            let message = format!("`{KEY}` has its place in a property of the arguments");
            let help = "put it into an entry of `properties`, or of the `properties` of one: not into `items`, `$defs`, `anyOf` and the like";
            return self.problem(&at, message, help);
        }
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(in_token);
        let Some(name) = header.as_str().filter(|text| is_token(text)) else {
            let message = format!("`{KEY}` names a header, and {header} cannot be one");
            let help =
                "write letters, digits and `-`, such as `Region` for the header `Mcp-Param-Region`";
            return self.problem(&at, message, help);
        };
        let kind = schema.get("type").and_then(Value::as_str);
        if !matches!(kind, Some("string" | "integer" | "boolean")) {
            let message =
                format!("`{KEY}` is for arguments of the type `string`, `integer` or `boolean`");
            let help = "write such a `type` beside it, or leave the header out: other values have more than one form as a text";
            return self.problem(&at, message, help);
        }
        let before = self.known.insert(name.to_ascii_lowercase(), at.clone());
        if before.is_some() {
            let message = format!("another argument has the header `{name}` already");
            let help = "give each argument a header of its own: capital letters make no difference";
            self.problem(&at, message, help);
        }
    }

    fn problem(&mut self, at: &str, message: String, help: &str) {
        let range = self.doc.value_range(at);
        let found = Diagnostic::error(Code::BadSchema, &self.doc.source, range, message);
        self.report.push(found.help(help));
    }
}

/// What a token of HTTP is made of (RFC 9110, 5.6.2).
fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
