//! Finding packs: built-in ones by name, folders by path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::builtin;
use crate::spec::check::check_uses;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::files::read_folder;
use crate::spec::foreign::{Form, forms as forms_of};
use crate::spec::load::load;
use crate::spec::model::Pack;
use crate::spec::suggest;

/// A built-in pack, or one that was loaded.
pub type PackRef = Cow<'static, Pack>;

/// A built-in pack.
pub fn builtin(name: &str) -> Option<&'static Pack> {
    builtin::PACKS.iter().find(|p| p.name == name).copied()
}

/// The foreign files that built-in packs serve.
pub fn forms() -> Vec<Form<'static>> {
    forms_of(builtin::PACKS.iter().copied())
}

/// A path as people write it: without `./`, doubled separators and ways out of the folder just named.
pub fn shown(path: &Path) -> String {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for part in path.components() {
        let named = matches!(plain.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            // The way out of a folder that is a link leads elsewhere.
            Component::ParentDir if named && !plain.is_symlink() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    if plain.as_os_str().is_empty() {
        ".".to_owned()
    } else {
        plain.display().to_string()
    }
}

/// Where a pack is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the program, under this name.
    Builtin(String),
    /// In this folder.
    Folder(PathBuf),
}

impl Place {
    /// What a config or a pack names: a built-in pack, or a folder when the name looks like a path (it begins with `.` or
    /// `/`, or has a separator). Folders are relative to `base`.
    pub fn of(name: &str, base: &Path) -> Self {
        if name.starts_with('.') || name.contains(['/', '\\']) {
            Self::Folder(base.join(name))
        } else {
            Self::Builtin(name.to_owned())
        }
    }

    /// A folder as a config names it, so that it is told from the name of a built-in pack.
    pub fn named(folder: &Path) -> String {
        let shown = shown(folder);
        if Path::new(&shown).is_absolute() {
            shown
        } else {
            format!("./{shown}")
        }
    }

    /// The same, however it is written.
    fn id(&self) -> Self {
        match self {
            Self::Builtin(name) => Self::Builtin(name.clone()),
            Self::Folder(path) => {
                Self::Folder(path.canonicalize().unwrap_or_else(|_| path.clone()))
            }
        }
    }

    /// What the packs that it uses are relative to.
    fn base(&self) -> &Path {
        match self {
            Self::Builtin(_) => Path::new("."),
            Self::Folder(path) => path,
        }
    }

    fn read(&self) -> Result<(PackRef, Report), Report> {
        match self {
            Self::Folder(folder) => {
                let (pack, report) = load(&read_folder(folder, &shown(folder))?);
                match pack {
                    Some(pack) => Ok((Cow::Owned(pack), report)),
                    None => Err(report),
                }
            }
            Self::Builtin(name) => builtin(name)
                .map(|pack| (Cow::Borrowed(pack), Report::new()))
                .ok_or_else(|| {
                    let names = builtin::PACKS.iter().map(|p| p.name.as_ref());
                    one(Diagnostic::global(
                        Code::UnknownResource,
                        format!("there is no pack `{name}`"),
                    )
                    .help(format!(
                        "{}; a pack of your own is named by its folder: `./{name}`",
                        suggest::help(name, names)
                    )))
                }),
        }
    }
}

/// The most packs that are loaded together.
const MAX_PACKS: usize = 100;

/// A pack that was found.
#[derive(Debug)]
pub struct Found {
    /// The pack.
    pub pack: PackRef,
    /// The packs it uses, by their index.
    pub uses: Vec<usize>,
    place: Place,
}

/// Packs and the packs that they use, each once.
#[derive(Debug, Default)]
pub struct Packs {
    found: Vec<Found>,
    /// Also those that cannot be used, so that this is said once.
    known: HashMap<Place, Option<usize>>,
}

impl Packs {
    /// Finds a pack and all that it uses. Answers with its index, unless it cannot be used, and with all that is wrong.
    pub fn add(&mut self, place: Place) -> (Option<usize>, Report) {
        let known = self.found.len();
        let (index, mut report) = self.find(place);
        let mut next = known;
        while next < self.found.len() {
            report.extend(self.link(next));
            next += 1;
        }
        (index, report)
    }

    /// The folders that were looked into, also those of packs that cannot be used.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.known.keys().filter_map(|place| match place {
            Place::Folder(path) => Some(path.as_path()),
            Place::Builtin(_) => None,
        })
    }

    /// What was found, in the order of finding.
    pub fn into_found(self) -> Vec<Found> {
        self.found
    }

    fn find(&mut self, place: Place) -> (Option<usize>, Report) {
        let id = place.id();
        if let Some(index) = self.known.get(&id) {
            return (*index, Report::new());
        }
        let (index, report) = match place.read() {
            Ok((pack, mut report)) => match self.refusal(&pack) {
                None => {
                    let uses = Vec::new();
                    self.found.push(Found { pack, uses, place });
                    (Some(self.found.len() - 1), report)
                }
                Some(refusal) => {
                    report.push(refusal);
                    (None, report)
                }
            },
            Err(report) => (None, report),
        };
        self.known.insert(id, index);
        (index, report)
    }

    /// Why a pack cannot be loaded beside the others.
    fn refusal(&self, pack: &Pack) -> Option<Diagnostic> {
        if self.found.len() >= MAX_PACKS {
            let text = format!("more than {MAX_PACKS} packs are named and used");
            return Some(Diagnostic::global(Code::Schema, text));
        }
        self.found.iter().find(|f| f.pack.name == pack.name)?;
        let text = format!("two packs are called `{}`", pack.name);
        let twice = Diagnostic::global(Code::Duplicate, text);
        Some(twice.help("give one of them another name: `pack: {name: other}`"))
    }

    /// Finds the packs that a pack uses, and checks what it takes from them.
    fn link(&mut self, index: usize) -> Report {
        let (pack, place) = (
            self.found[index].pack.clone(),
            self.found[index].place.clone(),
        );
        let mut report = Report::new();
        let mut uses = Vec::new();
        for name in pack.uses.iter() {
            let (used, problems) = self.find(Place::of(name, place.base()));
            report.extend(problems);
            if used.is_none() {
                let text = format!(
                    "the pack `{}` uses `{name}`, which cannot be loaded",
                    pack.name
                );
                report.push(Diagnostic::global(Code::UnknownResource, text));
            }
            uses.extend(used);
        }
        if uses.len() == pack.uses.len() {
            let used: Vec<&Pack> = uses.iter().map(|i| self.found[*i].pack.as_ref()).collect();
            report.extend(check_uses(&pack, &used));
        }
        self.found[index].uses = uses;
        report
    }
}

fn one(diagnostic: Diagnostic) -> Report {
    let mut report = Report::new();
    report.push(diagnostic);
    report
}
