//! What is checked of questions to a client.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Findings;
use super::schemas::{check_arguments, check_valid, without_expressions};
use super::step::{StepCheck, check_new_name};
use super::tool::StepDraft;
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::shape::Shape;
use crate::spec::tree::Tree;
use crate::spec::verbs::ask::{Ask, Form, MOST_QUESTIONS, MOST_TOKENS, Prefer, Question, Sample};
use crate::spec::verbs::{Step, Verb};

/// What clients show as a field of a form.
const FIELDS: &str = "a field is a `string`, `number`, `integer` or `boolean`, a choice (`enum`, or `oneOf` with `const` and \
                      `title`), or an `array` of choices";

/// Checks a step that asks; answers with the shape of the answers.
pub(in crate::spec) fn check(ask: &Ask, cx: &mut StepCheck<'_>) -> Shape {
    if cx.names().get("client").is_none() {
        let message = "`ask` has no client to ask here";
        cx.needs(
            message,
            "ask in the steps of a tool, a prompt or a resource",
        );
    }
    if ask.questions.is_empty() {
        let help = "write `{name: {form: {message: …, schema: …}}}`";
        cx.problem(
            Code::Schema,
            "questions",
            "nothing is asked".to_owned(),
            help,
        );
    }
    if ask.questions.0.len() > MOST_QUESTIONS {
        let message = format!("{} questions are asked at once", ask.questions.0.len());
        let help = format!("ask {MOST_QUESTIONS} at the most: a form may have many fields");
        cx.problem(Code::Schema, "questions", message, &help);
    }
    let mut questions = cx.inside("questions");
    let shapes: Vec<(&str, Shape)> = ask
        .questions
        .iter()
        .map(|(name, question)| {
            let (doc, at) = (questions.doc, questions.at(name));
            check_new_name(doc, &at, name, questions.report);
            (name, check_question(question, &mut questions.inside(name)))
        })
        .collect();
    Shape::object(shapes)
}

fn check_question(question: &Question, cx: &mut StepCheck<'_>) -> Shape {
    if let Some(when) = &question.when {
        cx.condition("when", when);
    }
    let mut shape = None;
    if let Some(form) = &question.form {
        shape = Some(check_form(form, &mut cx.inside("form")));
    }
    if let Some(page) = &question.url {
        let mut cx = cx.inside("url");
        cx.template("message", &page.message);
        cx.template("url", &page.url);
        shape = Some(Shape::object([("action", Shape::Text)]));
    }
    if let Some(sample) = &question.sample {
        check_sample(sample, &mut cx.inside("sample"));
        shape = Some(Shape::object([
            ("role", Shape::Text),
            ("text", Shape::Text),
            ("content", Shape::Any),
            ("model", Shape::Text),
            ("stop_reason", Shape::Text),
        ]));
    }
    if question.roots.is_some() {
        let root = Shape::object([("uri", Shape::Text), ("name", Shape::Text)]);
        shape = Some(Shape::object([("roots", root.list())]));
    }
    let kinds = [
        question.form.is_some(),
        question.url.is_some(),
        question.sample.is_some(),
        question.roots.is_some(),
    ];
    if kinds.into_iter().filter(|given| *given).count() != 1 {
        let message = "a question is exactly one of `form`, `url`, `sample` and `roots`";
        let help = "write `form: {message: …, schema: …}`, and ask other things by other names";
        cx.problem(Code::Schema, "", message.to_owned(), help);
        return Shape::Any;
    }
    let shape = shape.unwrap_or(Shape::Any);
    if question.when.is_some() || question.optional == Some(true) {
        shape.perhaps()
    } else {
        shape
    }
}

