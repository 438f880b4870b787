//! `jacquard validate`: for authors, and for CI.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::{runtime, say, setup};
use crate::bus::{Bus, BusConfig, address_problem};
use crate::catalog::packs::{Packs, Place, forms, shown};
use crate::catalog::{Catalog, lint};
use crate::engine::Engine;
use crate::gateway::{Access, base_of};
use crate::project::{check_project_file, discover};
use crate::spec::config::Config;
use crate::spec::config::set::Setting;
use crate::spec::diag::{Code, Diagnostic, Report, Severity};
use crate::spec::doc::Doc;
use crate::spec::files::{PackFiles, read_source};
use crate::spec::foreign::fitting;
use crate::spec::load::load;
use crate::spec::mask::masked;
use crate::spec::model::SECTIONS;
use crate::spec::tree::is_template;

/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 8;
/// Folders that are not looked into: built things, and samples that are wrong on purpose.
const SKIPPED: &[&str] = &["target", "node_modules", "testdata"];
/// The names of project files.
const PROJECT_FILES: &[&str] = &[".loominal-config.json", ".mcp-config.json"];

/// What there is to check.
#[derive(Debug, Default)]
struct Found {
    /// Folders with spec files.
    packs: BTreeSet<PathBuf>,
    /// Files that are named and cannot be told what they are: each is checked as a spec on its own.
    singles: BTreeSet<PathBuf>,
    configs: BTreeSet<PathBuf>,
    projects: BTreeSet<PathBuf>,
    /// Folders that were looked into.
    seen: BTreeSet<PathBuf>,
    /// Settings that come before those of the configs.
    set: Vec<Setting>,
    report: Report,
}

pub fn run(paths: &[PathBuf], set: Vec<Setting>) -> ExitCode {
    let mut found = Found {
        set,
        ..Found::default()
    };
    for path in paths {
        if !path.exists() {
            eprintln!("jacquard: {} does not exist", path.display());
            return ExitCode::from(2);
        }
        let before = found.count();
        found.look(path, 0, true);
        if path.is_dir() && found.count() == before && has_yaml(path) {
            // Whoever names a folder with YAML in it means a pack: say what keeps it from being one.
            found.packs.insert(path.clone());
        }
    }
    let checked = found.count();
    if checked == 0 && found.report.is_empty() {
        eprintln!("jacquard: there are no specs, configs or project files in what was named");
        return ExitCode::from(2);
    }
    let report = found.check();
    if !report.is_empty() {
        eprintln!("{}\n", report.render(super::color()));
    }
    let (errors, warnings) = (
        report.count(Severity::Error),
        report.count(Severity::Warning),
    );
    say(&format!(
        "{checked} checked: {errors} error(s), {warnings} warning(s)"
    ));
    if errors > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Whether a folder has YAML files of its own.
fn has_yaml(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let path = entry.path();
            path.extension().is_some_and(|e| e == "yaml" || e == "yml")
        })
    })
}

impl Found {
    fn count(&self) -> usize {
        self.packs.len() + self.singles.len() + self.configs.len() + self.projects.len()
    }

