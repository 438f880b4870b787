//! What is known of the steps of a tool before they run: which may be run again when it is not known whether they were done, and
//! which only ask.

use std::time::Duration;

use crate::spec::model::{self, Pack};
use crate::spec::verbs::{Step, Verb};

/// Macros that use macros deeper than this are not looked into: one that leads to itself is an error of the spec.
const MAX_DEPTH: usize = 16;
/// For how long a stream that does not say knows the ids of its messages (NATS: 2 minutes), less what clocks may differ by.
const WINDOW: Duration = Duration::from_secs(100);

/// Whether the step of a tool with this index can be run again, if it began at the most `age` ago and it is not known whether it
/// was done. The end of the steps can.
pub fn repeats(pack: &Pack, tool: &model::Tool, index: usize, age: Duration) -> bool {
    let hints = tool.annotations.as_ref();
    if hints.is_some_and(|hints| hints.idempotent == Some(true) || hints.read_only == Some(true)) {
        return true;
    }
    let step = tool.steps.get(index);
    step.is_none_or(|step| step_repeats(pack, step, age, 0))
}

fn step_repeats(pack: &Pack, step: &Step, age: Duration, depth: usize) -> bool {
    match &step.verb {
        Verb::Use(inner) if depth < MAX_DEPTH => {
            let found = pack.macros.get(&inner.r#macro);
            let again = |step: &Step| step_repeats(pack, step, age, depth + 1);
            found.is_some_and(|named| named.steps.iter().all(again))
        }
        // What is stored once is known by its id, and only for a time.
        Verb::Publish(_) | Verb::Enqueue(_) => step.verb.grammar().repeats() && age < WINDOW,
        verb => verb.grammar().repeats(),
    }
}

/// The steps with which a tool begins that ask its client, and those between that only look at values: how many there are, up to
/// the last that asks.
pub fn leading(tool: &model::Tool) -> usize {
    let asks = |step: &Step| matches!(step.verb, Verb::Ask(_));
    let looks = |step: &Step| {
        matches!(
            step.verb,
            Verb::Let(_) | Verb::Require(_) | Verb::Check(_) | Verb::Fail(_)
        )
    };
    let first = tool
        .steps
        .iter()
        .take_while(|step| asks(step) || looks(step));
    let last = first.enumerate().filter(|(_, step)| asks(step)).last();
    last.map_or(0, |(index, _)| index + 1)
}
