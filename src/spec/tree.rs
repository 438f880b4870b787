//! Values with expressions in them.
//!
//! **A value that is exactly one `{{ … }}` keeps its type; anything else renders to a string.** This module decides
//! which of the two a string is, once, when a spec is read.

use std::borrow::Cow;

use minijinja::machinery::{ast, parse};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::data::{Json, List, Map, Text};

/// A JSON-shaped value whose strings may be templates.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// No expression anywhere in it.
    Literal(Json),
    /// Exactly one `{{ … }}`, kept as written: its value keeps its type.
    Expr(Text),
    /// A string with templates in it: renders to a string.
    Template(Text),
    /// A list with an expression somewhere in it.
    List(List<Tree>),
    /// A mapping with an expression somewhere in it.
    Map(Map<Tree>),
}

/// Whether a string has anything for the template engine in it.
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// The inside of a string that is exactly one `{{ … }}`.
pub fn sole_expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let Ok(ast::Stmt::Template(template)) = parse(text, "", Default::default()) else {
        return None;
    };
    let [ast::Stmt::EmitExpr(_)] = template.children.as_slice() else {
        return None;
    };
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    Some(inner.trim())
}

impl Tree {
    /// Sorts a string into literal, expression and template.
    pub fn from_text(text: Text) -> Self {
        if !is_template(&text) {
            Tree::Literal(Json::Str(text))
        } else if sole_expression(&text).is_some() {
            Tree::Expr(text)
        } else {
            Tree::Template(text)
        }
    }

    /// Whether the value is the same whatever the scope.
    pub fn is_literal(&self) -> bool {
        matches!(self, Tree::Literal(_))
    }
}

impl From<Json> for Tree {
    fn from(json: Json) -> Self {
        match json {
            Json::Str(text) => Tree::from_text(text),
            Json::List(items) => {
                let trees: Vec<Tree> = items.iter().cloned().map(Tree::from).collect();
                if trees.iter().all(Tree::is_literal) {
                    Tree::Literal(Json::List(items))
                } else {
                    Tree::List(trees.into())
                }
            }
            Json::Map(map) => {
                let trees: Vec<(Text, Tree)> = map
                    .0
                    .iter()
                    .cloned()
                    .map(|(k, v)| (k, Tree::from(v)))
                    .collect();
                if trees.iter().all(|(_, t)| t.is_literal()) {
                    Tree::Literal(Json::Map(map))
                } else {
                    Tree::Map(Map(Cow::Owned(trees)))
                }
            }
            scalar => Tree::Literal(scalar),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Json::deserialize(deserializer).map(Tree::from)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            return match self {
                Tree::Literal(json) => json.serialize(s),
                Tree::Expr(text) | Tree::Template(text) => s.serialize_str(text),
                Tree::List(items) => {
                    let mut seq = s.serialize_seq(Some(items.len()))?;
                    for item in items.iter() {
                        seq.serialize_element(item)?;
                    }
                    seq.end()
                }
                Tree::Map(map) => map.serialize(s),
            };
        }
        match self {
            Tree::Literal(json) => s.serialize_newtype_variant("Tree", 0, "literal", json),
            Tree::Expr(text) => s.serialize_newtype_variant("Tree", 1, "expr", text),
            Tree::Template(text) => s.serialize_newtype_variant("Tree", 2, "template", text),
            Tree::List(items) => s.serialize_newtype_variant("Tree", 3, "list", items),
            Tree::Map(map) => s.serialize_newtype_variant("Tree", 4, "map", map),
        }
    }
}

impl JsonSchema for Tree {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "Any value; its strings may hold `{{ expressions }}`. A string that is exactly one `{{ … }}` keeps the type of its value, anything else renders to a string. A key whose value is `omit` is left out."
        })
    }
}

