//! Load-time checks: **a spec that loads cannot fail for a typo.**

pub(super) mod ask;
mod content;
mod counts;
mod examples;
mod face;
mod foreign;
mod generate;
mod headers;
mod inboxes;
mod machine;
mod macros;
mod named;
mod offers;
mod queue;
mod resources;
mod routine;
mod schemas;
mod served;
mod step;
mod table;
mod tool;
mod uses;

use std::ops::Range;

pub(crate) use counts::verb_counts;
pub use examples::KnownToExamples;
pub(crate) use examples::check_fixture;
pub(crate) use foreign::check_foreign;
pub(crate) use generate::{GeneratorDraft, check_generator};
pub(crate) use inboxes::check_inbox;
pub use machine::FolderInfo;
pub(crate) use machine::{check_folder, check_program};
pub use macros::{MacroDraft, MacroInfo};
pub(crate) use macros::{check_circles, check_macro, macro_drafts, note_announcing, note_macro};
pub(crate) use queue::check_queue;
pub use queue::{LEASE, MAX_ATTEMPTS, MAX_LANES, MAX_LEVELS, QueueInfo};
pub use resources::{Instances, Resources};
pub(crate) use resources::{check_bucket, check_stream};
pub use routine::{RoutineDraft, RoutineKind};
pub(crate) use routine::{check_routine, list, routine_drafts, step_drafts};
pub(crate) use schemas::{check_named, check_valid, close};
pub use served::address_problem;
pub(crate) use served::check_served;
pub use step::{StepCheck, result_of};
pub(crate) use table::{check_journal, check_table};
pub use tool::{StepDraft, Surroundings, TOOL_NAME, ToolDraft, check_tool, is_tool_name};
pub(crate) use uses::check_aliases;
pub use uses::{AliasDraft, check_uses};

use std::collections::BTreeSet;

use super::data::{Json, List, Text};
use super::diag::{Diagnostic, Report};
use super::doc::{Doc, join};
use super::expr::{self, Form};
use super::model::TextKind;
use super::shape::{Scope, Shape};
use super::tree::Tree;

/// What a check finds: problems, and every expression and template that it has looked at.
///
/// The list of texts travels with the pack: it is what a catalog compiles, so a text that was not checked cannot
/// run.
#[derive(Debug, Default)]
pub struct Findings {
    /// The problems.
    pub report: Report,
    texts: BTreeSet<(TextKind, String)>,
}

impl Findings {
    /// Goes on from what is already reported.
    pub fn new(report: Report) -> Self {
        Self {
            report,
            texts: BTreeSet::new(),
        }
    }

    /// Adds a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
    }

    fn text(&mut self, kind: TextKind, text: &str) {
        self.texts.insert((kind, text.to_owned()));
    }

    /// All texts looked at.
    pub fn into_parts(self) -> (Report, List<(TextKind, Text)>) {
        let texts = self
            .texts
            .into_iter()
            .map(|(kind, text)| (kind, Text::from(text)))
            .collect();
        (self.report, texts)
    }
}

/// What the names `project`, `config` and `env` are, everywhere in a pack. ([`tools_shape`] makes `tools`.)
pub fn base_scope(settings: Option<&Json>) -> Scope {
    let config = settings.map_or_else(
        || Shape::object([]),
        |schema| Shape::from_schema(&schema.to_value()),
    );
    Scope::new()
        .with("project", project_shape())
        .with("config", config)
        .with("env", Shape::Any)
}

/// The name `tools`: under which name a tool is served.
pub fn tools_shape<'a>(names: impl IntoIterator<Item = &'a str>) -> Shape {
    Shape::object(names.into_iter().map(|name| (name, Shape::Text)))
}

/// What is known of the gateway that runs steps.
pub(crate) fn gateway_shape() -> Shape {
    Shape::object([("id", Shape::Text)])
}

