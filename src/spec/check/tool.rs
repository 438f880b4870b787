//! A tool as a whole: its schemas, its steps in order, its reply, its examples.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::step::{StepCheck, check_new_name};
use super::{Findings, Resources, check_file, check_text, check_tree};
use crate::spec::data::{Json, Map, Text};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::model::{Example, Reply, TextKind};
use crate::spec::schema;
use crate::spec::shape::{Scope, Shape};
use crate::spec::source::Source;
use crate::spec::suggest;
use crate::spec::tree::Tree;
use crate::spec::verbs::Step;

/// A tool whose parts may be broken one by one, so that the sound ones are still checked.
pub struct ToolDraft {
    /// Its name.
    pub name: String,
    /// The input schema.
    pub input: Option<Tree>,
    /// The output schema.
    pub output: Option<Tree>,
    /// The steps; a broken one is the name it would have bound, if any.
    pub steps: Vec<Result<Step, Option<String>>>,
    /// The reply, unless broken.
    pub reply: Option<Reply>,
    /// The examples, unless broken.
    pub examples: Vec<Example>,
}

/// What the tools of a pack are checked against.
pub struct Surroundings<'a> {
    /// `project` and `config`.
    pub base: &'a Scope,
    /// The session state.
    pub session: &'a Map<Json>,
    /// Streams, buckets.
    pub resources: &'a Resources,
    /// Template files.
    pub templates: &'a BTreeMap<String, Source>,
}

/// Checks a tool.
pub fn check_tool(doc: &Doc, tool: &ToolDraft, around: &Surroundings<'_>, report: &mut Findings) {
    let pointer = join("/tools", &tool.name);
    tool_name(doc, &pointer, &tool.name, report);
    let input = check_schema(
        doc,
        &join(&pointer, "input"),
        tool.input.as_ref(),
        around.base,
        report,
    );
    if let Some(output) = &tool.output {
        check_schema(
            doc,
            &join(&pointer, "output"),
            Some(output),
            around.base,
            report,
        );
    }
    let mut scope = around
        .base
        .clone()
        .with("args", Shape::from_schema(&input))
        .with("session", session_shape(around.session));
    for (index, step) in tool.steps.iter().enumerate() {
        let at = join(&join(&pointer, "steps"), &index.to_string());
        match step {
            Ok(step) => check_step(doc, &at, step, &mut scope, around, report),
            Err(bound) => {
                if let Some(name) = bound {
                    scope.bind(name, Shape::Any);
                }
            }
        }
    }
    if let Some(reply) = &tool.reply {
        check_reply(
            doc,
            &join(&pointer, "reply"),
            reply,
            tool.output.is_some(),
            &scope,
            around,
            report,
        );
    }
    check_examples(
        doc,
        &join(&pointer, "examples"),
        &tool.examples,
        &input,
        report,
    );
}

fn tool_name(doc: &Doc, pointer: &str, name: &str, report: &mut Findings) {
    let fits = !name.is_empty()
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !fits {
        report.push(
            Diagnostic::error(
                Code::Tool,
                &doc.source,
                doc.key_range(pointer),
                format!("`{name}` cannot be the name of a tool"),
            )
            .help("1 to 64 letters, digits, `_` and `-`: clients take no others"),
        );
    }
}

/// What the session remembers, all of it absent at first unless it has a default.
fn session_shape(session: &Map<Json>) -> Shape {
    let mut properties: serde_json::Map<String, Value> = session
        .iter()
        .map(|(name, schema)| (name.to_owned(), schema.to_value()))
        .collect();
    properties.insert("id".into(), json!({"type": "string", "default": ""}));
    Shape::from_schema(&json!({"type": "object", "properties": properties}))
}

/// Checks a schema inside a spec. Keys that are expressions are only known when a gateway starts: their names are
/// checked here, and the rest of the schema without them. Answers with that rest.
fn check_schema(
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
    if let Err(error) = schema::compile(&value) {
        let at = format!("{pointer}{}", error.instance_path().as_str());
        report.push(
            Diagnostic::error(
                Code::BadSchema,
                &doc.source,
                doc.value_range(&at),
                format!("this is not a valid JSON Schema: {error}"),
            )
            .help("JSON Schema 2020-12; `$ref` only inside the same schema"),
        );
    }
    value
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
            unknown => report.push(
                Diagnostic::error(
                    Code::BadSchema,
                    &doc.source,
                    doc.key_range(&at),
                    format!("JSON Schema has no keyword `{unknown}`"),
                )
                .help(suggest::help(unknown, KEYWORDS.iter().copied())),
            ),
        }
    }
}

