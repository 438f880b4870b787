//! What was found: lines for people, and one JSON object for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use crate::spec::diag::{Diagnostic, Report, Severity};

/// The version of the JSON form; what is added to it later does not change it.
const VERSION: u64 = 1;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, or may work, and not as it should.
    Warning,
    /// It does not work.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Error => "\x1b[31m",
        }
    }
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// The config and its packs.
    Config,
    /// The project, its files and its identity.
    Project,
    /// The server and the account.
    Nats,
    /// What the NATS user may do.
    Permissions,
    /// Streams and buckets.
    Streams,
    /// What is lost when something breaks.
    Durability,
    /// This machine's clock and the server's.
    Clock,
    /// A gateway that serves HTTP.
    Gateway,
    /// MCP clients.
    Clients,
}

impl Subject {
    fn title(self) -> &'static str {
        match self {
            Self::Config => "Config",
            Self::Project => "Project",
            Self::Nats => "NATS",
            Self::Permissions => "Permissions",
            Self::Streams => "Streams and buckets",
            Self::Durability => "Durability",
            Self::Clock => "Clock",
            Self::Gateway => "Gateway",
            Self::Clients => "Clients",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    pub subject: Subject,
    pub level: Level,
    pub what: String,
    /// What to do.
    #[serde(rename = "do")]
    pub advice: Option<String>,
}

/// All lines, in order.
#[derive(Debug, Default)]
pub struct Findings(Vec<Line>);

impl Findings {
    pub fn ok(&mut self, subject: Subject, what: impl Into<String>) {
        self.add(subject, Level::Ok, what.into(), None);
    }

    /// As it should be, and what could be done all the same.
    pub fn ok_but(&mut self, subject: Subject, what: impl Into<String>, advice: impl Into<String>) {
        self.add(subject, Level::Ok, what.into(), Some(advice.into()));
    }

    pub fn warn(&mut self, subject: Subject, what: impl Into<String>, advice: impl Into<String>) {
        self.add(subject, Level::Warning, what.into(), Some(advice.into()));
    }

    pub fn error(&mut self, subject: Subject, what: impl Into<String>, advice: impl Into<String>) {
        self.add(subject, Level::Error, what.into(), Some(advice.into()));
    }

    fn add(&mut self, subject: Subject, level: Level, what: String, advice: Option<String>) {
        self.0.push(Line {
            subject,
            level,
            what,
            advice,
        });
    }

    /// The errors of a report, each a line; its subject is told by the file.
    pub fn report(&mut self, report: &Report, subject: impl Fn(&str) -> Subject) {
        for problem in report.sorted() {
            if problem.severity == Severity::Error {
                let file = problem.label.as_ref().map(|label| label.source.name());
                self.0.push(Line {
                    subject: subject(file.unwrap_or_default()),
                    level: Level::Error,
                    what: one_line(problem),
                    advice: Some(problem.help.clone().unwrap_or_else(|| {
                        "correct it; `jacquard validate` shows the place".to_owned()
                    })),
                });
            }
        }
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether anything is wrong with this subject.
    pub fn is_wrong(&self, subject: Subject) -> bool {
        let wrong = |line: &Line| line.subject == subject && line.level == Level::Error;
        self.0.iter().any(wrong)
    }

    /// Puts the lines below their subjects, in the order in which they came.
    pub fn sort(&mut self) {
        self.0.sort_by_key(|line| line.subject);
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.count(Level::Error)
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|line| line.level == level).count()
    }

    /// For people: the lines below their subjects.
    pub fn text(&self, color: bool) -> String {
        let mut text = String::new();
        let mut last = None;
        for line in &self.0 {
            if last != Some(line.subject) {
                let _ = writeln!(text, "{}", line.subject.title());
                last = Some(line.subject);
            }
            let (on, off) = match color {
                true => (line.level.colour(), "\x1b[0m"),
                false => ("", ""),
            };
            let _ = writeln!(text, "  {on}{:<7}{off}  {}", line.level.word(), line.what);
            if let Some(advice) = &line.advice {
                let _ = writeln!(text, "           → {advice}");
            }
        }
        let _ = write!(
            text,
            "{} ok, {} warning(s), {} error(s)",
            self.count(Level::Ok),
            self.count(Level::Warning),
            self.count(Level::Error)
        );
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        let value = json!({
            "version": VERSION,
            "counts": {
                "ok": self.count(Level::Ok),
                "warnings": self.count(Level::Warning),
                "errors": self.count(Level::Error),
            },
            "checks": self.0,
        });
        format!("{value:#}")
    }
}

/// A problem with a file, and its place.
fn one_line(problem: &Diagnostic) -> String {
    let place = match (&problem.label, problem.place()) {
        (Some(label), Some(place)) => {
            format!("{}:{}:{}: ", label.source.name(), place.line, place.column)
        }
        _ => String::new(),
    };
    format!("{place}{} [{}]", problem.message, problem.code.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::Value;

    #[test]
    fn lines_stand_below_their_subjects() {
        let mut findings = Findings::default();
        findings.ok(Subject::Nats, "it answers");
        findings.warn(Subject::Nats, "it is old", "replace it");
        findings.error(Subject::Clock, "it is wrong", "set it");
        assert_eq!(
            findings.text(false),
            "NATS\n  ok       it answers\n  warning  it is old\n           → replace it\nClock\n  error    it is wrong\n           → set it\n1 ok, 1 warning(s), 1 error(s)"
        );
        assert_eq!(findings.errors(), 1);
        let told: Value = serde_json::from_str(&findings.json()).unwrap();
        assert_eq!(told["counts"], json!({"ok": 1, "warnings": 1, "errors": 1}));
        assert_eq!(
            told["checks"][1],
            json!({"subject": "nats", "level": "warning", "what": "it is old", "do": "replace it"})
        );
        assert_eq!(told["checks"][0]["do"], Value::Null);
    }
}
