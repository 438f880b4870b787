//! JSON Schemas as tables: the arguments of tools, and the keys of files.

use serde_json::{Map, Value};

use super::markdown::{code, plain, sentence};

/// How deep the fields of fields are told.
const DEPTH: usize = 6;
/// The most values of an `enum` that are told.
const VALUES: usize = 40;
/// The longest pattern that is told, in characters.
const PATTERN: usize = 160;

/// A field of an object: where it is, of what type, and what is said of it.
pub type Row = [String; 3];

/// All fields of a schema of type object, those of objects and lists in it after them: `a`, `a.b`, `c[].d`.
pub fn fields(schema: &Map<String, Value>) -> Vec<Row> {
    let mut rows = Vec::new();
    below(&Value::Object(schema.clone()), schema, "", DEPTH, &mut rows);
    rows
}

fn below(root: &Value, schema: &Map<String, Value>, path: &str, depth: usize, rows: &mut Vec<Row>) {
    if depth == 0 {
        return;
    }
    let needed = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, field) in properties.into_iter().flatten() {
        let at = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let is_needed =
            needed.is_some_and(|names| names.iter().any(|n| n.as_str() == Some(name.as_str())));
        let field = resolved(root, field);
        rows.push([
            if is_needed {
                format!("**{}**", code(&at))
            } else {
                code(&at)
            },
            type_words(root, &field),
            meaning(&field),
        ]);
        inside(root, &field, &at, depth, rows);
    }
}

/// The fields of what a field holds: an object, a list of objects, or any number of objects by their names.
fn inside(root: &Value, field: &Value, at: &str, depth: usize, rows: &mut Vec<Row>) {
    let Some(object) = field.as_object() else {
        return;
    };
    let depth = depth - 1;
    below(root, object, at, depth, rows);
    for (key, mark) in [("items", "[]"), ("additionalProperties", ".NAME")] {
        if let Some(part) = object.get(key).filter(|part| part.is_object() && depth > 0) {
            let at = format!("{at}{mark}");
            inside(root, &resolved(root, part), &at, depth, rows);
        }
    }
}

/// A schema with the one that it refers to, whose keys come after its own.
pub fn resolved(root: &Value, schema: &Value) -> Value {
    let Some(pointer) = schema.get("$ref").and_then(Value::as_str) else {
        return schema.clone();
    };
    let target = pointer.strip_prefix('#').and_then(|p| root.pointer(p));
    let (Some(own), Some(Value::Object(target))) = (schema.as_object(), target) else {
        return schema.clone();
    };
    let mut merged = own.clone();
    merged.shift_remove("$ref");
    for (key, value) in target {
        merged.entry(key.clone()).or_insert_with(|| value.clone());
    }
    Value::Object(merged)
}

/// The type of values that fit a schema.
pub fn type_words(root: &Value, schema: &Value) -> String {
    words_of(root, schema, DEPTH)
}

fn words_of(root: &Value, schema: &Value, depth: usize) -> String {
    if depth == 0 {
        return "any".to_owned();
    }
    if let Some(only) = schema.get("const") {
        return code(&only.to_string());
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return listed(values);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(options) = schema.get(key).and_then(Value::as_array) {
            return choices(root, options, depth);
        }
    }
    match schema.get("type") {
        Some(Value::String(name)) => one_type(root, name, schema, depth),
        Some(Value::Array(names)) => {
            let words: Vec<String> = names
                .iter()
                .filter_map(Value::as_str)
                .map(|name| one_type(root, name, schema, depth))
                .collect();
            words.join(" or ")
        }
        _ if schema.get("properties").is_some() => "object".to_owned(),
        _ => "any".to_owned(),
    }
}

fn choices(root: &Value, options: &[Value], depth: usize) -> String {
    let constants: Option<Vec<Value>> = options.iter().map(|o| o.get("const").cloned()).collect();
    if let Some(constants) = constants {
        return listed(&constants);
    }
    let mut words: Vec<String> = options
        .iter()
        .map(|option| words_of(root, &resolved(root, option), depth - 1))
        .collect();
    words.dedup();
    words.join(" or ")
}

fn listed(values: &[Value]) -> String {
    let words = values.iter().take(VALUES).map(value_code);
    let more = if values.len() > VALUES { ", …" } else { "" };
    format!("{}{more}", words.collect::<Vec<_>>().join(", "))
}

/// A value as people write it in YAML.
pub fn value_code(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => code(text),
        other => code(&other.to_string()),
    }
}

fn one_type(root: &Value, name: &str, schema: &Value, depth: usize) -> String {
    let (word, key) = match name {
        "array" => ("list", "items"),
        "object" if schema.get("properties").is_none() => ("object", "additionalProperties"),
        other => return other.to_owned(),
    };
    let inner = schema.get(key).filter(|inner| inner.is_object());
    match inner.map(|inner| words_of(root, &resolved(root, inner), depth - 1)) {
        Some(inner) if inner != "any" => format!("{word} of {inner}"),
        _ => word.to_owned(),
    }
}