/// The tree as JSON, without the keys whose values are expressions.
fn without_expressions(tree: &Tree) -> Option<Value> {
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

fn check_step(
    doc: &Doc,
    pointer: &str,
    step: &Step,
    scope: &mut Scope,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    let mut inner = scope.clone();
    if let Some(each) = &step.each {
        let list = check_text(
            doc,
            &join(pointer, "each"),
            &each.0,
            TextKind::Expr,
            &inner,
            report,
        );
        inner.bind("item", list.element());
    }
    if let Some(when) = &step.when {
        check_text(
            doc,
            &join(pointer, "when"),
            &when.0,
            TextKind::Condition,
            &inner,
            report,
        );
        inner.guard(expr::paths(&when.0));
    }
    let mut cx = StepCheck {
        doc,
        pointer: join(pointer, step.verb.name()),
        scope: &inner,
        resources: around.resources,
        report,
    };
    let grammar = step.verb.grammar();
    let shape = grammar.check(&mut cx);
    let binds = grammar.binds(&mut cx);
    if let Some(otherwise) = &step.otherwise {
        let error = Shape::object([("kind", Shape::Text), ("message", Shape::Text)]);
        let scope = inner.clone().with("error", error);
        check_text(
            doc,
            &join(pointer, "else"),
            &otherwise.0,
            TextKind::Text,
            &scope,
            report,
        );
    }
    let shape = rounds(doc, pointer, step, &inner, shape, report);
    for (name, shape) in binds {
        scope.bind(&name, shape);
    }
    if step.when.is_none() && step.each.is_none() {
        scope.guard(grammar.proves());
    }
    if let Some(name) = &step.bind {
        check_new_name(doc, &join(pointer, "as"), name, report);
        scope.bind(name, shape);
    }
}

/// What a step with `each` yields, and whether `select` has its place.
fn rounds(
    doc: &Doc,
    pointer: &str,
    step: &Step,
    inner: &Scope,
    result: Shape,
    report: &mut Findings,
) -> Shape {
    match (&step.each, &step.select) {
        (None, None) => result,
        (None, Some(_)) => {
            report.push(
                Diagnostic::error(
                    Code::Verb,
                    &doc.source,
                    doc.key_range(&join(pointer, "select")),
                    "`select` says what to keep of each round, and this step has no `each`",
                )
                .help("give names to values with `let`"),
            );
            result
        }
        (Some(_), None) => Shape::object([
            ("item", inner.get("item").cloned().unwrap_or(Shape::Any)),
            ("result", result),
        ])
        .list(),
        (Some(_), Some(select)) => {
            let scope = inner.clone().with("result", result);
            check_tree(doc, &join(pointer, "select"), select, &scope, report).list()
        }
    }
}

fn check_reply(
    doc: &Doc,
    pointer: &str,
    reply: &Reply,
    has_output: bool,
    scope: &Scope,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    let problem = match (&reply.text, &reply.template, &reply.structured) {
        (None, None, None) => Some("a reply needs a `text`, a `template` or `structured`"),
        (Some(_), Some(_), _) => Some("`text` and `template` exclude each other"),
        (_, _, Some(_)) if !has_output => {
            Some("`structured` needs an `output` schema that describes it")
        }
        (_, _, None) if has_output => {
            Some("`output` is declared, but the reply has no `structured`")
        }
        _ => None,
    };
    if let Some(problem) = problem {
        report.push(Diagnostic::error(
            Code::Tool,
            &doc.source,
            doc.key_range(pointer),
            problem,
        ));
    }
    if let Some(text) = &reply.text {
        check_text(
            doc,
            &join(pointer, "text"),
            &text.0,
            TextKind::Text,
            scope,
            report,
        );
    }
    if let Some(tree) = &reply.structured {
        check_tree(doc, &join(pointer, "structured"), tree, scope, report);
    }
    if let Some(name) = &reply.template {
        template_file(doc, &join(pointer, "template"), name, scope, around, report);
    }
}

fn template_file(
    doc: &Doc,
    pointer: &str,
    name: &Text,
    scope: &Scope,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    match around.templates.get(name.as_ref()) {
        Some(source) => check_file(source, scope, report),
        None => report.push(
            Diagnostic::error(
                Code::UnknownResource,
                &doc.source,
                doc.value_range(pointer),
                format!("there is no template file `{name}`"),
            )
            .help(suggest::help(
                name,
                around.templates.keys().map(String::as_str),
            )),
        ),
    }
}

fn check_examples(
    doc: &Doc,
    pointer: &str,
    examples: &[Example],
    input: &Value,
    report: &mut Findings,
) {
    let mut closed = input.clone();
    close(&mut closed);
    let Ok(validator) = schema::compile(&closed) else {
        return;
    };
    for (index, example) in examples.iter().enumerate() {
        // An example of a failure may well pass arguments that do not fit.
        if example.expect.error == Some(true) {
            continue;
        }
        let at = join(&join(pointer, &index.to_string()), "call");
        schema::check_doc(
            doc,
            &at,
            &example.call.to_value(),
            &closed,
            &validator,
            &mut report.report,
        );
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