    fn look(&mut self, path: &Path, depth: usize, named: bool) {
        if path.is_dir() {
            // A link may lead back to a folder that was seen.
            let place = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
            if depth > MAX_DEPTH || !self.seen.insert(place) {
                return;
            }
            let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
                .map(|entries| entries.flatten().map(|e| e.path()).collect())
                .unwrap_or_default();
            entries.sort();
            for entry in entries {
                let name = entry.file_name().unwrap_or_default().to_string_lossy();
                let hidden = name.starts_with('.') && !PROJECT_FILES.contains(&name.as_ref());
                if !hidden && !SKIPPED.contains(&name.as_ref()) {
                    self.look(&entry, depth + 1, false);
                }
            }
            return;
        }
        if !path.is_file() && !named {
            return;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        if PROJECT_FILES.contains(&name.as_ref()) || (named && extension == "json") {
            self.projects.insert(path.to_path_buf());
        } else if extension == "yaml" || extension == "yml" {
            self.yaml(path, named);
        }
    }

    /// A YAML file is a config if it has `packs`, or is a foreign file that a pack serves as one; part of a pack if it has a section of one, and otherwise none of
    /// ours, unless it was named.
    fn yaml(&mut self, path: &Path, named: bool) {
        let doc = read_source(path, &shown(path)).and_then(Doc::parse);
        let doc = match doc {
            Ok(doc) => doc,
            // It is checked again with the pack it may belong to; the same problem is told once.
            Err(report) => return self.report.extend(masked(&report)),
        };
        let has = |keys: &[&str]| keys.iter().any(|key| doc.value.get(key).is_some());
        let foreign = || {
            // What is not named and lacks something is more probably none of them.
            let form = fitting(&doc.value, &forms());
            form.is_some_and(|form| named || form.is_complete(&doc.value))
        };
        let meant =
            || named && !has(SECTIONS) && has(&["name", "nats", "log", "transport", "http"]);
        if has(&["packs"]) || foreign() || meant() {
            self.configs.insert(path.to_path_buf());
        } else if has(SECTIONS) || has(&["settings"]) {
            self.packs.insert(base_of(path));
        } else if named {
            self.singles.insert(path.to_path_buf());
        }
    }

    fn check(self) -> Report {
        let mut report = self.report;
        for folder in &self.packs {
            let place = Place::Folder(folder.clone());
            let loaded = Packs::default().add(place).1;
            report.extend(lint::folder(folder, loaded));
        }
        for path in &self.singles {
            match read_source(path, &shown(path)) {
                Ok(source) => {
                    let files = PackFiles {
                        specs: vec![source],
                        ..PackFiles::default()
                    };
                    report.extend(load(&files).1);
                }
                Err(problems) => report.extend(problems),
            }
        }
        for path in &self.configs {
            check_config(path, &self.set, &mut report);
        }
        for path in &self.projects {
            match read_source(path, &shown(path)) {
                Ok(source) => report.extend(check_project_file(source).1),
                Err(problems) => report.extend(problems),
            }
        }
        report
    }
}

/// A config is right when its packs are found, right, and fit together.
fn check_config(path: &Path, set: &[Setting], report: &mut Report) {
    let source = match read_source(path, &shown(path)) {
        Ok(source) => source,
        Err(problems) => return report.extend(problems),
    };
    // Where it is checked, the environment it will run in need not be there.
    let folder = base_of(path);
    let (config, problems) = setup::load(source, &folder, None, set);
    report.extend(problems);
    let Some(config) = config else {
        return;
    };
    let base = config.base(folder);
    let facts = discover(
        Some(&base),
        config.project.name.as_deref(),
        &std::iter::empty::<(String, String)>().collect(),
    );
    let built = facts.and_then(|facts| Catalog::build(&config, &base, &facts.to_json()));
    match built {
        Ok((catalog, warnings)) => {
            let mut built = warnings;
            built.extend(address(&config));
            built.extend(Access::new(&config, &catalog.tools()).1);
            report.extend(lint::config(&catalog, &config, built));
            if let Err(failure) = resources(catalog) {
                report.push(Diagnostic::global(
                    Code::Schema,
                    format!("{}: {failure}", shown(path)),
                ));
            }
        }
        Err(problems) => report.extend(problems),
    }
}

/// The address of NATS must be one that a gateway can use, as far as it is written out.
fn address(config: &Config) -> Report {
    let url = config.nats.url.as_deref().filter(|url| !is_template(url));
    let Some((problem, doc)) = url.and_then(address_problem).zip(config.doc.as_ref()) else {
        return Report::new();
    };
    let range = doc.value_range("/nats/url");
    Diagnostic::error(Code::Schema, &doc.source, range, problem)
        .help("write `nats://host:4222`; `tls://`, `ws://` and `wss://` are taken too")
        .into()
}

/// Streams and buckets must be ones that NATS could make. Nothing is asked of a server.
fn resources(catalog: Catalog) -> Result<(), String> {
    let runtime = runtime().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let bus = Bus::idle(BusConfig::default())
            .await
            .map_err(|e| e.to_string())?;
        Engine::new(Arc::new(catalog), bus).map_err(|e| e.to_string())?;
        Ok(())
    })
}
