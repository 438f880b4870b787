//! JSON Schema: the language's own, those inside specs, and violations in words.

mod explain;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::diag::{Diagnostic, Report};
use super::doc::Doc;
pub use explain::{Violation, explain, value_words};
use explain::{is_meant_elsewhere, not_in, way_out};

/// The JSON Schema (2020-12) of a Rust type, as published in `schemas/`.
///
/// `null` never stands for "not given" in the files, so the null alternatives that optional fields bring are
/// taken out; that also keeps violations at their exact place instead of inside an `anyOf`.
pub fn of<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    without_nulls(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), Value::from(title));
    }
    schema
}

/// Whether parts of an object's schema that are applied to the same object may declare properties of it, too.
pub fn declares_elsewhere(schema: &Map<String, Value>) -> bool {
    const LISTS: &[&str] = &["allOf", "anyOf", "oneOf"];
    const SINGLE: &[&str] = &["if", "then", "else"];
    const NAMES: &[&str] = &["properties", "patternProperties"];
    let declares = |part: &Value| {
        part.as_object()
            .is_some_and(|p| NAMES.iter().any(|key| p.contains_key(*key)) || declares_elsewhere(p))
    };
    let listed = LISTS.iter().filter_map(|key| schema.get(*key)?.as_array());
    let single = SINGLE.iter().filter_map(|key| schema.get(*key));
    let named = schema.get("dependentSchemas").and_then(Value::as_object);
    let parts = listed.flatten().chain(single);
    let mut parts = parts.chain(named.into_iter().flat_map(Map::values));
    schema.contains_key("$ref") || schema.contains_key("$dynamicRef") || parts.any(declares)
}

fn without_nulls(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(words)) = object.get_mut("enum") {
                words.retain(|w| !w.is_null());
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            unwrap_any_of(object);
            object.values_mut().for_each(without_nulls);
        }
        _ => {}
    }
}

fn unwrap_any_of(object: &mut Map<String, Value>) {
    let Some(Value::Array(options)) = object.get_mut("anyOf") else {
        return;
    };
    options.retain(|o| o != &serde_json::json!({"type": "null"}));
    if let [Value::Object(only)] = options.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

/// Compiles a schema for checking values. Formats are checked, nothing is fetched.
///
/// # Errors
/// The first thing that is wrong with the schema itself, with its place in it.
pub fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .map_err(ValidationError::to_owned)
}

/// Everything that is wrong with a schema that stands inside a document: the pointer below the schema, and what is
/// wrong there.
pub fn problems(schema: &Value) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = jsonschema::draft202012::meta::validator()
        .iter_errors(schema)
        .map(|error| {
            let pointer = error.instance_path().as_str().to_owned();
            let what = if pointer.ends_with("/type") || pointer == "/type" {
                not_in(error.instance(), &serde_json::json!(TYPES))
            } else {
                let wanted = keyword_value(pointer.rsplit('/').next().unwrap_or_default());
                Violation::new(format!(
                    "{} does not fit here{wanted}",
                    value_words(error.instance())
                ))
            };
            let hint = what.help.map(|h| format!(" ({h})")).unwrap_or_default();
            (pointer, format!("{}{hint}", what.message))
        })
        .collect();
    if found.is_empty()
        && let Err(error) = compile(schema)
    {
        found.push((error.instance_path().as_str().to_owned(), error.to_string()));
    }
    found
}

/// What a keyword of JSON Schema takes, for the most frequent ones.
fn keyword_value(keyword: &str) -> &'static str {
    match keyword {
        "required" => ": `required` is a list of names, beside `properties`",
        "properties" | "patternProperties" | "$defs" => ": a mapping of names to schemas is wanted",
        "enum" => ": a list of values is wanted",
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            ": a number is wanted"
        }
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            ": a whole number, 0 or more, is wanted"
        }
        "description" | "title" | "pattern" | "format" | "$ref" => ": a text is wanted",
        "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" => ": true or false is wanted",
        _ => "",
    }
}

/// The types of JSON Schema.
const TYPES: &[&str] = &[
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// Checks a document (or the part of it below `base`) and reports every violation at its place.
pub fn check_doc(
    doc: &Doc,
    base: &str,
    value: &Value,
    schema: &Value,
    validator: &Validator,
    report: &mut Report,
) {
    let errors: Vec<ValidationError<'_>> = validator.iter_errors(value).collect();
    for error in &errors {
        if is_meant_elsewhere(error, &errors) {
            continue;
        }
        let pointer = format!("{base}{}", error.instance_path().as_str());
        for violation in explain(error, schema) {
            let range = violation.range(doc, &pointer);
            let fix = violation.fix(doc, &pointer);
            let help = way_out(error, schema).or(violation.help);
            let mut diagnostic =
                Diagnostic::error(violation.code, &doc.source, range, violation.message);
            diagnostic.help = Some(help.unwrap_or_else(|| "write what fits".to_owned()));
            report.push(diagnostic.fix(fix));
        }
    }
}

/// The schema without properties that an object does not have, and without definitions that nothing refers to then. To this
/// object it says the same; a schema of many keys takes long to compile, and most objects have few of them.
pub fn only(schema: &Value, object: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(properties) = schema
        .pointer_mut("/properties")
        .and_then(Value::as_object_mut)
    {
        properties.retain(|key, _| object.get(key).is_some());
    }
    let Some(Value::Object(mut all)) = schema.as_object_mut().and_then(|s| s.remove("$defs"))
    else {
        return schema;
    };
    let mut kept = Map::new();
    let mut open = vec![schema.clone()];
    while let Some(value) = open.pop() {
        for name in referred(&value) {
            if let Some(definition) = all.remove(&name) {
                open.push(definition.clone());
                kept.insert(name, definition);
            }
        }
    }
    if let Some(map) = schema.as_object_mut() {
        map.insert("$defs".to_owned(), Value::Object(kept));
    }
    schema
}

/// The names of the definitions that a schema refers to.
fn referred(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str);
            let name = name
                .and_then(|r| r.strip_prefix("#/$defs/"))
                .map(str::to_owned);
            name.into_iter()
                .chain(map.values().flat_map(referred))
                .collect()
        }
        Value::Array(items) => items.iter().flat_map(referred).collect(),
        _ => Vec::new(),
    }
}

