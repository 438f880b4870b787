//! `jacquard tools`: what is served, how it differs from something else, and what of it is approved.

mod approve;
mod diff;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Source, fail, refuse, say, setup};
use crate::catalog::Catalog;
use crate::gateway::{Access, Client, listing};
use crate::project::Environment;
use crate::spec::config::Config;
use crate::spec::diag::Report;

/// What to do with the tools.
#[derive(Debug, Args)]
pub struct Request {
    #[command(flatten)]
    source: Source,
    /// As MCP's tools/list shows them; with --diff, the differences as JSON
    #[arg(long)]
    json: bool,
    /// A fingerprint of what each is and does, and one of all
    #[arg(long, conflicts_with_all = ["json", "diff"])]
    fingerprints: bool,
    /// What is new, gone and changed between two configs, packs (a folder or a name), or listings saved from --json;
    /// exits with 1 where there is something
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with = "approve")]
    diff: Option<Vec<PathBuf>>,
    /// Approve these tools as they are now, all without a name: writes the file that the config names under `pin`
    #[arg(long, value_name = "TOOL", num_args = 0.., conflicts_with_all = ["json", "fingerprints"])]
    approve: Option<Vec<String>>,
}

pub fn run(request: &Request) -> ExitCode {
    if let Some(sides) = &request.diff {
        return diff::run(sides, request.json);
    }
    if let Some(names) = &request.approve {
        return approve::run(&request.source, names);
    }
    let (catalog, config, warnings) = match read(&request.source) {
        Ok(built) => built,
        Err(report) => return refuse(&report),
    };
    if !warnings.is_empty() {
        eprintln!("{}\n", warnings.render(super::color()));
    }
    let tools = catalog.tools();
    let (access, _) = Access::new(&config, &tools, &catalog.prompts);
    let client = Client::default();
    if request.json {
        let mut listed = listing(&tools);
        listed.retain(|tool| access.may(&client, &tool.name));
        return match serde_json::to_string_pretty(&listed) {
            Ok(text) => {
                say(&text);
                ExitCode::SUCCESS
            }
            Err(error) => fail(error),
        };
    }
    let shown: Vec<_> = tools
        .iter()
        .filter(|tool| access.may(&client, &tool.name))
        .collect();
    let width = shown.iter().map(|t| t.name.len()).max().unwrap_or(0);
    for tool in shown {
        let told = if request.fingerprints {
            catalog.fingerprint(tool)
        } else {
            let description = tool.description.trim();
            let first = description.split_inclusive(". ").next();
            first.unwrap_or_default().trim().to_owned()
        };
        say(&format!("{:width$}  {told}", tool.name));
    }
    if request.fingerprints {
        say(&format!("{:width$}  {}", "", catalog.whole_fingerprint()));
    }
    ExitCode::SUCCESS
}

fn read(source: &Source) -> Result<(Catalog, Config, Report), Report> {
    let env = Environment::from_process();
    let setup = setup::read(source, &env)?;
    let (catalog, warnings) = Catalog::build(&setup.config, &setup.base, &setup.facts.to_json())?;
    Ok((catalog, setup.config, warnings))
}
