//! `jacquard tools`

use std::process::ExitCode;

use super::{Source, fail, refuse, say, setup};
use crate::catalog::Catalog;
use crate::gateway::listing;
use crate::project::Environment;

pub fn run(source: &Source, json: bool) -> ExitCode {
    let env = Environment::from_process();
    let catalog = setup::read(source, &env)
        .and_then(|setup| Catalog::build(&setup.config, &setup.base, &setup.facts.to_json()));
    let (catalog, warnings) = match catalog {
        Ok(built) => built,
        Err(report) => return refuse(&report),
    };
    if !warnings.is_empty() {
        eprintln!("{}\n", warnings.render(super::color()));
    }
    if json {
        return match serde_json::to_string_pretty(&listing(&catalog.tools())) {
            Ok(text) => {
                say(&text);
                ExitCode::SUCCESS
            }
            Err(error) => fail(error),
        };
    }
    let tools = catalog.tools();
    let width = tools.iter().map(|t| t.name.len()).max().unwrap_or(0);
    for tool in tools.iter() {
        let description = tool.description.trim();
        let first = description.split_inclusive(". ").next().unwrap_or_default();
        say(&format!("{:width$}  {}", tool.name, first.trim()));
    }
    ExitCode::SUCCESS
}
