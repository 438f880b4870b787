//! The config, its packs, the variables it names, and the project.

use std::path::Path;
use std::sync::Arc;

use super::finding::{Findings, Subject};
use crate::catalog::Catalog;
use crate::cli::{Source, setup, validate};
use crate::gateway::Setup;
use crate::project::{Environment, Facts, PROJECT_FILES};
use crate::spec::config::Config;
use crate::spec::diag::{Report, Severity};
use crate::spec::files::read_source;

/// The most names that a line lists.
const NAMES: usize = 12;

/// Reads the config and the project as a gateway would; `None` when it could not.
pub fn look(source: &Source, env: &Environment, findings: &mut Findings) -> Option<Setup> {
    let checked = source.config.as_deref().map(|path| checked(path, source));
    let setup = match setup::read(source, env) {
        Ok(setup) => setup,
        Err(problems) => {
            let mut all = problems.clone();
            // What only the check of the packs has seen.
            all.extend(checked.unwrap_or_default().without(|one| {
                problems
                    .sorted()
                    .iter()
                    .any(|known| known.message == one.message && known.code == one.code)
            }));
            findings.report(&all, about);
            return None;
        }
    };
    let report = checked.unwrap_or_default();
    findings.report(&report, about);
    let warnings = report.count(Severity::Warning);
    if warnings > 0
        && let Some(path) = &source.config
    {
        findings.warn(
            Subject::Config,
            format!("{warnings} warning(s) about the config and its packs"),
            format!("`jacquard validate {}` tells them", path.display()),
        );
    }
    variables(&setup.config, findings);
    project(&setup.facts, findings);
    Some(setup)
}

/// The catalog of the packs, which says how much is served.
pub fn catalog(setup: &Setup, findings: &mut Findings) -> Option<Arc<Catalog>> {
    // What is wrong with a config of a file is told by its check.
    let built = Catalog::build(&setup.config, &setup.base, &setup.facts.to_json());
    let catalog = match built {
        Ok((catalog, _)) => catalog,
        Err(problems) => {
            if !findings.is_wrong(Subject::Config) {
                findings.report(&problems, about);
            }
            return None;
        }
    };
    let packs: Vec<&str> = catalog.packs.iter().map(|p| &*p.pack.name).collect();
    findings.ok(
        Subject::Config,
        format!(
            "{} serves {} tool(s) and {} prompt(s) of {}",
            setup.config.name.as_deref().unwrap_or("the config"),
            catalog.tools().len(),
            catalog.prompts.len(),
            packs.join(", ")
        ),
    );
    Some(Arc::new(catalog))
}

fn checked(path: &Path, source: &Source) -> Report {
    match read_source(path, &path.display().to_string()) {
        Ok(text) => validate::config(text, path, &source.set),
        Err(problems) => problems,
    }
}

/// The project file is one of two names, and the user's own lies in a folder of its own.
fn about(file: &str) -> Subject {
    let mut ends = PROJECT_FILES.iter().chain(&["config.json"]);
    match ends.any(|end| file.ends_with(end)) {
        true => Subject::Project,
        false => Subject::Config,
    }
}

fn variables(config: &Config, findings: &mut Findings) {
    let filled: Vec<String> = config
        .filled
        .iter()
        .map(|filled| filled.pointer.trim_start_matches('/').replace('/', "."))
        .chain(config.env.iter().map(|name| format!("env.{name}")))
        .collect();
    if !filled.is_empty() {
        let text = format!("from variables and files, all there: {}", some(&filled));
        findings.ok(Subject::Config, text);
    }
}

fn project(facts: &Facts, findings: &mut Findings) {
    let named = match &facts.name {
        Some(name) => format!("project {name}"),
        None => facts.path.display().to_string(),
    };
    let from = match facts.sources.is_empty() {
        true => "no project file".to_owned(),
        false => facts.sources.join(", "),
    };
    findings.ok(
        Subject::Project,
        format!(
            "{named}: namespace {}, id {}, {} channel(s) ({from})",
            facts.namespace,
            facts.id,
            facts.channels.len()
        ),
    );
    if facts.name.is_none() && !facts.path.is_dir() {
        findings.warn(
            Subject::Project,
            format!("the project's folder {} is not there", facts.path.display()),
            "give the folder by --project, MCP_PROJECT_PATH or `project.path` of the config: streams are named after it",
        );
    }
    for warning in &facts.warnings {
        findings.warn(Subject::Project, warning.clone(), "correct it, or unset it");
    }
}

/// The first of some names, and how many more there are.
pub fn some<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