fn check_form(form: &Form, cx: &mut StepCheck<'_>) -> Shape {
    cx.template("message", &form.message);
    let at = cx.at("schema");
    cx.value("schema", &form.schema);
    let Some(schema) = without_expressions(&form.schema) else {
        // All of it is only known when it is asked.
        return Shape::object([("action", Shape::Text), ("content", Shape::Any)]);
    };
    check_valid(cx.doc, &at, &schema, cx.report);
    check_arguments(cx.doc, &at, &schema, cx.report);
    if let Some(schema) = schema.as_object() {
        if schema.get("type").and_then(Value::as_str) != Some("object") {
            let message = "the schema of a form is of `type: object`".to_owned();
            let help = "write `type: object` and the fields under `properties`";
            cx.problem(Code::BadSchema, "schema", message, help);
        }
        for key in schema
            .keys()
            .filter(|key| !FORM_KEYS.contains(&key.as_str()))
        {
            let message =
                format!("the schema of a form has no `{key}`: clients show a flat list of fields");
            let help = format!("a form has {}", FORM_KEYS.join(", "));
            cx.problem(Code::BadSchema, "schema", message, &help);
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            if let Some(problem) = field_problem(property) {
                let at = join(&join(&at, "properties"), name);
                let message = format!("`{name}` cannot be a field of a form: {problem}");
                cx.error(Code::BadSchema, &at, message, Some(FIELDS.to_owned()));
            }
        }
    }
    Shape::object([
        ("action", Shape::Text),
        ("content", Shape::from_schema(&schema)),
    ])
}

/// What the schema of a form may have.
const FORM_KEYS: &[&str] = &[
    "$schema",
    "type",
    "title",
    "description",
    "properties",
    "required",
    "additionalProperties",
];
/// What every field may have.
const COMMON: &[&str] = &["type", "title", "description", "default"];
/// The formats of a text that clients know.
const FORMATS: &[&str] = &["email", "uri", "date", "date-time"];

/// What is wrong with a field. What is an expression is not there yet.
fn field_problem(field: &Value) -> Option<String> {
    let field = field.as_object()?;
    let more: &[&str] = match field.get("type").and_then(Value::as_str) {
        Some("string") if field.contains_key("oneOf") => &["oneOf"],
        Some("string") if field.contains_key("enum") => &["enum", "enumNames"],
        Some("string") => &["minLength", "maxLength", "format"],
        Some("number" | "integer") => &["minimum", "maximum"],
        Some("boolean") => &[],
        Some("array") => &["items", "minItems", "maxItems"],
        Some(other) => return Some(format!("its type is `{other}`")),
        None => return Some("its `type` is not given".to_owned()),
    };
    let known = |key: &str| COMMON.contains(&key) || more.contains(&key);
    if let Some(key) = field.keys().find(|key| !known(key)) {
        return Some(format!("clients do not know `{key}` there"));
    }
    if let Some(format) = field.get("format").and_then(Value::as_str)
        && !FORMATS.contains(&format)
    {
        return Some(format!(
            "clients know the formats {}, not `{format}`",
            FORMATS.join(", ")
        ));
    }
    if let Some(problem) = choices_problem(field) {
        return Some(problem);
    }
    if field.get("type").and_then(Value::as_str) != Some("array") {
        return None;
    }
    let items = field.get("items").and_then(Value::as_object);
    match items {
        Some(items) if items.contains_key("enum") || items.contains_key("anyOf") => {
            choices_problem(items)
        }
        _ => Some(
            "its `items` must be choices: `{type: string, enum: […]}`, or `anyOf` with `const` and `title`"
                .to_owned(),
        ),
    }
}

/// What is wrong with the choices of a field.
fn choices_problem(field: &Map<String, Value>) -> Option<String> {
    let list = |key: &str| field.get(key).and_then(Value::as_array);
    if let Some(values) = list("enum") {
        if values.iter().any(|value| !value.is_string()) {
            return Some("choices are texts".to_owned());
        }
        let names = list("enumNames").map_or(values.len(), Vec::len);
        if names != values.len() {
            return Some("`enumNames` has a name for each of `enum`".to_owned());
        }
    }
    for key in ["oneOf", "anyOf"] {
        // What is an expression is not there yet.
        let text = |choice: &Value, part: &str| choice.get(part).is_none_or(Value::is_string);
        let whole = |choice: &Value| text(choice, "const") && text(choice, "title");
        if list(key).is_some_and(|choices| !choices.iter().all(whole)) {
            return Some(format!(
                "each of its `{key}` has a text `const` and a `title`"
            ));
        }
    }
    None
}