macro_rules! text_kind {
    ($(#[$meta:meta])* $name:ident, $schema:tt) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $name(pub Text);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

text_kind! {
    /// An expression without braces, as in `when:` and `require:`.
    Expr, {
        "type": "string",
        "description": "An expression, without braces: `session.handle`, `args.limit > 10 and not found.value`."
    }
}
text_kind! {
    /// A text with templates in it.
    Template, {
        "type": "string",
        "description": "Text with `{{ expressions }}` and `{% statements %}` (Jinja)."
    }
}
text_kind! {
    /// A subject, stream name, bucket name or key: each placeholder in it is one token.
    Token, {
        "type": "string",
        "description": "A NATS name. Each `{{ placeholder }}` is one token: a value with `.`, `*`, `>`, blanks or control characters is refused, unless it goes through the filter `subject_tokens`."
    }
}

macro_rules! tree_kind {
    ($(#[$meta:meta])* $name:ident, $schema:tt) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $name(pub Tree);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

tree_kind! {
    /// A whole number, or an expression that yields one.
    Whole, {
        "anyOf": [{"type": "integer"}, {"type": "string", "pattern": "\\{\\{"}],
        "description": "A whole number, or one `{{ expression }}` that yields one."
    }
}
tree_kind! {
    /// A time span such as `500ms`, `24h`, `7d`, or an expression that yields one.
    Span, {
        "type": "string",
        "pattern": "^([0-9]+(ns|us|ms|s|m|h|d)|.*\\{\\{.*)$",
        "description": "A time span: digits and one of ns, us, ms, s, m, h, d. Or one `{{ expression }}` that yields one."
    }
}
tree_kind! {
    /// A number of seconds, a time span such as `500ms`, or an expression that yields one of them.
    Pause, {
        "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^([0-9]+(ns|us|ms|s|m|h|d)|.*\\{\\{.*)$"}],
        "description": "Seconds, perhaps with a fraction; or a time span: digits and one of ns, us, ms, s, m, h, d. Or one `{{ expression }}` that yields one of them."
    }
}

impl Pause {
    /// How long it is, where that is written out.
    pub fn written(&self) -> Option<std::time::Duration> {
        written_span(&self.0)
    }
}

tree_kind! {
    /// A size such as `512`, `64KiB`, `10MiB`, or an expression that yields one.
    Size, {
        "anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^([0-9]+ ?(B|KiB|MiB|GiB|KB|MB|GB)?|.*\\{\\{.*)$"}],
        "description": "A size in bytes: a number, or digits and one of B, KB, MB, GB, KiB, MiB, GiB. Or one `{{ expression }}` that yields one."
    }
}

tree_kind! {
    /// Yes or no, or an expression that tells.
    Flag, {
        "anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "\\{\\{"}],
        "description": "True or false, or one `{{ expression }}` that yields it."
    }
}

/// Several subjects: each written out, or all from one expression.
#[derive(Debug, Clone, PartialEq)]
pub enum SubjectList {
    /// Each a subject with placeholders, as everywhere.
    List(List<Token>),
    /// Exactly one `{{ … }}` that yields a list of whole subjects.
    Expr(Text),
}

impl<'de> Deserialize<'de> for SubjectList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            List(Vec<Token>),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::List(list) => Ok(Self::List(list.into())),
            Form::Text(text) if sole_expression(&text).is_some() => Ok(Self::Expr(text.into())),
            Form::Text(_) => Err(serde::de::Error::custom(
                "`subjects` must be a list, or one `{{ … }}` that yields a list",
            )),
        }
    }
}

impl Serialize for SubjectList {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match (self, s.is_human_readable()) {
            (Self::List(list), true) => list.serialize(s),
            (Self::Expr(text), true) => text.serialize(s),
            (Self::List(list), false) => {
                s.serialize_newtype_variant("SubjectList", 0, "list", list)
            }
            (Self::Expr(text), false) => {
                s.serialize_newtype_variant("SubjectList", 1, "expr", text)
            }
        }
    }
}

