//! What is known of reloads: how the last one went, and what everything was read from.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::difference::Difference;
use crate::catalog::Sources;
use crate::gateway::{StartError, full};
use crate::spec::diag::{Report, Severity};
use crate::spec::env::now;

/// How the last reload went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReloadState {
    /// Whether what was read is what is served.
    pub ok: bool,
    /// Since when that is so: RFC 3339.
    pub since: String,
    /// What stands in the way, in one line; the log has all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Sections of the config that have changed and want a restart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restart: Vec<&'static str>,
}

/// What is known of reloads.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Reloads {
    /// Held by the one that goes on.
    pub(super) turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    state: Option<ReloadState>,
    sources: Sources,
    /// What was logged as wrong or odd: each once.
    said: String,
    warned: String,
}

/// What is to be said of a reload that went well.
pub(super) struct Told<'a> {
    pub(super) difference: &'a Difference,
    pub(super) warnings: &'a Report,
    pub(super) restart: Vec<&'static str>,
}

impl Reloads {
    /// Before the first reload: what was read at the start, and what was odd about it.
    pub(in crate::gateway) fn new(sources: Sources, warnings: &Report) -> Self {
        let known = Known {
            sources,
            warned: warnings.to_string(),
            ..Known::default()
        };
        Self {
            known: Mutex::new(known),
            ..Self::default()
        }
    }

    // A panic while the lock is held leaves each part whole.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> Option<ReloadState> {
        self.known().state.clone()
    }

    /// What is to be watched.
    pub(super) fn sources(&self) -> Sources {
        self.known().sources.clone()
    }

    /// These are to be watched, too.
    pub(super) fn note_origin(&self, files: Vec<PathBuf>) {
        self.known().sources.files.extend(files);
    }

    /// What was read; when that `failed`, what is served comes from what was read before, and both count.
    pub(super) fn read(&self, sources: Sources, failed: bool) {
        let mut known = self.known();
        if failed {
            known.sources.extend(sources);
        } else {
            known.sources = sources;
        }
    }

    /// Logs what is wrong, once, and notes it.
    pub(super) fn failed(&self, error: &StartError) {
        let mut known = self.known();
        let (text, line) = match error {
            StartError::Specs(report) => (report.to_string(), brief(report)),
            other => (full(other), full(other)),
        };
        if std::mem::replace(&mut known.said, text.clone()) == text {
            tracing::debug!("still not served: {line}");
        } else {
            tracing::error!(
                "the change is not served, and what was served before goes on:\n{text}"
            );
        }
        let before = known.state.take();
        let since = before.as_ref().filter(|state| !state.ok);
        let since = since.map_or_else(now, |state| state.since.clone());
        known.state = Some(ReloadState {
            ok: false,
            since,
            error: Some(line),
            restart: before.map(|state| state.restart).unwrap_or_default(),
        });
    }

    /// Logs what has changed, and notes it.
    pub(super) fn succeeded(&self, told: Told<'_>) {
        let mut known = self.known();
        known.said.clear();
        tracing::info!("reloaded: {}", told.difference);
        let warnings = told.warnings.to_string();
        if !warnings.is_empty() && known.warned != warnings {
            tracing::warn!("the specs have warnings:\n{warnings}");
        }
        known.warned = warnings;
        let before = known.state.take();
        let warned = before.map(|state| state.restart).unwrap_or_default();
        if !told.restart.is_empty() && warned != told.restart {
            let sections = told.restart.join(", ");
            tracing::warn!("changed, and taken over by a restart only: {sections}");
        }
        known.state = Some(ReloadState {
            ok: true,
            since: now(),
            error: None,
            restart: told.restart,
        });
    }
}

/// The first error in one line, and how many there are besides.
fn brief(report: &Report) -> String {
    let sorted = report.sorted();
    let mut errors = sorted.iter().filter(|d| d.severity == Severity::Error);
    let Some(first) = errors.next() else {
        return String::new();
    };
    let place = match (&first.label, first.place()) {
        (Some(label), Some(place)) => {
            let name = Path::new(label.source.name()).display().to_string();
            format!("{name}:{}:{}: ", place.line, place.column)
        }
        _ => String::new(),
    };
    let more = match errors.count() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("{place}{} [{}]{more}", first.message, first.code.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::diag::{Code, Diagnostic};
    use crate::spec::source::Source;

    #[test]
    fn a_failure_is_told_in_one_line_until_it_is_mended() {
        let reloads = Reloads::new(Sources::default(), &Report::new());
        assert_eq!(reloads.state(), None);
        let source = Source::new("mine/a.yaml", "a: 1\nb: 2\n");
        let mut report = Report::new();
        report.push(Diagnostic::error(Code::Schema, &source, 5..6, "no `b`"));
        report.push(Diagnostic::global(Code::Io, "odd").warning());
        report.push(Diagnostic::error(Code::Schema, &source, 8..9, "no 2"));
        reloads.failed(&StartError::Specs(report.clone()));
        let state = reloads.state().unwrap();
        let line = "mine/a.yaml:2:1: no `b` [schema] (and 1 more)";
        assert_eq!(state.error.as_deref(), Some(line));
        reloads.failed(&StartError::Specs(report));
        assert_eq!(reloads.state().unwrap().since, state.since);
        reloads.succeeded(Told {
            difference: &Difference::default(),
            warnings: &Report::new(),
            restart: vec!["nats"],
        });
        let json = serde_json::to_value(reloads.state().unwrap()).unwrap();
        assert_eq!(
            (&json["ok"], &json["restart"][0]),
            (&true.into(), &"nats".into())
        );
        assert_eq!(json.get("error"), None);
    }
}
