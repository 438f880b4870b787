//! JUnit XML: a test case a file, which fails when the file has errors.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report as Suites, TestCase, TestCaseStatus, TestSuite};

use super::{Outcome, relative};
use crate::spec::diag::{Diagnostic, Severity};

/// The name of the test case for what is in no file.
const NOWHERE: &str = "(no file)";

/// One suite.
///
/// # Errors
/// Why it cannot be written as XML.
pub fn text(outcome: &Outcome) -> Result<String, String> {
    let mut files: BTreeMap<String, Vec<&Diagnostic>> = BTreeMap::new();
    for name in &outcome.files {
        files.entry(relative(name)).or_default();
    }
    for diagnostic in outcome.report.sorted() {
        let label = diagnostic.label.as_ref();
        let name = label.map_or(NOWHERE.to_owned(), |label| relative(label.source.name()));
        files.entry(name).or_default().push(diagnostic);
    }
    let mut suite = TestSuite::new("jacquard validate");
    for (name, diagnostics) in &files {
        suite.add_test_case(case(name, diagnostics));
    }
    let mut suites = Suites::new("jacquard validate");
    suites.add_test_suite(suite);
    let text = suites.to_string().map_err(|error| error.to_string())?;
    Ok(text.trim_end().to_owned())
}

fn case(name: &str, diagnostics: &[&Diagnostic]) -> TestCase {
    let of = |severity| diagnostics.iter().filter(move |d| d.severity == severity);
    let mut status = TestCaseStatus::success();
    if let Some(first) = of(Severity::Error).next() {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let message = match of(Severity::Error).count() {
            1 => first.message.clone(),
            several => format!("{several} errors; the first: {}", first.message),
        };
        status
            .set_message(message)
            .set_type(first.code.as_str())
            .set_description(rendered(of(Severity::Error)));
    }
    let mut case = TestCase::new(name, status);
    case.set_classname("jacquard.validate");
    if name != NOWHERE {
        case.extra.insert("file".into(), name.into());
    }
    if of(Severity::Warning).count() > 0 {
        case.set_system_out(rendered(of(Severity::Warning)));
    }
    case
}

fn rendered<'a>(diagnostics: impl Iterator<Item = &'a &'a Diagnostic>) -> String {
    let texts: Vec<String> = diagnostics.map(|d| d.render(false)).collect();
    texts.join("\n\n")
}
