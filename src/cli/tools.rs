//! `jacquard tools`

use std::process::ExitCode;

use super::{Source, fail, refuse, say, setup};
use crate::catalog::Catalog;
use crate::gateway::{Access, Client, listing};
use crate::project::Environment;

pub fn run(source: &Source, json: bool) -> ExitCode {
    let env = Environment::from_process();
    let setup = match setup::read(source, &env) {
        Ok(setup) => setup,
        Err(report) => return refuse(&report),
    };
    let catalog = Catalog::build(&setup.config, &setup.base, &setup.facts.to_json());
    let (catalog, warnings) = match catalog {
        Ok(built) => built,
        Err(report) => return refuse(&report),
    };
    if !warnings.is_empty() {
        eprintln!("{}\n", warnings.render(super::color()));
    }
    let tools = catalog.tools();
    let (access, _) = Access::new(&setup.config, &tools, &catalog.prompts);
    let client = Client::default();
    if json {
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
        let description = tool.description.trim();
        let first = description.split_inclusive(". ").next().unwrap_or_default();
        say(&format!("{:width$}  {}", tool.name, first.trim()));
    }
    ExitCode::SUCCESS
}
