//! `jacquard docs`: reference pages, made of what the program itself reads.
//!
//! The tools of packs come from their specs, the language from its schema, the command line from its declaration. So a page
//! can only be old, never wrong; `--check` tells whether it is.

mod asyncapi;
mod commands;
mod diagram;
mod kept;
mod markdown;
mod names;
mod pack;
mod reference;
mod schema;
mod tools;
mod verbs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};

use self::markdown::{Markdown, code, plain};
use self::pack::Documented;
use self::reference::Intro;
use super::{Cli, Source, fail, refuse, say};
use crate::catalog::builtin;
use crate::project::project_schema;
use crate::spec::config::config_schema;
use crate::spec::diag::Report;
use crate::spec::load::spec_schema;

/// What the help says.
pub const ABOUT: &str = "Write reference pages: tools of packs, and what they touch on NATS.

With packs, or with a config, a page for each pack: its tools with arguments, answers and examples, a diagram of what they \
touch, and an AsyncAPI document of its side of NATS. With neither, the pages of all built-in packs, of the command line, and \
of the files that Jacquard reads.";

/// How pages are made, as they say it themselves.
const MADE_BY: &str = "jacquard docs";
/// Where pages go unless something else is said.
const OUT: &str = "docs/reference";

/// What is documented, and where the pages go.
#[derive(Debug, Args)]
pub struct Request {
    /// Packs: names of built-in ones, or folders
    #[arg(value_name = "PACK", conflicts_with = "config")]
    packs: Vec<String>,
    /// The config whose tools are documented, as it serves them
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for the pages
    #[arg(long, short, value_name = "DIR", default_value = OUT)]
    out: PathBuf,
    /// Write nothing; fail where a page is not as it would be written
    #[arg(long)]
    check: bool,
}

/// Pages by their paths below the folder.
type Pages = BTreeMap<String, String>;

pub fn run(request: &Request) -> ExitCode {
    let made = pages(request);
    let (pages, warnings) = match made {
        Ok(made) => made,
        Err(report) => return refuse(&report),
    };
    if !warnings.is_empty() {
        eprintln!("{}\n", warnings.render(super::color()));
    }
    if request.check {
        return check(&pages, &request.out);
    }
    let mut changed = 0_usize;
    for (path, text) in &pages {
        let file = request.out.join(path);
        if is_fresh(&file, text) {
            continue;
        }
        if let Err(error) = write(&file, text) {
            return fail(format!("{} cannot be written: {error}", file.display()));
        }
        say(&format!("wrote {}", file.display()));
        changed += 1;
    }
    let fresh = pages.len() - changed;
    say(&format!("{changed} page(s) written, {fresh} as they were"));
    ExitCode::SUCCESS
}

fn check(pages: &Pages, out: &Path) -> ExitCode {
    let files = pages.iter().map(|(path, text)| (out.join(path), text));
    let stale: Vec<PathBuf> = files
        .filter(|(file, text)| !is_fresh(file, text))
        .map(|(file, _)| file)
        .collect();
    for file in &stale {
        let what = if file.exists() {
            "is not as it would be written"
        } else {
            "is missing"
        };
        eprintln!("jacquard: {} {what}", file.display());
    }
    if stale.is_empty() {
        say(&format!(
            "{} page(s) are as they would be written",
            pages.len()
        ));
        return ExitCode::SUCCESS;
    }
    fail("write the pages anew: the same command without `--check`")
}

/// Line ends do not count: a checkout may have changed them.
fn is_fresh(file: &Path, text: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|found| found.replace("\r\n", "\n") == text)
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text)
}

/// All pages that are asked for.
fn pages(request: &Request) -> Result<(Pages, Report), Report> {
    let mut pages = Pages::new();
    let (packs, warnings) = match &request.config {
        Some(config) => {
            let source = Source {
                config: Some(config.clone()),
                ..Source::default()
            };
            pack::of_config(&source)?
        }
        None if request.packs.is_empty() => {
            own_pages(&mut pages)?;
            let names: Vec<String> = builtin::PACKS.iter().map(|p| p.name.to_string()).collect();
            pack::of_names(&names)?
        }
        None => pack::of_names(&request.packs)?,
    };
    for pack in &packs {
        let name = pack.name();
        pages.insert(format!("tools/{name}.md"), tools::page(pack, &packs));
        pages.insert(asyncapi::path(name), asyncapi::document(pack));
    }
    let index = index(&packs, &pages);
    pages.insert("README.md".to_owned(), index);
    Ok((pages, warnings))
}

/// The pages that are the same for every pack.
fn own_pages(pages: &mut Pages) -> Result<(), Report> {
    let spec = spec_schema();
    let intro = Intro {
        title: "The spec language",
        text: "Every key of a spec file, as `schemas/spec.schema.json` has it. The [guide](../spec-language.md) explains them; \
               the verbs have [a page of their own](verbs.md). A key in bold is needed.",
        key: "section",
    };
    pages.insert("spec.md".to_owned(), reference::page(&spec, &intro));
    pages.insert("verbs.md".to_owned(), verbs::page(&spec)?);
    let intro = Intro {
        title: "The config",
        text: "Every key of a config, as `schemas/config.schema.json` has it. [Configs](../configs.md) explains them. A key \
               in bold is needed.",
        key: "key",
    };
    pages.insert(
        "config.md".to_owned(),
        reference::page(&config_schema(), &intro),
    );
    let intro = Intro {
        title: "The project file",
        text: "Every key of `.loominal-config.json`, as `schemas/project.schema.json` has it. A key in bold is needed.",
        key: "key",
    };
    pages.insert(
        "project.md".to_owned(),
        reference::page(&project_schema(), &intro),
    );
    pages.insert("cli.md".to_owned(), commands::page(Cli::command()));
    Ok(())
}

/// The page that leads to the others.
fn index(packs: &[Documented], pages: &Pages) -> String {
    let mut page = Markdown::page("Reference", MADE_BY);
    let own = [
        (
            "cli.md",
            "the command line",
            "every command and its arguments",
        ),
        (
            "spec.md",
            "the spec language",
            "every section and key of a spec",
        ),
        (
            "verbs.md",
            "the verbs",
            "what a step can do, takes and yields",
        ),
        ("config.md", "the config", "every key of a config"),
        (
            "project.md",
            "the project file",
            "every key of `.loominal-config.json`",
        ),
    ];
    let rows: Vec<[String; 2]> = own
        .iter()
        .filter(|(file, _, _)| pages.contains_key(*file))
        .map(|(file, title, text)| [format!("[{title}]({file})"), (*text).to_owned()])
        .collect();
    page.table(["page", ""], &rows);
    let rows: Vec<[String; 3]> = packs
        .iter()
        .map(|pack| {
            let name = pack.name();
            [
                format!("[{}](tools/{name}.md)", code(name)),
                format!("{} ({})", plain(&pack.title()), pack.count()),
                format!("[AsyncAPI]({})", asyncapi::path(name)),
            ]
        })
        .collect();
    page.table(["pack", "tools", "its side of NATS"], &rows);
    page.finish()
}

#[cfg(test)]
mod tests;
