//! Whether what was found is right.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::find::Found;
use super::{Outcome, relative};
use crate::bus::{Bus, BusConfig};
use crate::catalog::Catalog;
use crate::catalog::packs::{Packs, Place, shown};
use crate::cli::{runtime, setup};
use crate::engine::Engine;
use crate::gateway::base_of;
use crate::project::{check_project_file, discover};
use crate::spec::config::set::Setting;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::files::{PackFiles, read_folder, read_source};
use crate::spec::load::load;
use crate::spec::source::Source;

impl Found {
    /// Checks all of it. `set`: settings that come before those of the configs.
    pub fn check(self, set: &[Setting]) -> Outcome {
        let checked = self.count();
        let mut report = self.report.clone();
        let mut files = BTreeSet::new();
        for folder in &self.packs {
            let place = Place::Folder(folder.clone());
            report.extend(Packs::default().add(place).1);
            // What cannot be read is told by now.
            let read = read_folder(folder, &shown(folder));
            let specs = read.map(|pack| pack.specs).unwrap_or_default();
            files.extend(specs.iter().map(|source| source.name().to_owned()));
        }
        let singles = [&self.singles, &self.configs, &self.projects];
        files.extend(singles.into_iter().flatten().map(|path| shown(path)));
        for path in &self.singles {
            report.extend(read(path, single));
        }
        for path in &self.configs {
            report.extend(read(path, |source| config(source, path, set)));
        }
        for path in &self.projects {
            report.extend(read(path, |source| check_project_file(source).1));
        }
        Outcome {
            checked,
            files: files.into_iter().collect(),
            report,
        }
    }
}

fn read(path: &Path, check: impl FnOnce(Source) -> Report) -> Report {
    read_source(path, &shown(path)).map_or_else(|problems| problems, check)
}

/// A file that was named, as a pack of its own.
pub fn single(source: Source) -> Report {
    let files = PackFiles {
        specs: vec![source],
        ..PackFiles::default()
    };
    load(&files).1
}

/// A config is right when its packs are found, right, and fit together.
pub fn config(source: Source, path: &Path, set: &[Setting]) -> Report {
    // Where it is checked, the environment it will run in need not be there.
    let folder = base_of(path);
    let (config, mut report) = setup::load(source, &folder, None, set);
    let Some(config) = config else {
        return report;
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
            report.extend(warnings);
            if let Err(failure) = resources(catalog) {
                report.push(Diagnostic::global(
                    Code::Schema,
                    format!("{}: {failure}", shown(path)),
                ));
            }
        }
        Err(problems) => report.extend(named(&problems)),
    }
    report
}

/// The problems with the names of files as they are where a folder is looked into. The project is looked for by its full
/// path, and may be checked by itself as well: what is wrong with it is told once.
fn named(problems: &Report) -> Report {
    let mut report = Report::new();
    for problem in problems.sorted() {
        let mut problem = problem.clone();
        for label in problem.label.iter_mut().chain(&mut problem.related) {
            let name = relative(label.source.name());
            label.source = Source::new(name, label.source.text());
        }
        report.push(problem);
    }
    report
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
