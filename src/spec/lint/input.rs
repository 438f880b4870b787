//! JSON Schema that clients do not take.

use serde_json::Value;

use super::Finding;
use crate::spec::diag::Code;
use crate::spec::doc::join;

/// Keywords whose values are no schemas, whatever they look like.
const VALUES: &[&str] = &["default", "const", "enum", "examples", "required"];
/// Keywords whose values are mappings of names to schemas.
const NAMED: &[&str] = &[
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
];

/// What clients will not take of the schema of a tool's arguments.
pub(super) fn schema(input: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    for keyword in ["anyOf", "oneOf", "allOf"] {
        if input.get(keyword).is_some() {
            found.push(Finding::new(
                Code::ClientUnion,
                join("/input", keyword),
                format!("has `{keyword}` at the top level of its input: APIs of models refuse that, and with it every tool of the request"),
                format!(
                    "declare the arguments under `properties`, and check how they go together in a step: `require: …` with `else`; inside of a property `{keyword}` is fine"
                ),
            ));
        }
    }
    refs(input, "/input", &mut found);
    found
}

fn refs(schema: &Value, pointer: &str, found: &mut Vec<Finding>) {
    match schema {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                refs(item, &join(pointer, &index.to_string()), found);
            }
        }
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                let at = join(pointer, keyword);
                if keyword == "$ref" && value.is_string() {
                    found.push(Finding::new(
                        Code::ClientRef,
                        at,
                        "has `$ref` in its input: many clients do not resolve it, and the model does not see what is meant",
                        "write the schema out where it is used; in YAML an anchor (`&name`) and an alias (`*name`) save the typing",
                    ));
                } else if NAMED.contains(&keyword.as_str()) {
                    for (name, schema) in value.as_object().into_iter().flatten() {
                        refs(schema, &join(&at, name), found);
                    }
                } else if !VALUES.contains(&keyword.as_str()) {
                    refs(value, &at, found);
                }
            }
        }
        _ => {}
    }
}
