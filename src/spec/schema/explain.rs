//! What a schema finds wrong, in words: what was expected, what came, what was probably meant.

use std::borrow::Cow;
use std::ops::Range;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use crate::spec::diag::{Code, Edit};
use crate::spec::doc::{Doc, join};
use crate::spec::suggest;

/// Whether a key is missing only because it is misspelt, which is told by itself.
pub(super) fn is_meant_elsewhere(error: &ValidationError<'_>, all: &[ValidationError<'_>]) -> bool {
    let ValidationErrorKind::Required { property } = error.kind() else {
        return false;
    };
    let Some(name) = property.as_str() else {
        return false;
    };
    all.iter().any(|other| match other.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
            if other.instance_path() == error.instance_path() =>
        {
            let mut keys = unexpected.iter();
            keys.any(|key| suggest::nearest(key, [name]).is_some())
        }
        _ => false,
    })
}

/// What to write instead, where the violation's own words do not say it.
pub(super) fn way_out(error: &ValidationError<'_>, schema: &Value) -> Option<String> {
    let instance = error.instance();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str()?;
            let declared = sibling(error, schema, "properties").and_then(|p| p.get(name));
            let what = declared.and_then(|d| d.get("description")?.as_str());
            let what = what.map_or_else(String::new, |text| format!(": {text}"));
            Some(format!("write `{name}: …`{what}"))
        }
        ValidationErrorKind::Type {
            kind: TypeKind::Single(jsonschema::JsonType::Boolean),
        } if !matches!(instance.as_str(), Some("yes" | "no" | "on" | "off")) => {
            Some("write `true` or `false`".into())
        }
        ValidationErrorKind::Type {
            kind: TypeKind::Single(jsonschema::JsonType::Array),
        } => Some(match instance.as_ref() {
            Value::String(text) if text.len() <= 40 => format!("write a list: `[{text}]`"),
            _ => "write a list: `[…]`, or each element on a line of its own, beginning with `- `"
                .into(),
        }),
        ValidationErrorKind::Type { .. } => {
            description(error, schema).or_else(|| Some("write a value of that type".into()))
        }
        ValidationErrorKind::Pattern { pattern } => pattern_words(pattern).map(str::to_owned),
        ValidationErrorKind::Minimum { limit } => Some(format!("write {limit} or more")),
        ValidationErrorKind::Maximum { limit } => Some(format!("write {limit} or less")),
        ValidationErrorKind::MinLength { .. } => {
            description(error, schema).or_else(|| Some("write something".into()))
        }
        ValidationErrorKind::Enum { options } if not_in(instance, options).help.is_none() => {
            Some("take one of them".into())
        }
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
            let constants = constants(error, schema)?;
            let near = not_in(instance, &constants).help;
            Some(near.unwrap_or_else(|| "take one of them".into()))
        }
        _ => None,
    }
}

/// What a pattern of the language's own schemas asks for.
fn pattern_words(pattern: &str) -> Option<&'static str> {
    [
        (
            "^[a-z0-9-]+$",
            "take lower-case letters, digits and `-` alone",
        ),
        (
            "^[a-z0-9][a-z0-9_-]*$",
            "take lower-case letters, digits, `_` and `-`, the first a letter or a digit",
        ),
        (
            "^[a-z_][a-z0-9_]*$",
            "take lower-case letters, digits and `_`, the first no digit",
        ),
        (
            "^[0-9]+(ms|s)$",
            "write digits and `ms` or `s`: `500ms`, `2s`",
        ),
        (
            "^[0-9]+(ns|us|ms|s|m|h|d)$",
            "write digits and one of ns, us, ms, s, m, h, d: `24h`",
        ),
    ]
    .into_iter()
    .find(|(known, _)| *known == pattern)
    .map(|(_, words)| words)
}

/// One violation of a schema, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Unknown key, or anything else.
    pub code: Code,
    /// The key that should not be there.
    pub key: Option<String>,
    /// The key that was meant without any doubt.
    pub meant: Option<String>,
    /// Whether the object itself is at fault, not a value in it (a missing key).
    pub on_parent: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Violation {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            code: Code::Schema,
            key: None,
            meant: None,
            on_parent: false,
            message: message.into(),
            help: None,
        }
    }

    fn help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Where it is, if this is what it is about.
    pub fn range(&self, doc: &Doc, pointer: &str) -> Range<usize> {
        match &self.key {
            Some(key) => doc.key_range(&join(pointer, key)),
            None if self.on_parent => doc.key_range(pointer),
            None => doc.value_range(pointer),
        }
    }

    /// What mends it in the file.
    pub(super) fn fix(&self, doc: &Doc, pointer: &str) -> Option<Edit> {
        doc.renamed_key(pointer, self.key.as_ref()?, self.meant.as_ref()?)
    }
}

/// The most unknown keys of one object that are told.
const MAX_UNKNOWN: usize = 50;

