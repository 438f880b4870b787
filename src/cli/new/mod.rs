//! `jacquard new`: packs, tools and project files to begin with.
//!
//! ```text
//! templates   the texts           subject    what is told of a subject
//! stock       what a pack has     pack, tool, project    one for each kind
//! ```

mod config;
mod pack;
mod project;
mod stock;
mod subject;
mod templates;
mod tool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::file::{self, How};
use super::{fail, refuse, say};
use crate::catalog::packs::shown;
use crate::spec::diag::Report;

/// What is made.
#[derive(Debug, Subcommand)]
pub enum Kind {
    /// A folder with a pack and a first tool, and a config that serves it
    Pack(Pack),
    /// A tool with an example, in a file of its own in a pack
    Tool(Tool),
    /// A project file (.loominal-config.json) for the working directory
    Project(Project),
}

/// A pack.
#[derive(Debug, Args)]
pub struct Pack {
    /// Its name, which is also that of its folder: small letters, digits, - and _
    name: String,
}

/// A tool.
#[derive(Debug, Args)]
pub struct Tool {
    /// Its name: letters, digits, - and _
    name: String,
    /// What it does with NATS: publish, request, read, take, get, put, list, enqueue, claim and others
    #[arg(long, value_name = "VERB", value_parser = |verb: &str| templates::of_verb(verb).copied())]
    verb: templates::Template,
    /// The pack's folder [default: the working directory, or the only pack in it]
    #[arg(long, value_name = "DIR")]
    pack: Option<PathBuf>,
    /// The stream, bucket or queue of the pack that it uses; made if there is none of this name [default: the only one]
    #[arg(long, value_name = "NAME")]
    on: Option<String>,
    /// The subject, such as home.{room}.light, where {room} is an argument
    #[arg(long, value_name = "SUBJECT", value_parser = subject::Subject::read)]
    subject: Option<subject::Subject>,
}

/// A project file.
#[derive(Debug, Args)]
pub struct Project {
    /// What the project's subjects and streams begin with [default: the folder's name]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

/// Why nothing was made.
#[derive(Debug)]
enum Refusal {
    /// Files that are there are wrong.
    Report(Report),
    /// What was asked for cannot be.
    Words(String),
}

impl From<Report> for Refusal {
    fn from(report: Report) -> Self {
        Self::Report(report)
    }
}

impl From<String> for Refusal {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

pub fn run(kind: &Kind) -> ExitCode {
    let made = match kind {
        Kind::Pack(request) => pack::make(request),
        Kind::Tool(request) => tool::make(request),
        Kind::Project(request) => project::make(request),
    };
    match made {
        Ok(lines) => {
            say(lines.trim_end());
            ExitCode::SUCCESS
        }
        Err(Refusal::Report(report)) => refuse(&report),
        Err(Refusal::Words(words)) => fail(words),
    }
}

/// Writes a file that must not be there yet.
fn write(path: &Path, text: &str) -> Result<(), String> {
    absent(path)?;
    file::replace(path, None, text, How::default()).map(|_| ())
}

/// Nothing that is there is overwritten.
fn absent(path: &Path) -> Result<(), String> {
    match path.symlink_metadata() {
        Ok(_) => Err(format!(
            "{} is there already, and nothing is overwritten: take another name, or move it away",
            shown(path)
        )),
        Err(_) => Ok(()),
    }
}

/// A path as an argument in a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
