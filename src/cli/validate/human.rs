//! For people.

use super::Outcome;
use crate::cli::{color, say};

/// Problems on standard error, the count on standard output.
pub fn tell(outcome: &Outcome) {
    if !outcome.report.is_empty() {
        eprintln!("{}\n", outcome.report.render(color()));
    }
    say(&outcome.summary());
}

/// The same as one text, without colours.
pub fn text(outcome: &Outcome) -> String {
    if outcome.report.is_empty() {
        return outcome.summary();
    }
    format!("{}\n\n{}", outcome.report.render(false), outcome.summary())
}
