//! Whether what was found is right.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::find::Found;
use super::{Outcome, relative};
use crate::bus::{Bus, BusConfig, address_problem};
use crate::catalog::packs::{Packs, Place, shown};
use crate::catalog::{Catalog, lint};
use crate::cli::{runtime, setup};
use crate::engine::Engine;
use crate::gateway::{Access, base_of};
use crate::project::check_project_file;
use crate::spec::config::set::Setting;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::files::{PackFiles, read_folder, read_source};
use crate::spec::load::load;
use crate::spec::source::Source;
use crate::spec::tree::is_template;
use crate::spec::{self, config::Config};

impl Found {
    /// Checks all of it. `set`: settings that come before those of the configs.
    pub fn check(self, set: &[Setting]) -> Outcome {
        let checked = self.count();
        let mut report = self.report.clone();
        let mut files = BTreeSet::new();
        for folder in &self.packs {
            let place = Place::Folder(folder.clone());
            let loaded = Packs::default().add(place).1;
            match read_folder(folder, &shown(folder)) {
                Ok(pack) => {
                    report.extend(spec::lint::pack(&pack, loaded));
                    files.extend(pack.specs.iter().map(|source| source.name().to_owned()));
                }
                // Loading has said so.
                Err(_) => report.extend(loaded),
            }
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
    let facts = setup::facts_anywhere(&base, config.project.name.as_deref());
    let built = facts.and_then(|facts| Catalog::build(&config, &base, &facts.to_json()));
    match built {
        Ok((catalog, warnings)) => {
            let mut built = warnings;
            built.extend(address(&config));
            built.extend(Access::new(&config, &catalog.tools(), &catalog.prompts).1);
            report.extend(lint::config(&catalog, &config, built));
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