/// Puts a schema violation into words: what was expected, what came, what was probably meant.
pub fn explain(error: &ValidationError<'_>, schema: &Value) -> Vec<Violation> {
    let instance = error.instance();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let unexpected = unexpected.iter().take(MAX_UNKNOWN);
            let unknown = unexpected.map(|key| unknown_key(key, error, schema));
            without_rivals(unknown.collect())
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let mut violation = Violation::new(format!("`{name}` is missing"));
            violation.on_parent = true;
            vec![violation]
        }
        ValidationErrorKind::Type {
            kind: TypeKind::Single(jsonschema::JsonType::Boolean),
        } if matches!(instance.as_str(), Some("yes" | "no" | "on" | "off")) => vec![
            Violation::new(format!(
                "expected true or false, got {}",
                value_words(instance)
            ))
            .help(Some(
                "write `true` or `false`: to YAML 1.2 this is a text".into(),
            )),
        ],
        ValidationErrorKind::Type { kind } => vec![
            Violation::new(format!(
                "expected {}, got {}",
                type_words(kind),
                value_words(instance)
            ))
            .help(description(error, schema)),
        ],
        ValidationErrorKind::Enum { options } => vec![not_in(instance, options)],
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. }
            if constants(error, schema).is_some() =>
        {
            let constants = constants(error, schema).unwrap_or_default();
            vec![not_in(instance, &constants)]
        }
        ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => vec![
            Violation::new(format!("{} does not fit here", value_words(instance)))
                .help(description(error, schema)),
        ],
        ValidationErrorKind::Pattern { pattern } => vec![
            // A description says it better than a regular expression.
            match description(error, schema) {
                Some(help) => {
                    Violation::new(format!("{} does not fit here", value_words(instance)))
                        .help(Some(help))
                }
                None => Violation::new(format!(
                    "{} does not match the pattern {pattern}",
                    value_words(instance)
                )),
            },
        ],
        ValidationErrorKind::MinLength { limit: 1 } => {
            vec![Violation::new("it must not be empty")]
        }
        ValidationErrorKind::Minimum { limit } => vec![Violation::new(format!(
            "{} is less than the smallest allowed value, {limit}",
            value_words(instance)
        ))],
        ValidationErrorKind::Maximum { limit } => vec![Violation::new(format!(
            "{} is more than the largest allowed value, {limit}",
            value_words(instance)
        ))],
        _ => vec![Violation::new(
            error.masked_with(value_words(instance)).to_string(),
        )],
    }
}

fn unknown_key(key: &str, error: &ValidationError<'_>, schema: &Value) -> Violation {
    let shown: String = key.chars().take(100).collect();
    let known = sibling(error, schema, "properties")
        .and_then(Value::as_object)
        .map(|p| p.keys().map(String::as_str).collect::<Vec<_>>())
        .unwrap_or_default();
    let instance = error.instance();
    let meant = suggest::only(key, known.iter().copied())
        // Two keys of one name help nobody.
        .filter(|meant| instance.get(meant).is_none());
    Violation {
        code: Code::UnknownKey,
        key: Some(key.to_owned()),
        meant: meant.map(str::to_owned),
        on_parent: false,
        message: format!("unknown key `{shown}`"),
        help: Some(suggest::help(key, known)),
    }
}

/// Where two keys seem to mean the same one, neither does without doubt.
fn without_rivals(mut unknown: Vec<Violation>) -> Vec<Violation> {
    let meant: Vec<Option<String>> = unknown.iter().map(|v| v.meant.clone()).collect();
    for violation in &mut unknown {
        if meant.iter().filter(|m| **m == violation.meant).count() > 1 {
            violation.meant = None;
        }
    }
    unknown
}

pub(super) fn not_in(instance: &Value, options: &Value) -> Violation {
    let options: Vec<Cow<'_, str>> = options
        .as_array()
        .into_iter()
        .flatten()
        .map(|o| o.as_str().map_or_else(|| o.to_string().into(), Cow::from))
        .collect();
    let near = instance
        .as_str()
        .and_then(|text| suggest::nearest(text, options.iter().map(AsRef::as_ref)));
    let shown: Vec<&str> = options.iter().take(20).map(AsRef::as_ref).collect();
    let more = options.len().saturating_sub(shown.len());
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Violation::new(format!(
        "{} is not one of: {}{tail}",
        value_words(instance),
        shown.join(", ")
    ))
    .help(near.map(|name| format!("did you mean `{name}`?")))
}

/// The schema object that holds the failing keyword.
fn holder<'a>(error: &ValidationError<'_>, schema: &'a Value) -> Option<&'a Value> {
    let path = error.schema_path().as_str();
    schema.pointer(path.rsplit_once('/')?.0)
}

fn sibling<'a>(error: &ValidationError<'_>, schema: &'a Value, key: &str) -> Option<&'a Value> {
    holder(error, schema)?.get(key)
}

/// The words of a choice that is written as alternatives with descriptions: `oneOf: [{const: a}, {const: b}]`.
fn constants(error: &ValidationError<'_>, schema: &Value) -> Option<Value> {
    let choices = sibling(error, schema, error.kind().keyword())?.as_array()?;
    choices.iter().map(|c| c.get("const").cloned()).collect()
}

fn description(error: &ValidationError<'_>, schema: &Value) -> Option<String> {
    Some(sibling(error, schema, "description")?.as_str()?.to_owned())
}

fn type_words(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(t) => one_type(&t.to_string()),
        TypeKind::Multiple(types) => {
            let mut words: Vec<String> = types.iter().map(|t| one_type(&t.to_string())).collect();
            // What is wanted comes first, and that it may be left empty last.
            words.sort_by_key(|word| word == "null");
            words.join(" or ")
        }
    }
}

fn one_type(name: &str) -> String {
    match name {
        "array" => "a list".into(),
        "object" => "a mapping".into(),
        "integer" => "a whole number".into(),
        "null" => "null".into(),
        "boolean" => "true or false".into(),
        other => format!("a {other}"),
    }
}

/// A value as it is named in a message; long ones are cut.
pub fn value_words(value: &Value) -> String {
    let cut = |text: &str| {
        let short: String = text.chars().take(60).collect();
        if short.len() < text.len() {
            format!("{short}…")
        } else {
            short
        }
    };
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => format!("the number {n}"),
        Value::String(s) => format!("the string \"{}\"", cut(s)),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "a mapping".into(),
    }
}
