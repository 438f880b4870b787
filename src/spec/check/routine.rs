//! Steps that no tool has: timers, listeners, and the end of a session.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::resources::check_token;
use super::tool::{StepDraft, Surroundings, check_steps, session_shape};
use super::{Findings, check_text, check_tree};
use crate::spec::data::{Json, Map};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::model::{Listener, TIMER_PERIOD, TextKind, Timer};
use crate::spec::shape::{Scope, Shape};
use crate::spec::tree::{Span, Tree, parse_span};
use crate::spec::verbs::Step;

/// Steps without a tool, whose parts may be broken one by one.
pub struct RoutineDraft {
    /// The entry in its file: `/timers/beat`.
    pub pointer: String,
    /// The key of its steps.
    pub key: &'static str,
    /// What else it has.
    pub kind: RoutineKind,
    /// The steps.
    pub steps: Vec<StepDraft>,
}

/// What else steps without a tool have, unless it is broken.
pub enum RoutineKind {
    /// A period and a condition.
    Timer(Option<Timer>),
    /// A subject and a reply.
    Listener(Option<Listener>),
    /// Nothing.
    Close,
}

/// The elements of a list; none where there is no list.
pub(crate) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The steps under a key.
pub(crate) fn step_drafts(value: &Value, key: &str) -> Vec<StepDraft> {
    let bound = |raw: &Value| raw.get("as").and_then(Value::as_str).map(str::to_owned);
    list(value, key)
        .iter()
        .map(|raw| Step::deserialize(raw).map_err(|_| bound(raw)))
        .collect()
}

/// Everything in a file that has steps and is no tool.
pub(crate) fn routine_drafts(file: &Value) -> Vec<RoutineDraft> {
    let mut drafts = Vec::new();
    for section in ["timers", "listeners"] {
        let entries = file.get(section).and_then(Value::as_object);
        for (name, value) in entries.into_iter().flatten() {
            drafts.push(RoutineDraft {
                pointer: join(&join("", section), name),
                key: "steps",
                kind: match section {
                    "timers" => RoutineKind::Timer(Deserialize::deserialize(value).ok()),
                    _ => RoutineKind::Listener(Deserialize::deserialize(value).ok()),
                },
                steps: step_drafts(value, "steps"),
            });
        }
    }
    if let Some(on) = file.get("on") {
        drafts.push(RoutineDraft {
            pointer: "/on".to_owned(),
            key: "close",
            kind: RoutineKind::Close,
            steps: step_drafts(on, "close"),
        });
    }
    drafts
}

/// Checks a timer, a listener, or the steps at the end of a session.
pub(crate) fn check_routine(
    doc: &Doc,
    routine: &RoutineDraft,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    let at = |key: &str| join(&routine.pointer, key);
    let session = session_shape(around.session);
    let mut scope = around.base.clone().with("session", session);
    match &routine.kind {
        RoutineKind::Timer(Some(timer)) => {
            check_period(doc, &at("every"), &timer.every, around.base, report);
            if let Some(when) = &timer.when {
                let kind = TextKind::Condition;
                check_text(doc, &at("when"), &when.0, kind, &scope, report);
                scope.guard(expr::paths(&when.0));
            }
        }
        RoutineKind::Listener(listener) => {
            if let Some(listener) = listener {
                // Subscribed once, when the session begins: what may change later has no place in it.
                let fixed = session_shape(&Map::<Json>::default());
                let fixed = around.base.clone().with("session", fixed);
                check_token(doc, &at("subject"), &listener.subject, true, &fixed, report);
            }
            scope.bind("item", received_shape());
        }
        RoutineKind::Timer(None) | RoutineKind::Close => {}
    }
    let steps = at(routine.key);
    check_steps(doc, &steps, &routine.steps, &mut scope, around, report);
    if let RoutineKind::Listener(Some(listener)) = &routine.kind
        && let Some(reply) = &listener.reply
    {
        check_tree(doc, &at("reply"), reply, &scope, report);
    }
}

/// A message as a listener sees it.
fn received_shape() -> Shape {
    Shape::object([
        ("subject", Shape::Text),
        ("data", Shape::Any),
        ("text", Shape::Text),
        ("headers", Shape::Any),
    ])
}

fn check_period(doc: &Doc, pointer: &str, every: &Span, base: &Scope, report: &mut Findings) {
    if let Tree::Literal(Json::Str(text)) = &every.0 {
        // Another form than digits and a unit is reported by the language's schema already.
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let formed = unit.len() < text.len() && parse_span(&format!("1{unit}")).is_some();
        let fits = |period: Duration| TIMER_PERIOD.contains(&period);
        if formed && !parse_span(text).is_some_and(fits) {
            let range = doc.value_range(pointer);
            let message = format!("\"{text}\" is no period of a timer: it is from 1s to 24h");
            report.push(Diagnostic::error(Code::Schema, &doc.source, range, message));
        }
    }
    check_tree(doc, pointer, &every.0, base, report);
}
