//! One JSON object. Its form is described in `docs/ci.md`; what is added to it later does not change `version`.

use serde_json::{Map, Value, json};

use super::{Outcome, relative, word};
use crate::spec::diag::{Diagnostic, Label, Severity};

/// The version of the form.
const VERSION: u64 = 1;

/// All of it, indented.
pub fn text(outcome: &Outcome) -> String {
    let diagnostics: Vec<Value> = outcome.report.sorted().into_iter().map(one).collect();
    let value = json!({
        "version": VERSION,
        "counts": {
            "checked": outcome.checked,
            "errors": outcome.count(Severity::Error),
            "warnings": outcome.count(Severity::Warning),
        },
        "files": outcome.files.iter().map(|name| relative(name)).collect::<Vec<_>>(),
        "diagnostics": diagnostics,
    });
    format!("{value:#}")
}

fn one(diagnostic: &Diagnostic) -> Value {
    let mut object = Map::new();
    object.insert("code".into(), diagnostic.code.as_str().into());
    object.insert("severity".into(), word(diagnostic.severity).into());
    object.insert("message".into(), diagnostic.message.as_str().into());
    object.insert("help".into(), json!(diagnostic.help));
    place(&mut object, diagnostic.label.as_ref());
    let related = diagnostic.related.iter().map(|label| {
        let mut object = Map::new();
        object.insert("message".into(), label.text.as_str().into());
        place(&mut object, Some(label));
        Value::Object(object)
    });
    object.insert("related".into(), related.collect());
    object.insert("fixable".into(), (!diagnostic.fix.is_empty()).into());
    Value::Object(object)
}

/// Where it is; all null where it is nowhere in a file.
fn place(object: &mut Map<String, Value>, label: Option<&Label>) {
    let places = label.map(Label::places);
    let start = places.map(|(start, _)| start);
    let end = places.map(|(_, end)| end);
    let file = label.map(|label| relative(label.source.name()));
    object.insert("file".into(), json!(file));
    object.insert("line".into(), json!(start.map(|p| p.line)));
    object.insert("column".into(), json!(start.map(|p| p.column)));
    object.insert("end_line".into(), json!(end.map(|p| p.line)));
    object.insert("end_column".into(), json!(end.map(|p| p.column)));
}
