//! Macros: their steps, and that none uses itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::step::check_new_name;
use super::tool::{StepDraft, Surroundings, call_shape, check_steps, session_shape};
use super::{Findings, Resources, check_tree, gateway_shape, step_drafts};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::shape::Shape;
use crate::spec::tree::Tree;
use crate::spec::verbs::{Step, Verb};

/// A macro whose steps may be broken one by one.
pub struct MacroDraft {
    /// Its name.
    pub name: String,
    params: Vec<String>,
    steps: Vec<StepDraft>,
    result: Option<Tree>,
}

/// What the verb `use` knows of a macro: its parameters, and the shape of what it yields.
pub type MacroInfo = (Vec<String>, Shape);

/// The macros of a file.
pub(crate) fn macro_drafts(section: &serde_json::Map<String, Value>) -> Vec<MacroDraft> {
    section
        .iter()
        .map(|(name, value)| {
            let params = super::list(value, "params").iter();
            MacroDraft {
                name: name.clone(),
                params: params
                    .filter_map(|p| p.as_str().map(str::to_owned))
                    .collect(),
                steps: step_drafts(value, "steps"),
                result: value
                    .get("result")
                    .and_then(|raw| serde_json::from_value(raw.clone()).ok()),
            }
        })
        .collect()
}

/// Notes a macro, so that steps can name it before its own steps are checked.
pub(crate) fn note_macro(draft: &MacroDraft, resources: &mut Resources) {
    let info = (draft.params.clone(), Shape::Any);
    resources.macros.insert(draft.name.clone(), info);
}

/// Notes which macros tell clients what has changed.
pub(crate) fn note_announcing(drafts: &[(&Doc, &MacroDraft)], resources: &mut Resources) {
    loop {
        let known = &resources.announcing;
        let more = drafts.iter().map(|(_, draft)| draft).find(|draft| {
            let mut steps = draft.steps.iter().flatten();
            !known.contains(&draft.name) && steps.any(|step| announces(step, known))
        });
        match more {
            Some(draft) => resources.announcing.insert(draft.name.clone()),
            None => return,
        };
    }
}

/// Whether a step tells clients what has changed; `macros` are those that do.
pub(super) fn announces(step: &Step, macros: &BTreeSet<String>) -> bool {
    match &step.verb {
        Verb::Announce(_) => true,
        Verb::Use(inner) => macros.contains(inner.r#macro.as_ref()),
        _ => false,
    }
}

/// Checks the steps of a macro; answers with the shape of what it yields.
pub(crate) fn check_macro(
    doc: &Doc,
    draft: &MacroDraft,
    around: &Surroundings<'_>,
    report: &mut Findings,
) -> Shape {
    let pointer = join("/macros", &draft.name);
    let mut scope = around
        .base
        .clone()
        .with("call", call_shape())
        .with("session", session_shape(around.session))
        .with("gateway", gateway_shape());
    for (index, name) in draft.params.iter().enumerate() {
        let at = join(&join(&pointer, "params"), &index.to_string());
        check_new_name(doc, &at, name, report);
        scope.bind(name, Shape::Any);
    }
    check_steps(
        doc,
        &join(&pointer, "steps"),
        &draft.steps,
        &mut scope,
        around,
        report,
    );
    match &draft.result {
        Some(tree) => check_tree(doc, &join(&pointer, "result"), tree, &scope, report),
        None => Shape::Any,
    }
}

/// Refuses macros that use themselves, by way of others or not: their steps would never end.
pub(crate) fn check_circles(drafts: &[(&Doc, &MacroDraft)], report: &mut Findings) {
    let uses: BTreeMap<&str, Vec<&str>> = drafts
        .iter()
        .map(|(_, draft)| (draft.name.as_str(), used(draft)))
        .collect();
    for (doc, draft) in drafts {
        let mut next = uses.get(draft.name.as_str()).cloned().unwrap_or_default();
        let mut seen = Vec::new();
        while let Some(name) = next.pop() {
            if name == draft.name {
                let range = doc.key_range(&join("/macros", name));
                let message = format!("the macro `{name}` uses itself");
                report.push(
                    Diagnostic::error(Code::Verb, &doc.source, range, message)
                        .help("its steps would never end: take the `use` out"),
                );
                break;
            }
            if !seen.contains(&name) {
                seen.push(name);
                next.extend(uses.get(name).into_iter().flatten());
            }
        }
    }
}

fn used(draft: &MacroDraft) -> Vec<&str> {
    let steps = draft.steps.iter().flatten();
    steps
        .filter_map(|step| match &step.verb {
            Verb::Use(inner) => Some(inner.r#macro.as_ref()),
            _ => None,
        })
        .collect()
}
