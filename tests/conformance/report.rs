//! What came of the suite: for whoever runs it, and as a page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::EXTENSION;
use super::suite::{Check, Revision, Status};

/// The page, and the lines between which its tables are.
const PAGE: &str = "docs/conformance.md";
const BEGIN: &str = "<!-- results: begin -->\n";
const END: &str = "<!-- results: end -->\n";

/// The results of one revision.
pub struct Report {
    revision: Revision,
    results: BTreeMap<String, Vec<Check>>,
    log: String,
}

/// Whether a scenario fails: it has a check that does, or none that does not.
pub fn fails(checks: &[Check]) -> bool {
    let has = |status| checks.iter().any(|check| check.status == status);
    has(Status::Failure) || !(has(Status::Success) || has(Status::Skipped))
}

impl Report {
    pub fn of(revision: Revision, results: BTreeMap<String, Vec<Check>>, log: String) -> Self {
        Self {
            revision,
            results,
            log,
        }
    }

    /// What must pass and does not, with its reasons.
    pub fn failures(&self) -> Vec<String> {
        let known = |scenario: &String| self.results.get(scenario).map_or(&[][..], Vec::as_slice);
        let mut failures = Vec::new();
        for scenario in self.wanted() {
            let checks = known(&scenario);
            if !fails(checks) {
                continue;
            }
            let mut text = format!("{}: {scenario} fails", self.revision.name);
            for check in checks.iter().filter(|c| c.status == Status::Failure) {
                let why = check.error_message.as_deref().unwrap_or("(no reason)");
                write!(text, "\n    {}: {why}", check.id).unwrap();
            }
            failures.push(text);
        }
        failures
    }

    /// What must pass.
    fn wanted(&self) -> BTreeSet<String> {
        let extension = self
            .results
            .keys()
            .filter(|scenario| scenario.starts_with(EXTENSION));
        let required = self.revision.required.iter();
        required.chain(extension).cloned().collect()
    }

    /// How many of the required scenarios pass.
    fn passed(&self) -> usize {
        let passes = |scenario: &&String| self.results.get(*scenario).is_some_and(|c| !fails(c));
        self.revision.required.iter().filter(passes).count()
    }

    /// Why a scenario does not count; `None` for one that is required.
    fn reason(&self, scenario: &str) -> Option<&str> {
        if self.revision.required.iter().any(|name| name == scenario) {
            return None;
        }
        let found = self.revision.unscored.iter().find(|(n, _)| n == scenario);
        Some(found.map_or("extension", |(_, reason)| reason))
    }

    /// A line for each scenario, in the order of the suite, then what does not count.
    fn table(&self) -> String {
        let (count, all) = (self.passed(), self.revision.required.len());
        let name = &self.revision.name;
        let mut text = format!("## MCP {name}\n\n{count} of {all} required scenarios pass.\n\n");
        text.push_str("| scenario | | checks |\n|---|---|---|\n");
        let others = self.results.keys().filter(|s| self.reason(s).is_some());
        for scenario in self.revision.required.iter().chain(others) {
            let checks = self.results.get(scenario).map_or(&[][..], Vec::as_slice);
            let what = match self.reason(scenario) {
                None => "required",
                Some(reason) => reason,
            };
            writeln!(text, "| `{scenario}` | {what} | {} |", told(checks)).unwrap();
        }
        text
    }
}

/// What the checks of a scenario come to.
fn told(checks: &[Check]) -> String {
    let words = [
        (Status::Success, "passed"),
        (Status::Failure, "failed"),
        (Status::Warning, "with a warning"),
        (Status::Skipped, "not applicable"),
    ];
    let counts = words.iter().filter_map(|(status, word)| {
        let count = checks.iter().filter(|c| c.status == *status).count();
        (count > 0).then(|| format!("{count} {word}"))
    });
    let counts: Vec<String> = counts.collect();
    counts.join(", ")
}

/// All that whoever runs it wants to see.
pub fn summary(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        writeln!(text, "{}", report.table()).unwrap();
        for (scenario, checks) in &report.results {
            for check in checks {
                let why = check.error_message.as_deref().unwrap_or("(no reason)");
                let word = match check.status {
                    Status::Failure => "fails",
                    Status::Warning => "warns",
                    Status::Success | Status::Skipped | Status::Info => continue,
                };
                writeln!(text, "{scenario}: {} {word}: {why}", check.id).unwrap();
            }
        }
        if !report.failures().is_empty() {
            writeln!(text, "{}", report.log).unwrap();
        }
        text.push('\n');
    }
    text
}

/// Sees that the page tells the same, or writes it.
pub fn page(reports: &[Report]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let tables: Vec<String> = reports.iter().map(Report::table).collect();
    let new = format!("{before}{BEGIN}\n{}\n{END}{after}", tables.join("\n"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, new).unwrap();
        return;
    }
    let advice = "accept with `UPDATE_GOLDEN=1 cargo test --test conformance`";
    assert!(new == text, "{PAGE} is stale; {advice}");
}
