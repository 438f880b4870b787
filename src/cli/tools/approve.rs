//! `jacquard tools --approve`: what a person has looked at goes into the file that the config names under `pin`.

use std::process::ExitCode;

use crate::catalog::Catalog;
use crate::catalog::pins::Pins;
use crate::cli::file::{self, How};
use crate::cli::{Source, refuse, say, setup};
use crate::project::Environment;
use crate::spec::suggest;

pub fn run(source: &Source, names: &[String]) -> ExitCode {
    let env = Environment::from_process();
    let mut setup = match setup::read(source, &env) {
        Ok(setup) => setup,
        Err(report) => return refuse(&report),
    };
    let Some(named) = setup.config.pin.take() else {
        return wrong(
            "the config names no file of approved tools; write for example `pin: tools.pin.yaml` in it",
        );
    };
    // All tools, also those that are not approved yet.
    let built = Catalog::build(&setup.config, &setup.base, &setup.facts.to_json());
    let catalog = match built {
        Ok((catalog, _)) => catalog,
        Err(report) => return refuse(&report),
    };
    let path = setup.base.join(&named);
    let mut pins = if path.exists() {
        match Pins::read(&path, &named) {
            Ok(pins) => pins,
            Err(report) => return refuse(&report),
        }
    } else {
        Pins::default()
    };
    match approve(&mut pins, &catalog, names) {
        Ok(told) => told.iter().for_each(|line| say(line)),
        Err(problem) => return wrong(&problem),
    }
    let written = file::read(&path)
        .and_then(|old| file::replace(&path, old.as_deref(), &pins.to_text(), How::default()));
    match written {
        Ok(_) => ExitCode::SUCCESS,
        Err(problem) => wrong(&problem),
    }
}

/// Approves; answers with what became of each tool.
fn approve(pins: &mut Pins, catalog: &Catalog, names: &[String]) -> Result<Vec<String>, String> {
    let tools = catalog.tools();
    let mut told = Vec::new();
    for name in names {
        if tools.get(name).is_none() {
            let help = suggest::help(name, tools.names());
            return Err(format!("there is no tool `{name}`; {help}"));
        }
    }
    for tool in tools.iter() {
        let named = names.is_empty() || names.contains(&tool.name);
        if named && pins.approve(&tool.name, &catalog.fingerprint(tool)) {
            told.push(format!("approved {}", tool.name));
        }
    }
    if names.is_empty() {
        let gone = pins.keep(|name| tools.get(name).is_some());
        told.extend(
            gone.iter()
                .map(|name| format!("forgotten {name}: there is no such tool")),
        );
    }
    if told.is_empty() {
        told.push("nothing to approve: all is as it was".to_owned());
    }
    Ok(told)
}

fn wrong(problem: &str) -> ExitCode {
    eprintln!("jacquard: {problem}");
    ExitCode::from(2)
}
