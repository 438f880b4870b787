//! `--fix`: what may be changed without asking, in the files themselves.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use similar::TextDiff;

use super::check;
use super::find::Found;
use crate::catalog::packs::shown;
use crate::cli::file::{self, How};
use crate::cli::say;
use crate::project::check_project_file;
use crate::spec::config::set::Setting;
use crate::spec::files::{PackFiles, read_folder, read_source};
use crate::spec::fix::{Fixed, Kind, fixed};
use crate::spec::load::load;
use crate::spec::mask::mask;
use crate::spec::source::Source;

/// A file that is to be changed.
pub struct Change {
    path: PathBuf,
    kind: Kind,
    before: Source,
    fixed: Fixed,
}

/// What is to be changed in what was found.
pub fn changes(found: &Found, set: &[Setting]) -> Vec<Change> {
    let mut changes = Vec::new();
    for folder in &found.packs {
        pack(folder, &mut changes);
    }
    for path in &found.singles {
        let check = |source: &Source| check::single(source.clone());
        changes.extend(file_of(path, Kind::Spec, check));
    }
    for path in &found.configs {
        let check = |source: &Source| check::config(source.clone(), path, set);
        changes.extend(file_of(path, Kind::Config, check));
    }
    for path in &found.projects {
        let check = |source: &Source| check_project_file(source.clone()).1;
        changes.extend(file_of(path, Kind::Project, check));
    }
    changes
}

/// Each file of a pack, beside the others as they are by then. What cannot be read is told by the check.
fn pack(folder: &Path, changes: &mut Vec<Change>) {
    let Ok(mut files) = read_folder(folder, &shown(folder)) else {
        return;
    };
    for index in 0..files.specs.len() {
        let check = |source: &Source| {
            let mut specs = files.specs.clone();
            specs[index] = source.clone();
            let files = PackFiles {
                specs,
                ..files.clone()
            };
            load(&files).1
        };
        let before = files.specs[index].clone();
        let name = Path::new(before.name()).file_name().unwrap_or_default();
        let path = folder.join(name);
        if let Some(change) = change(path, Kind::Spec, before, check) {
            files.specs[index] = change.fixed.source.clone();
            changes.push(change);
        }
    }
}

fn file_of(
    path: &Path,
    kind: Kind,
    check: impl Fn(&Source) -> crate::spec::diag::Report,
) -> Option<Change> {
    let before = read_source(path, &shown(path)).ok()?;
    change(path.to_path_buf(), kind, before, check)
}

fn change(
    path: PathBuf,
    kind: Kind,
    before: Source,
    check: impl Fn(&Source) -> crate::spec::diag::Report,
) -> Option<Change> {
    let fixed = fixed(before.clone(), kind, check);
    (fixed.source != before).then_some(Change {
        path,
        kind,
        before,
        fixed,
    })
}

/// Writes the files, each in one step, and says on standard error what was fixed.
///
/// # Errors
/// Why a file cannot be written; those before it are.
pub fn write(changes: &[Change]) -> Result<(), String> {
    for change in changes {
        let (before, after) = (change.before.text(), change.fixed.source.text());
        file::replace(&change.path, Some(before), after, How::default())?;
        for told in &change.fixed.told {
            eprintln!("fixed: {}:{told}", change.before.name());
        }
    }
    Ok(())
}

/// Shows what would change. Credentials in configs and project files are covered.
pub fn show(changes: &[Change]) -> ExitCode {
    for change in changes {
        let text = |source: &Source| match change.kind {
            Kind::Spec => source.text().to_owned(),
            Kind::Config | Kind::Project => mask(source.text()),
        };
        let (before, after) = (text(&change.before), text(&change.fixed.source));
        let name = change.before.name();
        let shown = TextDiff::from_lines(before.as_str(), after.as_str())
            .unified_diff()
            .header(&format!("a/{name}"), &format!("b/{name}"))
            .to_string();
        say(shown.trim_end());
    }
    if changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
