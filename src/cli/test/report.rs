//! What is told of the examples that were run.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::diff;
use super::expect::Wrong;
use super::plan::Case;
use super::run::{Outcome, Verdict};

/// An example that was run.
#[derive(Debug)]
pub(super) struct Done<'a> {
    pub(super) case: &'a Case,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
}

/// One line for one example.
pub(super) fn line(done: &Done<'_>, color: bool) -> String {
    let (word, paint) = match &done.outcome.verdict {
        Verdict::Passed => ("ok", "32"),
        Verdict::Failed(_) => ("FAILED", "31"),
        Verdict::Skipped(_) => ("skipped", "33"),
    };
    let word = format!("{word:<7}");
    let word = if color {
        format!("\u{1b}[{paint}m{word}\u{1b}[0m")
    } else {
        word
    };
    format!("{word} {} ({})", done.case.name(), span(done.took))
}

fn span(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

/// All that is wrong with an example, with its place.
pub(super) fn failure(case: &Case, wrong: &[Wrong], color: bool) -> String {
    let mut text = format!("{}\n  {}\n", case.name(), case.origin);
    for wrong in wrong {
        text.push_str(&diff::render(wrong, color));
    }
    text
}

/// How many passed, failed, and were not run.
pub(super) fn counts(all: &[Done<'_>]) -> (usize, usize, usize) {
    let of =
        |wanted: fn(&Verdict) -> bool| all.iter().filter(|d| wanted(&d.outcome.verdict)).count();
    (
        of(|v| *v == Verdict::Passed),
        of(|v| matches!(v, Verdict::Failed(_))),
        of(|v| matches!(v, Verdict::Skipped(_))),
    )
}

/// Writes the results as JUnit XML: a suite for each pack, a case for each example.
pub(super) fn junit(all: &[Done<'_>], took: Duration, path: &Path) -> io::Result<()> {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for done in all {
        let status = match &done.outcome.verdict {
            Verdict::Passed => TestCaseStatus::success(),
            Verdict::Skipped(why) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(why.as_str());
                status
            }
            Verdict::Failed(wrong) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                if let Some(first) = wrong.first() {
                    status.set_message(format!("{}: {}", done.case.origin, first.what));
                }
                status.set_description(failure(done.case, wrong, false));
                status
            }
        };
        let name = format!("{}: {}", done.case.tool, done.case.title);
        let mut test = TestCase::new(name, status);
        test.set_classname(done.case.pack.as_str());
        test.set_time(done.took);
        let pack = done.case.pack.as_str();
        let suite = suites.entry(pack).or_insert_with(|| TestSuite::new(pack));
        suite.add_test_case(test);
    }
    let mut report = Report::new("jacquard test");
    report.set_time(took);
    report.add_test_suites(suites.into_values());
    let text = report.to_string().map_err(io::Error::other)?;
    std::fs::write(path, text)
}
