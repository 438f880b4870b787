//! Keys that a schema does not name.

use serde_json::Value;

use crate::spec::doc::join;

/// The most references that are followed from one to the next.
const MAX_HOPS: usize = 8;
/// The most keys that are told.
const MAX_TOLD: usize = 100;

/// A key that was taken out.
#[derive(Debug, PartialEq)]
pub(super) struct Unknown {
    /// The mapping it stood in.
    pub(super) at: String,
    pub(super) key: String,
    /// What may stand there.
    pub(super) known: Vec<String>,
}

impl Unknown {
    /// Where it stood.
    pub(super) fn whole(&self) -> String {
        join(&self.at, &self.key)
    }
}

/// Takes all keys out that a schema does not name, at any depth, and tells the first of them. A mapping whose schema has no
/// `properties`, or says `additionalProperties`, keeps all it has.
pub(super) fn unknown_keys(value: &mut Value, schema: &Value) -> Vec<Unknown> {
    let mut found = Vec::new();
    strip(value, schema, schema, "", &mut found);
    found
}

fn strip(value: &mut Value, schema: &Value, root: &Value, at: &str, found: &mut Vec<Unknown>) {
    let schema = resolved(schema, root);
    match value {
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else {
                return;
            };
            for (index, item) in items.iter_mut().enumerate() {
                strip(item, schema, root, &join(at, &index.to_string()), found);
            }
        }
        Value::Object(map) => {
            let more = schema.get("additionalProperties");
            let Some(known) = schema.get("properties").and_then(Value::as_object) else {
                for (key, inner) in map.iter_mut() {
                    strip(
                        inner,
                        more.unwrap_or(&Value::Null),
                        root,
                        &join(at, key),
                        found,
                    );
                }
                return;
            };
            let open = more.is_some_and(|more| *more != Value::Bool(false))
                || schema.get("patternProperties").is_some();
            map.retain(|key, inner| {
                let schema = match known.get(key) {
                    Some(schema) => schema,
                    None if open => more.unwrap_or(&Value::Null),
                    None => {
                        if found.len() < MAX_TOLD {
                            found.push(Unknown {
                                at: at.to_owned(),
                                key: key.clone(),
                                known: known.keys().cloned().collect(),
                            });
                        }
                        return false;
                    }
                };
                strip(inner, schema, root, &join(at, key), found);
                true
            });
        }
        _ => {}
    }
}

/// The schema that a reference within the same schema means.
fn resolved<'a>(mut schema: &'a Value, root: &'a Value) -> &'a Value {
    for _ in 0..MAX_HOPS {
        let target = schema.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|target| root.pointer(target.strip_prefix('#')?));
        match target {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_schema_does_not_name_goes_at_any_depth() {
        let schema = json!({
            "$defs": {"entry": {"properties": {"name": {}}}},
            "properties": {
                "list": {"type": ["array", "null"], "items": {"$ref": "#/$defs/entry"}},
                "free": {"type": "object"},
                "open": {"properties": {"a": {}}, "additionalProperties": true},
                "named": {"additionalProperties": {"$ref": "#/$defs/entry"}},
            }
        });
        let mut value = json!({
            "list": [{"name": 1, "nmae": 2}, 5], "free": {"x": 1}, "open": {"b": {"c": 1}},
            "named": {"any": {"name": 1, "age": 2}}, "lost": {"name": 1}
        });
        let found = unknown_keys(&mut value, &schema);
        let places: Vec<String> = found.iter().map(Unknown::whole).collect();
        assert_eq!(places, ["/list/0/nmae", "/named/any/age", "/lost"]);
        let kept = json!({
            "list": [{"name": 1}, 5], "free": {"x": 1}, "open": {"b": {"c": 1}},
            "named": {"any": {"name": 1}}
        });
        assert_eq!(value, kept);
    }
}