/// What a schema says of its values besides their type.
pub fn meaning(schema: &Value) -> String {
    let mut parts = Vec::new();
    let told = schema.get("description").and_then(Value::as_str);
    parts.extend(told.map(sentence).filter(|text| !text.is_empty()));
    parts.extend(choice_words(schema));
    parts.extend(bounds(schema));
    if let Some(default) = schema.get("default").filter(|value| !is_empty(value)) {
        parts.push(format!("Default: {}.", value_code(default)));
    }
    parts.join(" ")
}

/// That nothing is there is what nobody expects otherwise.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        // A mapping of sections that are all empty is empty too.
        Value::Object(fields) => fields.values().all(is_empty),
        _ => false,
    }
}

/// What each of several words means, where that is said.
fn choice_words(schema: &Value) -> Option<String> {
    let options = schema.get("oneOf")?.as_array()?;
    let words: Option<Vec<String>> = options
        .iter()
        .map(|option| {
            let text = option.get("description")?.as_str()?.trim_end_matches('.');
            let value = value_code(option.get("const")?);
            Some(format!("{value}: {}", plain(&lowered(text))))
        })
        .collect();
    Some(format!("{}.", words?.join("; ")))
}

/// A sentence that goes on after a colon begins in lower case, unless it begins with a name.
pub fn lowered(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            format!("{}{}", first.to_lowercase(), &text[first.len_utf8()..])
        }
        _ => text.to_owned(),
    }
}

fn bounds(schema: &Value) -> Vec<String> {
    let number = |key: &str| schema.get(key).filter(|v| v.is_number()).map(grouped);
    let span = |least: &str, most: &str, what: &str| {
        let plural = |n: &str| match (what, n) {
            ("", _) => String::new(),
            (what, "1") => format!(" {what}"),
            (what, _) => format!(" {what}s"),
        };
        match (number(least), number(most)) {
            (Some(from), Some(to)) if from == to => Some(format!("Exactly {from}{}.", plural(&to))),
            (Some(from), Some(to)) => Some(format!("{from} to {to}{}.", plural(&to))),
            (Some(from), None) if from != "0" || what.is_empty() => {
                Some(format!("At least {from}{}.", plural(&from)))
            }
            (None, Some(to)) => Some(format!("At most {to}{}.", plural(&to))),
            _ => None,
        }
    };
    let mut parts: Vec<String> = [
        span("minimum", "maximum", ""),
        span("minLength", "maxLength", "character"),
        span("minItems", "maxItems", "element"),
        number("exclusiveMinimum").map(|n| format!("More than {n}.")),
        number("exclusiveMaximum").map(|n| format!("Less than {n}.")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let pattern = schema.get("pattern").and_then(Value::as_str);
    if let Some(pattern) = pattern.filter(|p| p.chars().count() <= PATTERN) {
        parts.push(format!("Fits {}.", code(pattern)));
    }
    if let Some(format) = schema.get("format").and_then(Value::as_str)
        && !matches!(
            format,
            "uint" | "uint8" | "uint16" | "uint32" | "uint64" | "int32" | "int64" | "double"
        )
    {
        parts.push(format!("Format: {}.", code(format)));
    }
    parts
}

/// A number with its thousands apart.
fn grouped(number: &Value) -> String {
    let text = number.to_string();
    let digits = text.trim_start_matches('-');
    if digits.len() < 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return text;
    }
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    format!("{sign}{out}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_told_with_those_below_them() {
        let schema = json!({
            "type": "object", "required": ["to"],
            "properties": {
                "to": {"type": "string", "minLength": 1, "description": "Who"},
                "many": {"type": "array", "maxItems": 3, "items": {"type": "object", "properties": {"n": {"type": ["integer", "null"], "default": 5, "maximum": 1_000_000}}}},
                "kind": {"enum": ["a", "b|c"]},
                "by": {"$ref": "#/$defs/x"},
            },
            "$defs": {"x": {"anyOf": [{"type": "string"}, {"const": 1}]}},
        });
        assert_eq!(
            fields(schema.as_object().unwrap()),
            [
                ["**`to`**", "string", "Who. At least 1 character."],
                ["`many`", "list of object", "At most 3 elements."],
                [
                    "`many[].n`",
                    "integer or null",
                    "At most 1,000,000. Default: `5`."
                ],
                ["`kind`", "`a`, `b|c`", ""],
                ["`by`", "string or `1`", ""],
            ]
            .map(|row| row.map(str::to_owned))
        );
    }

    #[test]
    fn a_schema_that_leads_to_itself_ends() {
        let schema = json!({
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/node"}},
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        });
        assert_eq!(fields(schema.as_object().unwrap()).len(), DEPTH);
        let list = json!({"properties": {"a": {"$ref": "#/$defs/l"}}, "$defs": {"l": {"type": "array", "items": {"$ref": "#/$defs/l"}}}});
        assert_eq!(fields(list.as_object().unwrap()).len(), 1);
    }
}
