//! A tool as a whole: its schemas, its steps in order, its reply, its examples.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ask;
use super::content::BlockCheck;
use super::examples::check_examples;
use super::face::{Shown, check_face};
use super::headers::check_headers;
use super::schemas::check_schema;
use super::step::{StepCheck, check_new_name};
use super::{Findings, Resources, check_file, check_text, check_tree, gateway_shape};
use crate::spec::data::{Json, List, Map, Text};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::model::{Example, Face, IconDecl, Reply, TextKind};
use crate::spec::shape::{Scope, Shape};
use crate::spec::source::Source;
use crate::spec::suggest;
use crate::spec::tree::{Expr, Template, Tree};
use crate::spec::verbs::Step;

/// A step; a broken one is the name it would have bound, if any.
pub type StepDraft = Result<Step, Option<String>>;

/// A tool whose parts may be broken one by one, so that the sound ones are still checked.
pub struct ToolDraft {
    /// Its name; empty where it gets one when the gateway starts.
    pub name: String,
    /// The name people read.
    pub title: Option<Template>,
    /// What a model reads.
    pub description: Option<Template>,
    /// What clients are told beside that.
    pub meta: Option<Tree>,
    /// Small pictures.
    pub icons: Option<List<IconDecl>>,
    /// Whether it is there.
    pub when: Option<Expr>,
    /// The input schema.
    pub input: Option<Tree>,
    /// The output schema.
    pub output: Option<Tree>,
    /// The steps.
    pub steps: Vec<StepDraft>,
    /// The reply, unless broken.
    pub reply: Option<Reply>,
    /// How failures are worded.
    pub failure: Option<Template>,
    /// The examples; none in the place of a broken one.
    pub examples: Vec<Option<Example>>,
}

/// What the tools of a pack are checked against.
pub struct Surroundings<'a> {
    /// `project`, `config` and `tools`.
    pub base: &'a Scope,
    /// The session state.
    pub session: &'a Map<Json>,
    /// Streams, buckets.
    pub resources: &'a Resources,
    /// Template files.
    pub templates: &'a BTreeMap<String, Source>,
    /// Files that blocks may show.
    pub files: &'a Shown,
}

/// Checks a tool that is declared.
pub fn check_tool(doc: &Doc, tool: &ToolDraft, around: &Surroundings<'_>, report: &mut Findings) {
    let pointer = join("/tools", &tool.name);
    tool_name(doc, &pointer, &tool.name, report);
    check_form(doc, &pointer, tool, around, report);
}

/// Checks all of a tool but its name.
pub(super) fn check_form(
    doc: &Doc,
    pointer: &str,
    tool: &ToolDraft,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    for (key, text) in [("title", &tool.title), ("description", &tool.description)] {
        if let Some(text) = text {
            let at = join(pointer, key);
            check_text(doc, &at, &text.0, TextKind::Text, around.base, report);
        }
    }
    if let Some(when) = &tool.when {
        let (at, kind) = (join(pointer, "when"), TextKind::Condition);
        check_text(doc, &at, &when.0, kind, around.base, report);
    }
    let face = Face::of(tool.meta.as_ref(), tool.icons.as_ref());
    check_face(doc, pointer, &face, (around.base, around.files), report);
    let mut output = None;
    let input = check_schema(
        doc,
        &join(pointer, "input"),
        tool.input.as_ref(),
        around.base,
        report,
    );
    check_headers(doc, &join(pointer, "input"), &input, report);
    if let Some(tree) = &tool.output {
        let at = join(pointer, "output");
        output = Some(check_schema(doc, &at, Some(tree), around.base, report));
    }
    let mut scope = around
        .base
        .clone()
        .with("args", Shape::from_schema(&input))
        .with("call", call_shape())
        .with("client", client_shape())
        .with("session", session_shape(around.session))
        .with("gateway", gateway_shape());
    let before = scope.clone();
    let steps = join(pointer, "steps");
    check_steps(doc, &steps, &tool.steps, &mut scope, around, report);
    if let Some(failure) = &tool.failure {
        let at = join(pointer, "failure");
        let scope = failed_scope(before, &scope);
        check_text(doc, &at, &failure.0, TextKind::Text, &scope, report);
    }
    if let Some(reply) = &tool.reply {
        check_reply(
            doc,
            &join(pointer, "reply"),
            reply,
            output.as_ref(),
            &scope,
            around,
            report,
        );
    }
    check_examples(doc, pointer, tool, &input, around, report);
}

