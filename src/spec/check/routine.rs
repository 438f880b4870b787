//! Steps that no tool has: timers, listeners, the end of a session, and what is offered beside the tools.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::macros::announces;
use super::offers::{Offer, offer_drafts};
use super::resources::check_token;
use super::tool::{StepDraft, Surroundings, check_steps, session_shape};
use super::{Findings, StepCheck, check_text, check_tree, gateway_shape, received_shape};
use crate::spec::data::{Json, Map};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::model::{Listener, TIMER_PERIOD, TextKind, Timer};
use crate::spec::shape::{Scope, Shape};
use crate::spec::tree::{Span, Tree, parse_span};
use crate::spec::verbs::{Step, message_shape};

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
    /// What is listened on, a condition and a reply.
    Listener(Option<Listener>),
    /// Nothing.
    Moment,
    /// What is made of them for a client that asks.
    Offer(Box<Offer>),
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
        drafts.extend(["close", "resume"].map(|key| RoutineDraft {
            pointer: "/on".to_owned(),
            key,
            kind: RoutineKind::Moment,
            steps: step_drafts(on, key),
        }));
    }
    drafts.extend(offer_drafts(file));
    drafts
}

/// Checks a timer, a listener, the steps at the end of a session, or what is offered beside the tools.
pub(crate) fn check_routine(
    doc: &Doc,
    routine: &RoutineDraft,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    let at = |key: &str| join(&routine.pointer, key);
    let session = session_shape(around.session);
    let base = around.base.clone();
    let mut scope = base
        .with("session", session)
        .with("gateway", gateway_shape());
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
            let item = match listener {
                Some(listener) if listener.stream.is_some() => message_shape(),
                _ => Shape::object(received_shape()),
            };
            scope.bind("item", item);
            if let Some(listener) = listener {
                check_source(doc, &routine.pointer, listener, around, report);
                if let Some(when) = &listener.when {
                    let kind = TextKind::Filter;
                    check_text(doc, &at("when"), &when.0, kind, &scope, report);
                    scope.guard(expr::paths(&when.0));
                }
            }
        }
        RoutineKind::Offer(offer) => {
            offer.begin(doc, &routine.pointer, &mut scope, around, report);
        }
        RoutineKind::Timer(None) | RoutineKind::Moment => {}
    }
    let steps = at(routine.key);
    if let RoutineKind::Offer(_) = &routine.kind {
        nothing_announced(doc, &steps, &routine.steps, around, report);
    }
    check_steps(doc, &steps, &routine.steps, &mut scope, around, report);
    if let RoutineKind::Listener(Some(listener)) = &routine.kind
        && let Some(reply) = &listener.reply
    {
        check_tree(doc, &at("reply"), reply, &scope, report);
    }
    if let RoutineKind::Offer(offer) = &routine.kind {
        offer.end(doc, &routine.pointer, &scope, around, report);
    }
}

/// What is only read changes nothing, and clients read as often as they like: each would send all others to read again.
fn nothing_announced(
    doc: &Doc,
    pointer: &str,
    steps: &[StepDraft],
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    for (index, step) in steps.iter().enumerate() {
        let Ok(step) = step else { continue };
        if announces(step, &around.resources.announcing) {
            let at = join(&join(pointer, &index.to_string()), step.verb.name());
            let message = "what is only read has nothing to announce";
            let found = Diagnostic::error(
                Code::Verb,
                &doc.source,
                doc.key_range(&at),
                message.to_owned(),
            );
            report.push(
                found.help("announce it where it changes: in a tool, a timer, a listener or `on`"),
            );
        }
    }
}

/// What a listener listens on: a subject or a stream. It is looked up once, when the session begins: what may change later
/// has no place in it.
fn check_source(
    doc: &Doc,
    pointer: &str,
    listener: &Listener,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    let session = session_shape(&Map::<Json>::default());
    let fixed = around.base.clone().with("session", session);
    if let Some(subject) = &listener.subject {
        check_token(
            doc,
            &join(pointer, "subject"),
            subject,
            true,
            &fixed,
            report,
        );
    }
    for (index, subject) in listener
        .subjects
        .iter()
        .flat_map(|list| list.iter())
        .enumerate()
    {
        let at = join(&join(pointer, "subjects"), &index.to_string());
        check_token(doc, &at, subject, true, &fixed, report);
    }
    let mut cx = StepCheck {
        doc,
        pointer: pointer.to_owned(),
        scope: &fixed,
        resources: around.resources,
        report,
    };
    match (&listener.subject, &listener.stream) {
        (Some(_), Some(_)) => cx.needs("a listener has a `subject` or a `stream`, not both", "take one of them out"),
        (None, None) => cx.needs("a listener needs a `subject` or a `stream`", "write `subject: …` for messages that come while it listens, or `stream: …` for those that are kept"),
        (Some(_), None) => {
            if listener.with.is_some() || listener.subjects.is_some() {
                cx.needs("`with` and `subjects` belong to a `stream`, and there is none", "take them out, or name the stream");
            }
        }
        (None, Some(stream)) => {
            cx.stream("stream", stream, listener.with.as_ref());
            cx.lasting_stream("stream", stream);
            if listener.reply.is_some() {
                cx.needs("`reply` belongs to a `subject`: nobody waits for an answer to a stored message", "take `reply` out");
            }
            if listener
                .subjects
                .as_ref()
                .is_some_and(|list| list.is_empty())
            {
                cx.needs(
                    "`subjects` names at least one; without it the listener has all of the stream",
                    "name one, or take `subjects` out",
                );
            }
            let mut subjects = cx.inside("subjects");
            for (index, subject) in listener
                .subjects
                .iter()
                .flat_map(|list| list.iter())
                .enumerate()
            {
                subjects.stored_subject(&index.to_string(), stream, &subject.0);
            }
        }
    }
}

pub(super) fn check_period(
    doc: &Doc,
    pointer: &str,
    every: &Span,
    base: &Scope,
    report: &mut Findings,
) {
    if let Tree::Literal(Json::Str(text)) = &every.0 {
        // Another form than digits and a unit is reported by the language's schema already.
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let formed = unit.len() < text.len() && parse_span(&format!("1{unit}")).is_some();
        let fits = |period: Duration| TIMER_PERIOD.contains(&period);
        if formed && !parse_span(text).is_some_and(fits) {
            let range = doc.value_range(pointer);
            let message = format!("\"{text}\" is no period: it is from 1s to 24h");
            report.push(
                Diagnostic::error(Code::Schema, &doc.source, range, message)
                    .help("write `1s`, `5m` or `24h`, for example"),
            );
        }
    }
    check_tree(doc, pointer, &every.0, base, report);
}
