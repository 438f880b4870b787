//! The defaults of a JSON Schema.

use serde_json::{Map, Value};

/// Fills the defaults of an object's fields in, and those within: also of fields that are there by default themselves.
pub fn fill_defaults(value: &mut Value, schema: &Value) {
    if let (Some(object), Some(schema)) = (value.as_object_mut(), schema.as_object()) {
        fill_in(object, schema);
    }
}

/// The same for the fields of an object.
pub fn fill_in(object: &mut Map<String, Value>, schema: &Map<String, Value>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        match object.get_mut(name) {
            Some(inner) => fill_defaults(inner, property),
            None => {
                if let Some(default) = property.get("default") {
                    // A default that is an object may leave out what its own properties have defaults for.
                    let mut whole = default.clone();
                    fill_defaults(&mut whole, property);
                    object.insert(name.clone(), whole);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_default_is_completed_by_the_defaults_in_it() {
        let limits = json!({
            "type": "object", "default": {"age": 1},
            "properties": {"age": {"default": 7}, "bytes": {"default": 9}}
        });
        let schema = json!({"type": "object", "properties": {"limits": limits}});
        for (given, filled) in [
            (json!({}), json!({"age": 1, "bytes": 9})),
            (json!({"limits": {}}), json!({"age": 7, "bytes": 9})),
        ] {
            let mut value = given;
            fill_defaults(&mut value, &schema);
            assert_eq!(value, json!({"limits": filled}));
        }
    }

    #[test]
    fn defaults_have_defaults_of_their_own() {
        let mut value = json!({});
        let limits = json!({"age": {"default": "30d"}, "more": {"properties": {"count": {"default": 5}}, "default": {}}});
        let schema = json!({"properties": {
            "limits": {"type": "object", "properties": limits, "default": {"age": "1d"}},
            "none": {"type": "object", "properties": {"never": {"default": 1}}},
        }});
        fill_defaults(&mut value, &schema);
        assert_eq!(
            value,
            json!({"limits": {"age": "1d", "more": {"count": 5}}})
        );
    }
}