fn check_sample(sample: &Sample, cx: &mut StepCheck<'_>) {
    if sample.messages.is_empty() {
        let help = "write `[{role: user, text: …}]`";
        cx.problem(
            Code::Schema,
            "messages",
            "a model answers something".to_owned(),
            help,
        );
    }
    for (index, said) in sample.messages.iter().enumerate() {
        let mut messages = cx.inside("messages");
        messages
            .inside(&index.to_string())
            .template("text", &said.text);
    }
    if let Some(tokens) = &sample.max_tokens {
        cx.whole("max_tokens", tokens, 1..=MOST_TOKENS);
    }
    if let Some(system) = &sample.system {
        cx.template("system", system);
    }
    check_share("temperature", sample.temperature.as_ref(), cx);
    for (index, text) in sample.stop.iter().flat_map(|stop| stop.iter()).enumerate() {
        cx.inside("stop").template(&index.to_string(), text);
    }
    if let Some(prefer) = &sample.prefer {
        check_prefer(prefer, &mut cx.inside("prefer"));
    }
}

fn check_prefer(prefer: &Prefer, cx: &mut StepCheck<'_>) {
    for (index, hint) in prefer.hints.iter().flat_map(|h| h.iter()).enumerate() {
        cx.inside("hints").template(&index.to_string(), hint);
    }
    check_share("cost", prefer.cost.as_ref(), cx);
    check_share("speed", prefer.speed.as_ref(), cx);
    check_share("intelligence", prefer.intelligence.as_ref(), cx);
}

/// A number from 0 to 1.
fn check_share(key: &str, share: Option<&Tree>, cx: &mut StepCheck<'_>) {
    let Some(share) = share else { return };
    if let Tree::Literal(literal) = share {
        let number = literal.to_value().as_f64();
        if !number.is_some_and(|number| (0.0..=1.0).contains(&number)) {
            let message = format!("`{key}` must be a number from 0 to 1");
            cx.problem(Code::Schema, key, message, "write a number such as 0.5");
        }
    }
    cx.value(key, share);
}

/// Answers are found by the names of the questions, wherever the run goes on: each name stands once.
pub(super) fn names_apart(doc: &Doc, pointer: &str, steps: &[StepDraft], report: &mut Findings) {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        let Ok(Step {
            verb: Verb::Ask(ask),
            ..
        }) = step
        else {
            continue;
        };
        for name in ask.questions.keys() {
            let Some(first) = known.insert(name, index).filter(|first| *first != index) else {
                continue;
            };
            let at = format!("{pointer}/{index}/ask/questions");
            let message =
                format!("`{name}` is asked by the step {first} already (steps count from 0)");
            let range = doc.key_range(&join(&at, name));
            let diagnostic = Diagnostic::error(Code::Duplicate, &doc.source, range, message);
            report.push(diagnostic.help("give each question of the steps a name of its own"));
        }
    }
}

/// A run that ends with questions goes on at the step that asks, not within its rounds.
pub(super) fn not_in_rounds(doc: &Doc, pointer: &str, step: &Step, report: &mut Findings) {
    if matches!(step.verb, Verb::Ask(_)) {
        let range = doc.key_range(&join(pointer, "each"));
        let message = "`ask` puts all its questions at once, and cannot have `each`";
        let diagnostic = Diagnostic::error(Code::Verb, &doc.source, range, message);
        report.push(diagnostic.help("ask for all in one form, or with one question for each"));
    }
}