/// What is known of the running call.
pub(super) fn call_shape() -> Shape {
    Shape::object([("ms", Shape::Number), ("id", Shape::Text)])
}

/// What is known of the client of a call. Where this name is, there is a client that can be asked.
pub(super) fn client_shape() -> Shape {
    Shape::object([
        ("name", Shape::Text),
        ("version", Shape::Text),
        ("protocol", Shape::Text),
        ("capabilities", Shape::Any),
    ])
}

/// What `else` and `failure` call `error`.
fn error_shape() -> Shape {
    Shape::object([("kind", Shape::Text), ("message", Shape::Text)])
}

/// The names after a failure: those that steps bind may be null, and nothing is proved.
fn failed_scope(before: Scope, after: &Scope) -> Scope {
    let bound: Vec<&str> = after.names().skip(before.mark()).collect();
    let mut scope = before;
    for name in bound {
        if let Some(shape) = after.get(name) {
            scope.bind(name, shape.clone().perhaps());
        }
    }
    scope.with("error", error_shape())
}

/// What the name of a tool is made of.
pub const TOOL_NAME: &str = "1 to 64 letters, digits, `_`, `-` and `.`: clients take no others";

/// Whether a tool can have this name.
pub fn is_tool_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !name.is_empty() && name.len() <= 64 && name.chars().all(fits)
}

pub(super) fn tool_name(doc: &Doc, pointer: &str, name: &str, report: &mut Findings) {
    if !is_tool_name(name) {
        report.push(
            Diagnostic::error(
                Code::Tool,
                &doc.source,
                doc.key_range(pointer),
                format!("`{name}` cannot be the name of a tool"),
            )
            .help(TOOL_NAME),
        );
    }
}

/// What the session remembers, all of it absent at first unless it has a default.
pub(super) fn session_shape(session: &Map<Json>) -> Shape {
    let mut properties: serde_json::Map<String, Value> = session
        .iter()
        .map(|(name, schema)| (name.to_owned(), schema.to_value()))
        .collect();
    // These are always there; a pack cannot declare them.
    for name in ["id", "principal"] {
        properties.insert(name.into(), json!({"type": "string", "default": ""}));
    }
    properties.insert("claims".into(), json!({"default": {}}));
    Shape::from_schema(&json!({"type": "object", "properties": properties}))
}

/// Checks a list of steps in order; each adds what it binds to the scope.
pub(super) fn check_steps(
    doc: &Doc,
    pointer: &str,
    steps: &[StepDraft],
    scope: &mut Scope,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    ask::names_apart(doc, pointer, steps, report);
    for (index, step) in steps.iter().enumerate() {
        let at = join(pointer, &index.to_string());
        match step {
            Ok(step) => check_step(doc, &at, step, scope, around, report),
            Err(Some(name)) => scope.bind(name, Shape::Any),
            Err(None) => {}
        }
    }
}

/// The names that the verb of a step sees: with `each` also `item`, and what `when` proves.
fn within(doc: &Doc, pointer: &str, step: &Step, scope: &Scope, report: &mut Findings) -> Scope {
    let mut inner = scope.clone();
    if let Some(each) = &step.each {
        ask::not_in_rounds(doc, pointer, step, report);
        let (at, kind) = (join(pointer, "each"), TextKind::Expr);
        let list = check_text(doc, &at, &each.0, kind, &inner, report);
        inner.bind("item", list.element());
    }
    if let Some(when) = &step.when {
        let (at, kind) = (join(pointer, "when"), TextKind::Condition);
        check_text(doc, &at, &when.0, kind, &inner, report);
        inner.guard(expr::paths(&when.0));
    }
    inner
}