/// A message that was heard on a subject: its fields.
pub(crate) fn received_shape() -> [(&'static str, Shape); 4] {
    [
        ("subject", Shape::Text),
        ("data", Shape::Any),
        ("text", Shape::Text),
        ("headers", Shape::Any),
    ]
}

/// The facts about a project (`src/project/`), as expressions see them.
fn project_shape() -> Shape {
    let channel = Shape::object([
        ("name", Shape::Text),
        ("description", Shape::Text),
        ("maxMessages", Shape::Number),
        ("maxBytes", Shape::Number),
        ("maxAge", Shape::Text),
    ]);
    let work_queue = Shape::object([
        ("ack_timeout_ms", Shape::Number),
        ("max_delivery_attempts", Shape::Number),
        ("dead_letter_ttl_ms", Shape::Number),
    ]);
    Shape::object([
        ("path", Shape::Text),
        ("id", Shape::Text),
        ("namespace", Shape::Text),
        ("name", Shape::Text),
        ("home", Shape::Text),
        ("hostname", Shape::Text),
        ("user", Shape::Text),
        ("agent_id", Shape::Text),
        ("subagent_type", Shape::Text),
        ("nats_url", Shape::Text),
        ("channels", channel.list()),
        ("work_queue", work_queue),
    ])
}

/// Checks one text at a place of a document; answers with the shape of its value.
pub(crate) fn check_text(
    doc: &Doc,
    pointer: &str,
    text: &str,
    kind: TextKind,
    scope: &Scope,
    report: &mut Findings,
) -> Shape {
    report.text(kind, text);
    let form = match kind {
        TextKind::Expr => Form::Bare,
        TextKind::Condition | TextKind::Filter | TextKind::Key => Form::Condition,
        TextKind::Value | TextKind::Text | TextKind::Token => Form::Template,
    };
    let (problems, shape) = expr::check(text, form, scope);
    for problem in problems {
        let range = doc.inner_range(pointer, text, problem.range.clone());
        report.push(diagnostic(&problem, &doc.source, range));
    }
    shape
}

/// Checks the text of a template file.
pub(crate) fn check_file(source: &super::source::Source, scope: &Scope, report: &mut Findings) {
    report.text(TextKind::Text, source.text());
    let (problems, _) = expr::check(source.text(), Form::Template, scope);
    for problem in problems {
        report.push(diagnostic(&problem, source, problem.range.clone()));
    }
}

fn diagnostic(
    problem: &expr::Problem,
    source: &super::source::Source,
    range: Range<usize>,
) -> Diagnostic {
    let diagnostic = Diagnostic::error(problem.code, source, range, problem.message.clone())
        .help(problem.help.clone());
    if problem.warning {
        diagnostic.warning()
    } else {
        diagnostic
    }
}

/// Checks every text of a tree; answers with the shape of its value.
pub(crate) fn check_tree(
    doc: &Doc,
    pointer: &str,
    tree: &Tree,
    scope: &Scope,
    report: &mut Findings,
) -> Shape {
    match tree {
        Tree::Literal(json) => literal_shape(json),
        Tree::Expr(text) => check_text(doc, pointer, text, TextKind::Value, scope, report),
        Tree::Template(text) => {
            check_text(doc, pointer, text, TextKind::Text, scope, report);
            Shape::Text
        }
        Tree::List(items) => {
            for (index, item) in items.iter().enumerate() {
                check_tree(doc, &join(pointer, &index.to_string()), item, scope, report);
            }
            Shape::Any.list()
        }
        Tree::Map(map) => {
            let fields: Vec<(&str, Shape)> = map
                .iter()
                .map(|(key, item)| {
                    (
                        key,
                        check_tree(doc, &join(pointer, key), item, scope, report),
                    )
                })
                .collect();
            Shape::object(fields)
        }
    }
}

fn literal_shape(json: &Json) -> Shape {
    match json {
        Json::Null => Shape::Any,
        Json::Bool(_) => Shape::Bool,
        Json::Int(_) | Json::Uint(_) | Json::Float(_) => Shape::Number,
        Json::Str(_) => Shape::Text,
        Json::List(items) => items.first().map_or(Shape::Any, literal_shape).list(),
        Json::Map(map) => {
            let fields: Vec<(&str, Shape)> =
                map.iter().map(|(k, v)| (k, literal_shape(v))).collect();
            Shape::object(fields)
        }
    }
}