impl JsonSchema for SubjectList {
    fn schema_name() -> Cow<'static, str> {
        "SubjectList".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let token = generator.subschema_for::<Token>();
        schemars::json_schema!({
            "anyOf": [
                {"type": "array", "items": token, "minItems": 1, "maxItems": 16},
                {"type": "string", "pattern": "^\\{\\{.*\\}\\}$"}
            ],
            "description": "1 to 16 subjects, or one `{{ expression }}` that yields a list of them."
        })
    }
}

tree_kind! {
    /// The name of a declared queue, or an expression that yields one.
    QueueName, {
        "type": "string",
        "description": "A queue of this pack, or one `{{ expression }}` that yields its name: then every queue of the pack must take the same values."
    }
}

/// Reads a time span: digits and one of `ns us ms s m h d`.
pub fn parse_span(text: &str) -> Option<std::time::Duration> {
    use std::time::Duration;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let amount: u64 = text.get(..digits)?.parse().ok()?;
    match text.get(digits..)? {
        "ns" => Some(Duration::from_nanos(amount)),
        "us" => Some(Duration::from_micros(amount)),
        "ms" => Some(Duration::from_millis(amount)),
        "s" => Some(Duration::from_secs(amount)),
        "m" => amount.checked_mul(60).map(Duration::from_secs),
        "h" => amount.checked_mul(3_600).map(Duration::from_secs),
        "d" => amount.checked_mul(86_400).map(Duration::from_secs),
        _ => None,
    }
}

/// Reads a time from a number of seconds.
pub fn parse_seconds(seconds: f64) -> Option<std::time::Duration> {
    std::time::Duration::try_from_secs_f64(seconds).ok()
}

/// A time that is written out, as a time span or a number of seconds.
pub fn written_span(tree: &Tree) -> Option<std::time::Duration> {
    match tree {
        Tree::Literal(Json::Str(text)) => parse_span(text),
        Tree::Literal(json) => serde_json::to_value(json)
            .ok()?
            .as_f64()
            .and_then(parse_seconds),
        _ => None,
    }
}

/// Reads a size in bytes: digits and an optional unit (`KB` is 1,000, `KiB` is 1,024).
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let amount: u64 = text.get(..digits)?.parse().ok()?;
    let factor = match text.get(digits..)?.trim_start() {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    amount.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn tree(text: &str) -> Tree {
        Tree::from_text(text.to_owned().into())
    }

    #[test]
    fn one_expression_alone_keeps_its_type() {
        assert!(matches!(tree("{{ args.n }}"), Tree::Expr(_)));
        assert!(matches!(tree("{{ '}}' ~ args.n }}"), Tree::Expr(_)));
        for text in [
            " {{ a }}",
            "{{ a }}{{ b }}",
            "{{ a }} ",
            "{% if a %}x{% endif %}",
        ] {
            assert!(matches!(tree(text), Tree::Template(_)), "{text}");
        }
        assert!(tree("plain { braces }").is_literal());
        assert_eq!(sole_expression("{{- a.b -}}"), Some("a.b"));
    }

    #[test]
    fn literals_fold_and_expressions_keep_the_shape() {
        let json = serde_json::json!({"a": [1, "x"], "b": {"c": "{{ d }}"}});
        let Tree::Map(map) = Tree::from(Json::from(json.clone())) else {
            panic!("expected a mapping");
        };
        assert!(map.get("a").is_some_and(Tree::is_literal));
        assert!(matches!(map.get("b"), Some(Tree::Map(_))));
        let back = serde_json::to_value(Tree::Map(map)).unwrap_or_default();
        assert_eq!(back, json);
    }

    #[test]
    fn spans_and_sizes() {
        assert_eq!(parse_span("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(parse_span("100ms"), Some(Duration::from_millis(100)));
        for bad in ["", "h", "1 h", "1.5h", "1w", "99999999999999999999d"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
        assert_eq!(parse_size("64KiB"), Some(65_536));
        assert_eq!(parse_size("10 MB"), Some(10_000_000));
        assert_eq!(parse_size("12"), Some(12));
        assert_eq!(parse_size("1.5MB"), None);
    }
}
