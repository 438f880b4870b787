//! Finding packs: built-in ones by name, folders by path.

use std::borrow::Cow;
use std::path::Path;

use super::builtin;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::files::read_folder;
use crate::spec::load::load;
use crate::spec::model::Pack;
use crate::spec::suggest;

/// A built-in pack, or one that was loaded.
pub type PackRef = Cow<'static, Pack>;

/// A built-in pack.
pub fn builtin(name: &str) -> Option<&'static Pack> {
    builtin::PACKS.iter().find(|p| p.name == name).copied()
}

/// A path as people write it: without `./` and doubled separators.
pub fn shown(path: &Path) -> String {
    use std::path::{Component, PathBuf};
    let plain: PathBuf = path
        .components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect();
    if plain.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        plain.display().to_string()
    }
}

/// Finds what a config names: a built-in pack, or a folder when the name looks like a path (it begins with `.` or `/`,
/// or has a separator). Folders are relative to `base`.
///
/// # Errors
/// A report naming the unknown pack, or all that is wrong with the folder's specs.
pub fn resolve(name: &str, base: &Path) -> Result<(PackRef, Report), Report> {
    let is_path = name.starts_with('.') || name.contains(['/', '\\']);
    if is_path {
        let folder = base.join(name);
        let (pack, report) = load(&read_folder(&folder, &shown(&folder))?);
        return match pack {
            Some(pack) => Ok((Cow::Owned(pack), report)),
            None => Err(report),
        };
    }
    builtin(name)
        .map(|pack| (Cow::Borrowed(pack), Report::new()))
        .ok_or_else(|| {
            let names = builtin::PACKS.iter().map(|p| p.name.as_ref());
            let mut report = Report::new();
            report.push(
                Diagnostic::global(Code::UnknownResource, format!("there is no pack `{name}`"))
                    .help(format!(
                        "{} A pack of your own is named by its folder: `./{name}`",
                        suggest::help(name, names)
                    )),
            );
            report
        })
}
