//! What the built-in packs and small ones touch.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::catalog::packs::builtin;
use crate::spec::files::PackFiles;
use crate::spec::load::load;
use crate::spec::source::Source;

/// Short words for touches: `publish stream log`.
fn words(touches: &[Touch]) -> Vec<String> {
    let word = |touch: &Touch| {
        let on = match &touch.on {
            On::Subject(subject) => subject.0.to_string(),
            On::Subjects(text) => text.to_string(),
            On::Server(server) => server.0.to_string(),
            On::Services => "services".to_owned(),
            On::Bucket { bucket, keys, .. } => match keys {
                Keys::Any => format!("{bucket}/>"),
                Keys::One(key) => format!("{bucket}/{}", key.0),
                Keys::Under(key) => format!("{bucket}/{}.>", key.0),
            },
            other => other.name().unwrap_or_default().to_owned(),
        };
        format!("{} {on}", touch.action.name())
    };
    touches.iter().map(word).collect()
}

fn loaded(text: &str) -> Pack {
    let (pack, report) = load(&PackFiles {
        name: "touching".to_owned(),
        specs: vec![Source::new("pack.yaml", text)],
        ..PackFiles::default()
    });
    pack.unwrap_or_else(|| panic!("{:?}", report.sorted()))
}

const PACK: &str = r#"
streams:
  log: {name: log, subjects: ["log.>"]}
buckets:
  state: {name: state}
inboxes:
  answers: {subject: "answers.{{ gateway.id }}", key: item.data.id}
macros:
  inner:
    params: [key]
    steps:
      - get: {bucket: state, key: "{{ key }}"}
  outer:
    params: [key]
    steps:
      - use: {macro: inner, with: {key: "{{ key }}"}}
      - list: {bucket: state, under: team}
tools:
  all:
    description: Touches most things.
    input:
      type: object
      required: [to, list]
      properties: {to: {type: string}, list: {type: array, items: {type: string}}}
    steps:
      - use: {macro: outer, with: {key: a}}
      - use: {macro: inner, with: {key: b}}
      - publish: {stream: log, subject: "log.{{ args.to }}", payload: x}
        each: args.list
      - publish: {stream: log, subject: "log.{{ args.to }}", payload: y}
      - request: {subject: "ask.{{ args.to }}"}
      - request:
          subject: begin
          payload: x
          answers: [{inbox: answers, key: "{{ call.id }}"}]
          served: {subjects: "{{ args.list }}"}
      - take: {stream: log, position: {bucket: state, key: "{{ args.to }}"}, limit: 5}
    reply: {text: done}
  none: {description: Nothing., reply: {text: x}}
listeners:
  heard:
    subject: "hear.{{ session.id }}"
    steps: [{put: {bucket: state, key: x, value: 1}}]
    reply: {}
on: {close: [{delete: {bucket: state, key: x}}]}
"#;

#[test]
fn each_thing_is_told_once_with_what_macros_do() {
    let pack = loaded(PACK);
    let all = of_pack(&pack);
    let told: Vec<_> = all
        .iter()
        .map(|(owner, touches)| (*owner, words(touches)))
        .collect();
    let tool = [
        "get state/{{ key }}",
        "list state/team.>",
        "publish log",
        "request ask.{{ args.to }}",
        "publish begin",
        "listen answers",
        "ask {{ args.list }}",
        "take log",
        "position state/{{ args.to }}",
    ];
    let listener = [
        "listen hear.{{ session.id }}",
        "answer hear.{{ session.id }}",
        "put state/x",
    ];
    let inbox = ["listen answers.{{ gateway.id }}"];
    let expected: [(Owner<'_>, &[&str]); 4] = [
        (Owner::Inbox("answers"), &inbox),
        (Owner::Tool("all"), &tool),
        (Owner::Listener("heard"), &listener),
        (Owner::Close, &["delete state/x"]),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(owner, words)| (*owner, words.iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn an_expression_may_pick_any_queue_of_the_pack() {
    let pack = builtin("warp").unwrap();
    let tool = pack.tools.get("warp_work_claim");
    let names = words(&of_tool(pack, tool.unwrap()));
    for queue in pack.queues.keys() {
        assert!(names.contains(&format!("claim {queue}")), "{names:?}");
    }
}
