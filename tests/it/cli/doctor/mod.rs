//! `jacquard doctor` on real servers: what is there, what is not, and what differs.

mod here;
mod nats;

use serde_json::Value;

use crate::support::place::{Done, Place};

/// What `--json` tells.
struct Told(Value);

impl Told {
    fn of(place: &Place, args: &[&str]) -> Self {
        let mut all = vec!["doctor", "--json"];
        all.extend(args);
        Self::read(&place.run(&all))
    }

    /// The exit code says whether there are errors.
    fn read(done: &Done) -> Self {
        let value: Value =
            serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {done:?}"));
        assert_eq!(value["version"], 1);
        let errors = value["counts"]["errors"].as_u64().unwrap();
        assert_eq!(done.code, Some(i32::from(errors > 0)), "{done:?}");
        assert_eq!(done.stderr, "", "{done:?}");
        Self(value)
    }

    fn lines(&self) -> impl Iterator<Item = &Value> {
        self.0["checks"].as_array().unwrap().iter()
    }

    /// The one line of this subject and level that has the text; each that is not ok says what to do.
    fn line(&self, subject: &str, level: &str, text: &str) -> &Value {
        let fits = |line: &&Value| {
            line["subject"] == subject
                && line["level"] == level
                && line["what"].as_str().unwrap().contains(text)
        };
        let mut found = self.lines().filter(fits);
        let line = found
            .next()
            .unwrap_or_else(|| panic!("no {level} of {subject} with {text:?}: {:#}", self.0));
        assert!(level == "ok" || line["do"].is_string(), "{line}");
        assert!(
            found.next().is_none(),
            "{text:?} is told twice: {:#}",
            self.0
        );
        line
    }

    fn count(&self, level: &str) -> u64 {
        self.0["counts"][level].as_u64().unwrap()
    }
}

const NOTES: &str = "
settings:
  type: object
  properties: {age: {type: string, default: 2h}}
streams:
  log: {name: doc_log, subjects: [doc.log], max_age: \"{{ config.age }}\"}
  other: {name: doc_other, subjects: [doc.other]}
buckets:
  notes: {name: doc_notes, storage: memory}
tools:
  note:
    description: Logs something.
    annotations: {read_only: false}
    input: {type: object, required: [text], properties: {text: {type: string}}}
    output: {type: object}
    steps:
      - publish: {stream: log, subject: doc.log, payload: \"{{ args.text }}\"}
      - put: {bucket: notes, key: last, value: \"{{ args.text }}\"}
    reply: {structured: {}}
";

/// A pack of its own.
fn notes(place: &Place) {
    place.write("mine/notes.yaml", NOTES);
    place.write("gateway.yaml", "name: notes\npacks: [./mine]\n");
}
