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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::files::PackFiles;
    use crate::spec::load::load;
    use crate::spec::source::Source;

    const SPEC: &str = r#"
pack: {name: p}
streams: {s: {name: S, subjects: [s]}}
macros:
  keep: {steps: [publish: {stream: s, payload: x}]}
  call: {steps: [use: {macro: keep}, request: {subject: a, payload: x}]}
tools:
  t:
    description: Does things.
    steps:
      - require: "true"
      - ask: {questions: {a: {roots: {}}}}
      - let: {x: 1}
      - ask: {questions: {b: {roots: {}}}}
      - let: {y: 1}
      - sleep: 1
      - ask: {questions: {c: {roots: {}}}}
      - publish: {subject: a, payload: x}
      - use: {macro: keep}
      - use: {macro: call}
    reply: {text: x}
  safe:
    description: Does things that may be done twice.
    annotations: {idempotent: true}
    steps: [publish: {subject: a, payload: x}]
    reply: {text: x}
"#;

    #[test]
    fn it_is_known_which_steps_ask_first_and_which_can_run_again() {
        let (pack, report) = load(&PackFiles {
            name: "p".to_owned(),
            specs: vec![Source::new("p.yaml", SPEC)],
            ..PackFiles::default()
        });
        let pack = pack.unwrap_or_else(|| panic!("{}", report.render(false)));
        let tool = |name: &str| pack.tools.get(name).unwrap();
        assert_eq!(leading(tool("t")), 4);
        assert_eq!(leading(tool("safe")), 0);
        let lost = |name: &str, age| {
            let all = 0..=tool(name).steps.len();
            let cut = all.filter(|index| !repeats(&pack, tool(name), *index, age));
            cut.collect::<Vec<_>>()
        };
        assert_eq!(lost("t", Duration::ZERO), [7, 9]);
        assert_eq!(lost("t", WINDOW), [7, 8, 9]);
        assert!(lost("safe", WINDOW).is_empty());
    }
}
