//! Whether every step has exactly one verb.

use serde_json::Value;

use super::Findings;
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::verbs::{Step, Verb};

/// A step has exactly one verb; JSON Schema cannot say so without burying the reason.
pub(crate) fn verb_counts(doc: &Doc, report: &mut Findings) {
    let sections = [
        "tools",
        "timers",
        "listeners",
        "prompts",
        "completions",
        "resources",
    ];
    for section in sections {
        let entries = doc.value.get(section).and_then(Value::as_object);
        for (name, entry) in entries.into_iter().flatten() {
            let pointer = join(&join("", section), name);
            for key in ["steps", "list_steps"] {
                verb_count(doc, &join(&pointer, key), entry.get(key), report);
            }
        }
    }
    verb_count(doc, "/on/close", doc.value.pointer("/on/close"), report);
}

fn verb_count(doc: &Doc, pointer: &str, steps: Option<&Value>, report: &mut Findings) {
    let steps = steps.and_then(Value::as_array);
    for (index, step) in steps.into_iter().flatten().enumerate() {
        let Some(step) = step.as_object() else {
            continue;
        };
        let pointer = join(pointer, &index.to_string());
        let verbs: Vec<&str> = step
            .keys()
            .map(String::as_str)
            .filter(|key| Verb::ALL.iter().any(|(verb, _)| verb == key))
            .collect();
        let known = step
            .keys()
            .all(|key| verbs.contains(&key.as_str()) || Step::KEYS.contains(&key.as_str()));
        match verbs.as_slice() {
            [_] => {}
            // A misspelt verb is an unknown key already.
            [] if !known => {}
            [] => {
                let verbs: Vec<&str> = Verb::ALL.iter().map(|(name, _)| *name).collect();
                let help = format!("a step has exactly one of: {}", verbs.join(", "));
                problem(doc, &pointer, "this step has no verb".into(), help, report);
            }
            [first, rest @ ..] => {
                let message = format!(
                    "this step has more than one verb: `{first}` and `{}`",
                    rest.join("`, `")
                );
                let help = "make a step of each: every verb begins with a dash of its own".into();
                problem(doc, &pointer, message, help, report);
            }
        }
    }
}

fn problem(doc: &Doc, pointer: &str, message: String, help: String, report: &mut Findings) {
    report.push(
        Diagnostic::error(Code::Verb, &doc.source, doc.value_range(pointer), message).help(help),
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::source::Source;

    #[test]
    fn a_step_of_other_keys_only_has_no_verb() {
        for key in Step::KEYS {
            let text = format!("on: {{close: [{{{key}: x}}]}}\n");
            let doc = Doc::parse(Source::new("a.yaml", text)).unwrap();
            let mut found = Findings::default();
            verb_counts(&doc, &mut found);
            assert!(found.report.to_string().contains("no verb"), "{key}");
        }
    }

    #[test]
    fn every_key_of_a_step_is_a_verb_or_known() {
        let schema = schemars::schema_for!(Step);
        let keys = schema.get("properties").and_then(Value::as_object);
        let keys: Vec<&str> = keys
            .into_iter()
            .flat_map(|k| k.keys().map(String::as_str))
            .collect();
        assert_eq!(keys.len(), Verb::ALL.len() + Step::KEYS.len());
        for key in keys {
            assert!(
                Step::KEYS.contains(&key) || Verb::ALL.iter().any(|(verb, _)| *verb == key),
                "{key}"
            );
        }
    }
}
