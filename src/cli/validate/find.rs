//! What there is to check in the files and folders that were named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::catalog::packs::{forms, shown};
use crate::gateway::base_of;
use crate::project::PROJECT_FILES;
use crate::spec::diag::Report;
use crate::spec::doc::Doc;
use crate::spec::files::read_source;
use crate::spec::foreign::fitting;
use crate::spec::mask::masked;
use crate::spec::model::SECTIONS;

/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 8;
/// Folders that are not looked into: built things, and samples that are wrong on purpose.
const SKIPPED: &[&str] = &["target", "node_modules", "testdata"];

/// What there is to check.
#[derive(Debug, Default)]
pub struct Found {
    /// Folders with spec files.
    pub packs: BTreeSet<PathBuf>,
    /// Files that are named and cannot be told what they are: each is checked as a spec on its own.
    pub singles: BTreeSet<PathBuf>,
    /// Configs, and foreign files that stand for one.
    pub configs: BTreeSet<PathBuf>,
    /// Project files.
    pub projects: BTreeSet<PathBuf>,
    /// What could not be read.
    pub report: Report,
    /// Folders that were looked into.
    seen: BTreeSet<PathBuf>,
}

impl Found {
    /// Looks into files and folders.
    ///
    /// # Errors
    /// A path does not exist, or there is nothing to check.
    pub fn look_at(paths: &[PathBuf]) -> Result<Self, String> {
        let mut found = Self::default();
        for path in paths {
            if !path.exists() {
                return Err(format!("{} does not exist", path.display()));
            }
            let before = found.count();
            found.look(path, 0, true);
            if path.is_dir() && found.count() == before && has_yaml(path) {
                // Whoever names a folder with YAML in it means a pack: say what keeps it from being one.
                found.packs.insert(path.clone());
            }
        }
        if found.count() == 0 && found.report.is_empty() {
            return Err("there are no specs, configs or project files in what was named".into());
        }
        Ok(found)
    }

    /// How many things there are.
    pub fn count(&self) -> usize {
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
}

/// The folders of packs and the configs that a path means or has below it, and what cannot be read.
pub fn found(path: &Path) -> (Vec<PathBuf>, Vec<PathBuf>, Report) {
    let mut found = Found::default();
    found.look(path, 0, true);
    let packs = found.packs.into_iter().chain(found.singles);
    (
        packs.collect(),
        found.configs.into_iter().collect(),
        found.report,
    )
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
