//! Allowances: `lint: {allow: [code]}`.

use crate::spec::diag::{Code, Diagnostic, Report, Severity};
use crate::spec::doc::Doc;

/// The report without the warnings that a file allows, of those that are its own. An allowance that held nothing back is a
/// warning itself, unless something is wrong: then not all was looked at.
pub fn allowed<T: AsRef<str>>(
    codes: &[T],
    doc: &Doc,
    report: Report,
    own: impl Fn(&Diagnostic) -> bool,
) -> Report {
    let known: Vec<Option<Code>> = codes.iter().map(|c| Code::named(c.as_ref())).collect();
    let mut used = vec![false; codes.len()];
    let sure = !report.has_errors();
    let mut report = report.without(|found| {
        if found.severity != Severity::Warning || !own(found) {
            return false;
        }
        let allowance = known.iter().position(|code| *code == Some(found.code));
        if let Some(index) = allowance {
            used[index] = true;
        }
        allowance.is_some()
    });
    for (index, code) in codes.iter().enumerate().filter(|(i, _)| sure && !used[*i]) {
        let range = doc.value_range(&format!("/lint/allow/{index}"));
        let message = format!("nothing here needs the allowance of `{}`", code.as_ref());
        report.push(
            Diagnostic::error(Code::UnusedAllow, &doc.source, range, message)
                .help(help(known[index]))
                .warning(),
        );
    }
    report
}

fn help(code: Option<Code>) -> &'static str {
    match code {
        Some(Code::ClientNameBudget) => {
            "take it out; how long names get is only known of a config, and allowed there"
        }
        _ => "take it out",
    }
}