/// Reads texts at these places as the numbers and truth values that the schema wants there, where they are written as such.
pub fn retype(value: &mut Value, validator: &Validator, places: &[&str]) {
    if places.is_empty() || validator.is_valid(value) {
        return;
    }
    let mut read = Vec::new();
    for error in validator.iter_errors(value) {
        let at = error.instance_path().as_str();
        if !places.contains(&at) {
            continue;
        }
        let ValidationErrorKind::Type { kind } = error.kind() else {
            continue;
        };
        let text = error.instance().as_str().unwrap_or_default();
        let typed = serde_json::from_str(text).ok().filter(|typed: &Value| {
            let numbers = typed.is_number() || typed.is_boolean();
            numbers && is_of(kind, typed)
        });
        read.extend(typed.map(|typed| (at.to_owned(), typed)));
    }
    for (at, typed) in read {
        if let Some(place) = value.pointer_mut(&at) {
            *place = typed;
        }
    }
}

fn is_of(kind: &TypeKind, value: &Value) -> bool {
    let wanted = |kind: jsonschema::JsonType| match kind {
        jsonschema::JsonType::Boolean => value.is_boolean(),
        jsonschema::JsonType::Integer => value.is_i64() || value.is_u64(),
        jsonschema::JsonType::Number => value.is_number(),
        _ => false,
    };
    match kind {
        TypeKind::Single(kind) => wanted(*kind),
        TypeKind::Multiple(kinds) => kinds.iter().any(wanted),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn violations(schema: &Value, value: &Value) -> Vec<String> {
        let validator = compile(schema).unwrap();
        let mut all: Vec<String> = validator
            .iter_errors(value)
            .flat_map(|e| explain(&e, schema))
            .map(|v| match v.help {
                Some(help) => format!("{} ({help})", v.message),
                None => v.message,
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn violations_say_what_was_expected_and_what_came() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["to"],
            "properties": {
                "to": {"type": "string", "minLength": 1},
                "limit": {"type": "integer", "minimum": 1, "maximum": 9},
                "scope": {"enum": ["team", "public"]},
            }
        });
        assert_eq!(
            violations(&schema, &json!({"limit": "5", "scope": "tema", "tp": 1})),
            [
                "`to` is missing",
                "expected a whole number, got the string \"5\"",
                "the string \"tema\" is not one of: team, public (did you mean `team`?)",
                "unknown key `tp` (did you mean `to`?)",
            ]
        );
        assert_eq!(
            violations(&schema, &json!({"to": "", "limit": 10})),
            [
                "it must not be empty",
                "the number 10 is more than the largest allowed value, 9"
            ]
        );
    }

    #[test]
    fn schemas_fetch_nothing() {
        assert!(compile(&json!({"$ref": "https://example.com/x.json"})).is_err());
        assert!(compile(&json!({"$ref": "file:///etc/passwd"})).is_err());
        assert!(compile(&json!({"type": "strin"})).is_err());
    }

    proptest::proptest! {
        /// Whatever keys a config has, the smaller schema finds in it what the whole one finds.
        #[test]
        fn a_schema_of_what_is_there_says_the_same(
            keys in proptest::collection::vec("packs|name|nats|http|auth|log|toolsets|allow|lint|pin|nonsense", 0..6),
            odd in proptest::bool::ANY,
        ) {
            let whole = crate::spec::config::config_schema();
            let value = |key: &str| match (key, odd) {
                ("packs", false) => json!(["warp"]),
                ("nats", _) => json!({"request_timeout": if odd { "5m" } else { "1s" }, "tls": {"required": odd}}),
                ("http", _) => json!({"max_in_flight": if odd { json!("x") } else { json!(5) }}),
                ("auth", _) => json!({"tokens": [{"name": "a", "token": "t", "scopes": ["s"]}]}),
                ("toolsets", _) => json!({"a": ["x*"]}),
                _ => json!("text"),
            };
            let object: Map<String, Value> = keys.iter().map(|k| (k.clone(), value(k))).collect();
            let object = Value::Object(object);
            let found = |schema: &Value| -> Vec<String> {
                let validator = compile(schema).unwrap();
                validator.iter_errors(&object).map(|e| format!("{} {e}", e.instance_path())).collect()
            };
            proptest::prop_assert_eq!(found(&only(&whole, &object)), found(&whole));
        }
    }
}
