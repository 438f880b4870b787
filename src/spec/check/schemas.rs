//! JSON Schemas inside a spec.

use serde_json::{Value, json};

use super::{Findings, check_tree};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::schema;
use crate::spec::shape::Scope;
use crate::spec::suggest;
use crate::spec::tree::Tree;

/// Checks a schema inside a spec. Keys that are expressions are only known when a gateway starts: their names are
/// checked here, and the rest of the schema without them. Answers with that rest.
pub(super) fn check_schema(
    doc: &Doc,
    pointer: &str,
    tree: Option<&Tree>,
    base: &Scope,
    report: &mut Findings,
) -> Value {
    let Some(tree) = tree else {
        return json!({"type": "object", "properties": {}});
    };
    check_tree(doc, pointer, tree, base, report);
    if let Tree::Expr(_) = tree {
        // All of it is only known then.
        return Value::Null;
    }
    let value = without_expressions(tree).unwrap_or(Value::Null);
    if value.get("type").and_then(Value::as_str) != Some("object") {
        report.push(
            Diagnostic::error(
                Code::BadSchema,
                &doc.source,
                doc.key_range(pointer),
                "the schema of a tool is of `type: object`",
            )
            .help("write `type: object` and the arguments under `properties`"),
        );
    }
    // Keywords that JSON Schema does not know are ignored by it, so a misspelt one would do nothing.
    unknown_keywords(doc, pointer, &value, report);
    check_valid(doc, pointer, &value, report);
    check_arguments(doc, pointer, &value, report);
    value
}

/// What is valid JSON Schema and still makes every call fail: a required argument that is not declared (others are
/// refused), and a default that does not fit.
pub(super) fn check_arguments(doc: &Doc, pointer: &str, schema: &Value, report: &mut Findings) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let names: Vec<&str> = properties
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let open = schema
        .get("additionalProperties")
        .is_some_and(|more| *more != Value::Bool(false));
    let required = schema.get("required").and_then(Value::as_array);
    for (index, name) in required.into_iter().flatten().enumerate() {
        let Some(name) = name.as_str() else { continue };
        if !open && !names.contains(&name) {
            let range = doc.value_range(&format!("{pointer}/required/{index}"));
            let message = format!("`{name}` is required, and is not among the `properties`");
            report.push(
                Diagnostic::error(Code::BadSchema, &doc.source, range, message)
                    .help(suggest::help(name, names.iter().copied())),
            );
        }
    }
    for (name, property) in properties.into_iter().flatten() {
        let (Some(default), Ok(validator)) = (property.get("default"), schema::compile(property))
        else {
            continue;
        };
        if !validator.is_valid(default) {
            let at = join(&join(&join(pointer, "properties"), name), "default");
            let message = format!("the default of `{name}` does not fit its own schema");
            report.push(
                Diagnostic::error(Code::BadSchema, &doc.source, doc.value_range(&at), message)
                    .help("write a default that the property's `type`, `enum` and bounds take"),
            );
        }
    }
}

/// A schema that values are checked against by its name: it is one, and has no misspelt keywords.
pub(crate) fn check_named(doc: &Doc, pointer: &str, schema: &Value, report: &mut Findings) {
    unknown_keywords(doc, pointer, schema, report);
    check_valid(doc, pointer, schema, report);
}

/// A schema must be one.
pub(crate) fn check_valid(doc: &Doc, pointer: &str, schema: &Value, report: &mut Findings) {
    for (place, problem) in schema::problems(schema) {
        report.push(
            Diagnostic::error(
                Code::BadSchema,
                &doc.source,
                doc.value_range(&format!("{pointer}{place}")),
                format!("not a valid JSON Schema: {problem}"),
            )
            .help("JSON Schema 2020-12; `$ref` only inside the same schema"),
        );
    }
}

/// Keywords of JSON Schema 2020-12 that a schema inside a spec may use.
const KEYWORDS: &[&str] = &[
    "$schema",
    "$id",
    "$ref",
    "$defs",
    "$anchor",
    "$comment",
    "$dynamicRef",
    "$dynamicAnchor",
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "dependentSchemas",
    "items",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "definitions",
];

fn unknown_keywords(doc: &Doc, pointer: &str, schema: &Value, report: &mut Findings) {
    let Some(object) = schema.as_object() else {
        return;
    };
    for (key, value) in object {
        let at = join(pointer, key);
        match key.as_str() {
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    unknown_keywords(doc, &join(&at, name), inner, report);
                }
            }
            "items"
            | "additionalProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames" => unknown_keywords(doc, &at, value, report),
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
                    unknown_keywords(doc, &join(&at, &index.to_string()), inner, report);
                }
            }
            known if KEYWORDS.contains(&known) || known.starts_with("x-") => {}
            unknown => {
                let meant = suggest::only(unknown, KEYWORDS.iter().copied())
                    .filter(|meant| !object.contains_key(*meant));
                let fix = meant.and_then(|meant| doc.renamed_key(pointer, unknown, meant));
                report.push(
                    Diagnostic::error(
                        Code::BadSchema,
                        &doc.source,
                        doc.key_range(&at),
                        format!("JSON Schema has no keyword `{unknown}`"),
                    )
                    .help(suggest::help(unknown, KEYWORDS.iter().copied()))
                    .fix(fix),
                );
            }
        }
    }
}

/// The tree as JSON, without the keys whose values are expressions.
pub(super) fn without_expressions(tree: &Tree) -> Option<Value> {
    match tree {
        Tree::Literal(json) => Some(json.to_value()),
        Tree::Expr(_) => None,
        // A text keeps being a text whatever it renders to.
        Tree::Template(text) => Some(Value::String(text.to_string())),
        Tree::List(items) => Some(items.iter().filter_map(without_expressions).collect()),
        Tree::Map(map) => Some(Value::Object(
            map.iter()
                .filter_map(|(k, v)| Some((k.to_owned(), without_expressions(v)?)))
                .collect(),
        )),
    }
}

/// An input schema that does not say otherwise takes no arguments but its own: a misspelt one must not be dropped
/// in silence.
pub(crate) fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        object
            .entry("additionalProperties")
            .or_insert(Value::Bool(false));
        object.entry("properties").or_insert_with(|| json!({}));
    }
}
