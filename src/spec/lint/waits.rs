//! Calls that may last longer than clients wait.

use std::time::Duration;

use super::{Finding, LONGEST_WAIT};
use crate::spec::data::Map;
use crate::spec::diag::Code;
use crate::spec::doc::join;
use crate::spec::model::{Macro, Tool};
use crate::spec::tree::Tree;
use crate::spec::verbs::{Step, Verb};

/// The waits of a tool that are longer than [`LONGEST_WAIT`]. A tool that may run as a task or tells how far it is may wait:
/// clients that ask for it know that the call goes on.
pub(super) fn long(
    tool: &Tool,
    macros: &Map<Macro>,
    value: &dyn Fn(&Tree) -> Option<Duration>,
) -> Vec<Finding> {
    if tool.task == Some(true) || tells(&tool.steps, macros, 0) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, step) in tool.steps.iter().enumerate() {
        let at = join("/steps", &index.to_string());
        if let Some((key, wait, by)) = longest(step, macros, value, 0) {
            let inside = match by {
                Some(name) => format!(" (in the macro `{name}`)"),
                None => String::new(),
            };
            let pointer = match by {
                Some(_) => join(&join(&at, "use"), "macro"),
                None if key.is_empty() => join(&at, step.verb.name()),
                None => join(&join(&at, step.verb.name()), key),
            };
            found.push(Finding::new(
                Code::LongWait,
                pointer,
                format!("may wait {} s{inside}: many clients give up on a call after 60 s", wait.as_secs()),
                "wait 60s at the most, or write `task: true` so that clients may fetch the result later, or tell how far it \
                 is (`progress`)",
            ));
        }
    }
    found
}

/// Macros that use macros deeper than this are passed over: one that leads to itself is an error.
const MAX_DEPTH: usize = 16;

fn steps_of<'a>(step: &Step, macros: &'a Map<Macro>) -> Option<(&'a str, &'a [Step])> {
    let Verb::Use(inner) = &step.verb else {
        return None;
    };
    let (name, found) = macros.iter().find(|(name, _)| *name == inner.r#macro)?;
    Some((name, &found.steps))
}

/// Whether a client that asks is told how far the call is.
fn tells(steps: &[Step], macros: &Map<Macro>, depth: usize) -> bool {
    steps.iter().any(|step| match &step.verb {
        Verb::Progress(_) => true,
        Verb::Request(request) => request.progress.is_some(),
        Verb::Use(_) if depth < MAX_DEPTH => {
            steps_of(step, macros).is_some_and(|(_, steps)| tells(steps, macros, depth + 1))
        }
        _ => false,
    })
}

/// The wait of a step that is too long: its key, and the macro that it stands in.
fn longest<'a>(
    step: &Step,
    macros: &'a Map<Macro>,
    value: &dyn Fn(&Tree) -> Option<Duration>,
    depth: usize,
) -> Option<(&'static str, Duration, Option<&'a str>)> {
    if let Some((name, steps)) = steps_of(step, macros).filter(|_| depth < MAX_DEPTH) {
        let found = steps
            .iter()
            .find_map(|inner| longest(inner, macros, value, depth + 1));
        return found.map(|(key, wait, by)| (key, wait, by.or(Some(name))));
    }
    let (key, span) = wait(&step.verb)?;
    let long = value(span).filter(|wait| *wait > LONGEST_WAIT)?;
    Some((key, long, None))
}

/// The key of a verb that says how long it waits. Verbs that never wait longer than [`LONGEST_WAIT`] are not here.
fn wait(verb: &Verb) -> Option<(&'static str, &Tree)> {
    let timeout = match verb {
        Verb::Request(step) => step.timeout.as_ref(),
        Verb::Run(step) => step.timeout.as_ref(),
        Verb::Sleep(step) => return Some(("", &step.0.0)),
        _ => None,
    };
    timeout.map(|span| ("timeout", &span.0))
}