fn check_step(
    doc: &Doc,
    pointer: &str,
    step: &Step,
    scope: &mut Scope,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    let inner = within(doc, pointer, step, scope, report);
    let mut cx = StepCheck {
        doc,
        pointer: join(pointer, step.verb.name()),
        scope: &inner,
        resources: around.resources,
        report,
    };
    let grammar = step.verb.grammar();
    let mut shape = grammar.check(&mut cx);
    if step.continue_on_error {
        // The result, or what went wrong.
        shape = Shape::Any;
    }
    let binds = grammar.binds(&mut cx);
    if let Some(otherwise) = &step.otherwise {
        let mut scope = inner.clone().with("error", error_shape());
        if let Some((name, shape)) = grammar.aside() {
            scope.bind(name, shape);
        }
        let (at, kind) = (join(pointer, "else"), TextKind::Text);
        check_text(doc, &at, &otherwise.0, kind, &scope, report);
    }
    let shape = rounds(doc, pointer, step, &inner, shape, report);
    // A step that is left out by `when`, or answered with no, leaves null behind.
    let perhaps = |shape: Shape| {
        if step.when.is_some() || step.optional || step.continue_on_error {
            shape.perhaps()
        } else {
            shape
        }
    };
    // With `each`, the names are those of a round; what is kept of it is the step's result.
    for (name, shape) in binds.into_iter().filter(|_| step.each.is_none()) {
        scope.bind(&name, perhaps(shape));
    }
    if step.when.is_none() && step.each.is_none() && !step.optional && !step.continue_on_error {
        scope.guard(grammar.proves());
    }
    if let Some(name) = &step.bind {
        check_new_name(doc, &join(pointer, "as"), name, report);
        scope.bind(
            name,
            if step.each.is_some() {
                shape
            } else {
                perhaps(shape)
            },
        );
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
    let mut lone = |key: &str, message: &str, help: &str| {
        let range = doc.key_range(&join(pointer, key));
        report.push(Diagnostic::error(Code::Verb, &doc.source, range, message).help(help));
    };
    if step.each.is_none() && step.parallel.is_some() {
        let message = "`parallel` says how many rounds run at once, and this step has no `each`";
        lone("parallel", message, "leave it out");
    }
    match (&step.each, &step.select) {
        (None, None) => result,
        (None, Some(_)) => {
            let message = "`select` says what to keep of each round, and this step has no `each`";
            lone("select", message, "give names to values with `let`");
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
    output: Option<&Value>,
    scope: &Scope,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    let has_output = output.is_some();
    let texts = [
        reply.text.is_some(),
        reply.template.is_some(),
        reply.content.is_some(),
    ];
    let texts = texts.into_iter().filter(|given| *given).count();
    let problem = match (texts, &reply.structured) {
        (0, None) => Some((
            "a reply needs a `text`, a `template`, `content` or `structured`",
            "write `text: …`",
        )),
        (2.., _) => Some((
            "`text`, `template` and `content` exclude each other",
            "keep one of them: a text beside pictures is a block of `content`",
        )),
        (_, Some(_)) if !has_output => Some((
            "`structured` needs an `output` schema that describes it",
            "write `output: {type: object, properties: {…}}` beside `reply`",
        )),
        (_, None) if has_output => Some((
            "`output` is declared, but the reply has no `structured`",
            "write `structured: {…}`, or take `output` out",
        )),
        _ => None,
    };
    if let Some((problem, help)) = problem {
        let range = doc.key_range(pointer);
        report.push(Diagnostic::error(Code::Tool, &doc.source, range, problem).help(help));
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
        let at = join(pointer, "structured");
        promised(doc, &at, tree, output, report);
        check_tree(doc, &at, tree, scope, report);
    }
    if let Some(name) = &reply.template {
        template_file(doc, &join(pointer, "template"), name, scope, around, report);
    }
    let mut blocks = BlockCheck {
        doc,
        around,
        report,
    };
    for (index, block) in reply.content.iter().flat_map(|c| c.iter()).enumerate() {
        let at = join(&join(pointer, "content"), &index.to_string());
        blocks.check(&at, &block.block(), scope);
    }
}

fn template_help(name: &str, around: &Surroundings<'_>) -> String {
    let known = around.templates.keys().map(String::as_str);
    match around.templates.is_empty() {
        true => "put it into the folder `templates` of the pack".to_owned(),
        false => suggest::help(name, known),
    }
}

/// What the output schema requires must be there: otherwise each call would fail after its work is done.
fn promised(
    doc: &Doc,
    pointer: &str,
    structured: &Tree,
    output: Option<&Value>,
    report: &mut Findings,
) {
    let keys: Vec<&str> = match structured {
        Tree::Map(map) => map.keys().collect(),
        Tree::Literal(Json::Map(map)) => map.keys().collect(),
        _ => return,
    };
    let required = output.and_then(|o| o.get("required")?.as_array());
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !keys.contains(&name) {
            report.push(
                Diagnostic::error(
                    Code::Tool,
                    &doc.source,
                    doc.key_range(pointer),
                    format!("`output` requires `{name}`, and `structured` has no such key"),
                )
                .help(suggest::help(name, keys.iter().copied())),
            );
        }
    }
}

pub(super) fn template_file(
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
            .help(template_help(name, around)),
        ),
    }
}
