//! Client rules: what MCP clients and models stumble over although it is right. All of it is warnings, told by
//! `jacquard validate` and never by a gateway.
//!
//! What a file says is looked at here; what is only known of a catalog, in [`crate::catalog::lint`], by the same rules.

mod allow;
mod hints;
mod input;
mod size;
#[cfg(test)]
mod tests;
mod waits;

use std::time::Duration;

use serde_json::Value;

use super::data::Map;
use super::diag::{Code, Diagnostic, Label, Report, Severity};
use super::doc::{Doc, join};
use super::files::PackFiles;
use super::model::{Macro, Tool};
use super::source::Source;
use super::tree::{Tree, written_span};
pub use allow::allowed;
pub use size::{
    LONGEST_NAME, catalog, instructions, listed, name, name_budget, name_length, tokens,
};

/// The longest wait of a call that gives no sign of life. Clients give up on a call after a time of their own; those of the
/// MCP SDKs do so after 60 s when nothing else is said.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What a rule has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub code: Code,
    /// Where, below what was looked at: a JSON pointer.
    pub pointer: String,
    /// What is the matter, without its subject's name: follows "the tool `x`".
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl Finding {
    fn new(
        code: Code,
        pointer: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            code,
            pointer: pointer.into(),
            message: message.into(),
            help: help.into(),
        }
    }

    /// The warning, at its place below `pointer`.
    fn at(self, doc: &Doc, pointer: &str, subject: &str) -> Diagnostic {
        let at = format!("{pointer}{}", self.pointer);
        // A place that is not there is its nearest parent, of which the key is enough.
        let range = match doc.value_range(&at) {
            value if doc.value.pointer(&at).is_some_and(Value::is_string) => value,
            _ => doc.key_range(&at),
        };
        let message = format!("{subject} {}", self.message);
        Diagnostic::error(self.code, &doc.source, range, message)
            .help(self.help)
            .warning()
    }
}

/// What clients will stumble over in the files of a pack, beside what loading it has found (`loaded`), without what the
/// files allow. Tools whose form is wrong are passed over: loading has said so.
pub fn pack(files: &PackFiles, loaded: Report) -> Report {
    let docs: Vec<Doc> = files
        .specs
        .iter()
        .filter(|source| !is_unread(source, &loaded))
        .filter_map(|source| Doc::parse(source.clone()).ok())
        .collect();
    let macros = macros(&docs);
    let mut report = loaded;
    for doc in &docs {
        file(doc, &macros, &mut report);
    }
    let wrong = errors(&report);
    report = report.without(|found| {
        let here = found.label.as_ref();
        found.severity == Severity::Warning && here.is_some_and(|l| wrong.contains(l))
    });
    for doc in &docs {
        let codes = codes(&doc.value);
        let here = |found: &Diagnostic| {
            let label = found.label.as_ref();
            label.is_some_and(|label| label.source.name() == doc.source.name())
        };
        report = allowed(&codes, doc, report, here);
    }
    report
}

/// Whether a file was refused already: to read it once more would only take time.
fn is_unread(source: &Source, loaded: &Report) -> bool {
    let mut found = loaded.sorted().into_iter();
    found.any(|d| d.code == Code::Syntax && d.label.as_ref().is_some_and(|l| l.source == *source))
}

/// The places of errors: what is odd about them besides does not matter yet.
fn errors(report: &Report) -> Vec<Label> {
    let errors = report
        .sorted()
        .into_iter()
        .filter(|d| d.severity == Severity::Error);
    errors.filter_map(|d| d.label.clone()).collect()
}

/// The codes under `lint` of a file.
fn codes(file: &Value) -> Vec<String> {
    let list = file.pointer("/lint/allow").and_then(Value::as_array);
    let codes = list.into_iter().flatten();
    codes
        .filter_map(|c| c.as_str().map(str::to_owned))
        .collect()
}

fn section<'a>(file: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let section = file.get(name).and_then(Value::as_object);
    section.into_iter().flatten()
}

fn macros(docs: &[Doc]) -> Map<Macro> {
    let mut macros = Map::default();
    for doc in docs {
        for (name, value) in section(&doc.value, "macros") {
            if let Ok(found) = serde_json::from_value(value.clone()) {
                macros.push(name.clone(), found);
            }
        }
    }
    macros
}

fn file(doc: &Doc, macros: &Map<Macro>, report: &mut Report) {
    for (name, value) in section(&doc.value, "tools") {
        let pointer = join("/tools", name);
        let subject = format!("the tool `{name}`");
        for found in size::name(name).into_iter().chain(tool(value, macros)) {
            report.push(found.at(doc, &pointer, &subject));
        }
    }
    for (name, _) in section(&doc.value, "aliases") {
        let subject = format!("the tool `{name}`");
        if let Some(found) = size::name(name) {
            report.push(found.at(doc, &join("/aliases", name), &subject));
        }
    }
    for (name, value) in section(&doc.value, "generate") {
        let pointer = join(&join("/generate", name), "tool");
        let subject = format!("the tool of `{name}`");
        for found in value.get("tool").iter().flat_map(|t| tool(t, macros)) {
            report.push(found.at(doc, &pointer, &subject));
        }
    }
    let text = doc.value.pointer("/pack/instructions");
    if let Some(found) = text.and_then(Value::as_str).and_then(instructions) {
        report.push(found.at(doc, "/pack/instructions", "the text of `instructions`"));
    }
}

/// What is found about a tool as it is written: all but its name.
pub fn tool(value: &Value, macros: &Map<Macro>) -> Vec<Finding> {
    let Ok(tool) = serde_json::from_value::<Tool>(value.clone()) else {
        return Vec::new();
    };
    let mut found = listed(value);
    found.extend(hints::missing(&tool));
    found.extend(waits::long(&tool, macros, &written_span));
    found
}

/// What is found about the waits of a tool whose values are known.
pub fn waits(
    tool: &Tool,
    macros: &Map<Macro>,
    value: &dyn Fn(&Tree) -> Option<Duration>,
) -> Vec<Finding> {
    waits::long(tool, macros, value)
}
