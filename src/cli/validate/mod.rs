//! `jacquard validate`: for authors, and for CI.

mod check;
mod find;
mod fix;
mod github;
mod human;
mod json;
mod junit;
mod sarif;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{fail, say};
use crate::spec::config::set::Setting;
use crate::spec::diag::{Report, Severity};
pub(super) use check::config;
use find::Found;
pub(super) use find::found;

/// What is asked for.
#[derive(Debug, Args)]
pub struct Request {
    /// Files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A setting of a pack, before that of the configs; the value is YAML
    #[arg(long, value_name = "PACK.KEY=VALUE")]
    set: Vec<Setting>,
    /// How problems are told
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Write that to a file, and tell it to people as well
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Warnings are errors
    #[arg(long)]
    strict: bool,
    /// Mend what leaves no doubt: misspelt keys, old ways of writing, the order of a tool's keys
    #[arg(long)]
    fix: bool,
    /// With --fix: only show what would change; exit code 1 if anything would
    #[arg(long, requires = "fix", conflicts_with_all = ["output", "format", "strict"])]
    diff: bool,
}

/// How problems are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: the line of the file, underlined
    #[default]
    Human,
    /// One JSON object
    Json,
    /// Annotations of GitHub Actions
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML: a test case a file
    Junit,
}

/// What was looked at, and what is wrong with it.
struct Outcome {
    /// How many packs, configs, project files and single files were checked.
    checked: usize,
    /// The files that were read for it, by the names that diagnostics have for them.
    files: Vec<String>,
    report: Report,
}

impl Outcome {
    fn count(&self, severity: Severity) -> usize {
        self.report.count(severity)
    }

    /// What was checked and found, in numbers.
    fn summary(&self) -> String {
        format!(
            "{} checked: {} error(s), {} warning(s)",
            self.checked,
            self.count(Severity::Error),
            self.count(Severity::Warning)
        )
    }
}

pub fn run(request: &Request) -> ExitCode {
    let found = match Found::look_at(&request.paths) {
        Ok(found) => found,
        Err(problem) => {
            eprintln!("jacquard: {problem}");
            return ExitCode::from(2);
        }
    };
    if request.fix {
        let changes = fix::changes(&found, &request.set);
        if request.diff {
            return fix::show(&changes);
        }
        if let Err(problem) = fix::write(&changes) {
            return fail(problem);
        }
        // A file that could not be read before may be another kind of file now.
        return match Found::look_at(&request.paths) {
            Ok(found) => tell(request, found),
            Err(problem) => fail(problem),
        };
    }
    tell(request, found)
}

fn tell(request: &Request, found: Found) -> ExitCode {
    let mut outcome = found.check(&request.set);
    if request.strict {
        outcome.report = outcome.report.into_errors();
    }
    let told = match request.format {
        Format::Human => human::text(&outcome),
        Format::Json => json::text(&outcome),
        Format::Github => github::text(&outcome),
        Format::Sarif => sarif::text(&outcome),
        Format::Junit => match junit::text(&outcome) {
            Ok(text) => text,
            Err(problem) => return fail(problem),
        },
    };
    match &request.output {
        Some(path) => {
            if let Err(error) = std::fs::write(path, told + "\n") {
                eprintln!("jacquard: {} cannot be written: {error}", path.display());
                return ExitCode::from(2);
            }
            human::tell(&outcome);
        }
        None if request.format == Format::Human => human::tell(&outcome),
        None => say(&told),
    }
    if outcome.report.has_errors() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// A file's name as other programs want it: relative to the working directory where it lies in there, with `/`.
fn relative(name: &str) -> String {
    let path = Path::new(name);
    let inside = std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    let path = inside.unwrap_or_else(|| path.to_path_buf());
    let shown = path.display().to_string();
    if std::path::MAIN_SEPARATOR == '/' {
        shown
    } else {
        shown.replace(std::path::MAIN_SEPARATOR, "/")
    }
}

/// The word for a severity in data.
fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
