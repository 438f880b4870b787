//! What the packs use of this machine, as far as the config allows it: folders, programs, servers.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use minijinja::value::{Value as Jinja, ValueKind};

use super::{Catalog, LoadedPack, placed};
use crate::files::{self, Folder};
use crate::spec::address::Allowed;
use crate::spec::config::{AllowConfig, Config};
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::join;
use crate::spec::model::FolderDecl;
use crate::spec::tree::Tree;

/// Where a declared folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderPlace {
    /// Absolute, without `..`.
    pub path: PathBuf,
    /// Whether files in it are written and removed.
    pub write: bool,
    /// Whether it is made when it is not there and a file is written.
    pub create: bool,
}

impl FolderPlace {
    /// Opens the folder. Blocks.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open(&self) -> Result<Folder, files::Error> {
        Folder::open(&self.path)
    }

    /// Opens the folder to write in it, and makes it where its declaration says so. Blocks.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open_to_write(&self) -> Result<Folder, files::Error> {
        if self.create {
            Folder::create(&self.path)
        } else {
            Folder::open(&self.path)
        }
    }
}

/// Folders and programs by pack and name, and the servers that may be looked at.
#[derive(Debug, Default)]
pub struct Machine {
    folders: HashMap<(usize, String), FolderPlace>,
    programs: HashMap<(usize, String), PathBuf>,
    /// The servers.
    pub servers: Allowed,
}

impl Machine {
    /// A folder of a pack; `None` where its path is null or empty.
    pub fn folder(&self, pack: usize, name: &str) -> Option<&FolderPlace> {
        self.folders.get(&(pack, name.to_owned()))
    }

    /// A program of a pack: a name to be found in `PATH`, or an absolute path; `None` where it is null or empty.
    pub fn program(&self, pack: usize, name: &str) -> Option<&Path> {
        let program = self.programs.get(&(pack, name.to_owned()));
        program.map(PathBuf::as_path)
    }

    /// What the packs of a catalog use; reports what the config does not allow.
    pub(super) fn of(catalog: &Catalog, config: &Config, report: &mut Report) -> Self {
        let mut machine = Self {
            servers: servers(config, report),
            ..Self::default()
        };
        let allowed = Folders::of(&config.allow, &catalog.base);
        for (index, loaded) in catalog.packs.iter().enumerate() {
            let context = catalog.base_context(index);
            for (name, decl) in loaded.pack.folders.iter() {
                let used = Used::new(loaded, "folder", name);
                match folder(catalog, decl, &context) {
                    Ok(None) => {}
                    Ok(Some(place)) => match allowed.refusal(&used, &place) {
                        None => {
                            let key = (index, name.to_owned());
                            machine.folders.insert(key, place);
                        }
                        Some(refusal) => report.push(refusal),
                    },
                    Err(problem) => report.push(used.cannot(&problem)),
                }
            }
            for (name, decl) in loaded.pack.programs.iter() {
                let used = Used::new(loaded, "program", name);
                match text_or_none(catalog, &decl.program, "program", &context) {
                    Ok(None) => {}
                    Err(problem) => report.push(used.cannot(&problem)),
                    Ok(Some(program)) if config.allow.run.contains(&program) => {
                        let path = program_path(&program, &catalog.base);
                        machine.programs.insert((index, name.to_owned()), path);
                    }
                    Ok(Some(program)) => {
                        report.push(used.refused("runs", &program, "run", &program))
                    }
                }
            }
        }
        machine
    }
}

/// A declaration, for what is said about it.
struct Used<'a> {
    pack: &'a str,
    kind: &'a str,
    name: &'a str,
}

impl<'a> Used<'a> {
    fn new(loaded: &'a LoadedPack, kind: &'a str, name: &'a str) -> Self {
        let pack = loaded.pack.name.as_ref();
        Self { pack, kind, name }
    }

    fn cannot(&self, problem: &str) -> Diagnostic {
        let Self { pack, kind, name } = self;
        let text = format!("the {kind} `{name}` of the pack `{pack}` cannot be used: {problem}");
        Diagnostic::global(Code::Schema, text)
    }

    fn refused(&self, does: &str, what: &str, key: &str, entry: &str) -> Diagnostic {
        let Self { pack, kind, name } = self;
        let text = format!(
            "the pack `{pack}` {does} the {kind} `{name}` ({what}), which this config does not allow"
        );
        let quoted = serde_json::Value::from(entry);
        Diagnostic::global(Code::NotAllowed, text).help(format!(
            "if it may, write into the config: `allow: {{{key}: [{quoted}]}}`"
        ))
    }
}

/// The folders that a config allows, as they really are.
struct Folders {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

impl Folders {
    fn of(allow: &AllowConfig, base: &Path) -> Self {
        let real = |paths: &[String]| {
            let paths = paths.iter().filter_map(|path| absolute(path, base).ok());
            paths.map(|path| real(&path)).collect()
        };
        Self {
            read: real(&allow.read),
            write: real(&allow.write),
        }
    }

    fn refusal(&self, used: &Used<'_>, place: &FolderPlace) -> Option<Diagnostic> {
        let path = real(&place.path);
        let within = |allowed: &[PathBuf]| allowed.iter().any(|folder| path.starts_with(folder));
        let (does, key) = if place.write {
            ("writes in", "write")
        } else {
            ("reads", "read")
        };
        if within(&self.write) || !place.write && within(&self.read) {
            return None;
        }
        let shown = place.path.display().to_string();
        Some(used.refused(does, &shown, key, &shown))
    }
}

fn folder(
    catalog: &Catalog,
    decl: &FolderDecl,
    context: &Jinja,
) -> Result<Option<FolderPlace>, String> {
    let Some(path) = text_or_none(catalog, &decl.path, "path", context)? else {
        return Ok(None);
    };
    Ok(Some(FolderPlace {
        path: absolute(&path, &catalog.base)?,
        write: decl.write.unwrap_or_default(),
        create: decl.create.unwrap_or_default(),
    }))
}

/// A text; `None` where it is null, empty, or a setting that is not there.
fn text_or_none(
    catalog: &Catalog,
    tree: &Tree,
    key: &str,
    context: &Jinja,
) -> Result<Option<String>, String> {
    let value = match catalog.templates.tree(tree, context) {
        Ok(value) => value,
        Err(e) if e.kind() == minijinja::ErrorKind::UndefinedError => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    match (value.kind(), value.as_str()) {
        (ValueKind::None | ValueKind::Undefined, _) | (_, Some("")) => Ok(None),
        (_, Some(text)) => Ok(Some(text.to_owned())),
        _ => Err(format!("`{key}` is {value}, and must be a text")),
    }
}

fn servers(config: &Config, report: &mut Report) -> Allowed {
    Allowed::parse(&config.allow.connect).unwrap_or_else(|wrong| {
        for (index, problem) in wrong {
            let problem = Diagnostic::global(Code::Schema, format!("`allow.connect`: {problem}"));
            let at = join("/allow/connect", &index.to_string());
            report.push(placed(problem, config, &at));
        }
        Allowed::default()
    })
}

/// A name stays one; a path is relative to the config.
fn program_path(program: &str, base: &Path) -> PathBuf {
    if program.contains(['/', '\\']) {
        absolute(program, base).unwrap_or_else(|_| base.join(program))
    } else {
        PathBuf::from(program)
    }
}

/// A path as it is written in a config or a setting, absolute and without `.` and `..`.
fn absolute(path: &str, base: &Path) -> Result<PathBuf, String> {
    let joined = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = std::env::home_dir().filter(|home| home.is_absolute());
            let home = home.ok_or("there is no home folder for `~`; set HOME")?;
            home.join(rest.trim_start_matches('/'))
        }
        _ => base.join(path),
    };
    let joined = std::path::absolute(&joined).map_err(|error| error.to_string())?;
    let mut plain = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    Ok(plain)
}

/// The path with its symbolic links followed, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let mut at = path;
    loop {
        match (at.canonicalize(), at.parent(), at.file_name()) {
            (Ok(mut found), _, _) => {
                found.extend(missing.iter().rev());
                return found;
            }
            (Err(_), Some(parent), Some(name)) => {
                missing.push(name);
                at = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const PACK: &str = r#"
settings: {type: object, properties: {home: {type: string}, tool: {type: string, default: git}}}
folders:
  notes: {path: notes}
  out: {path: "x/../out/deep", write: true, create: true}
  unset: {path: "{{ config.home | default(none) }}"}
programs:
  git: {program: "{{ config.tool }}"}
"#;

    fn build(dir: &Path, config: &str) -> Result<Catalog, Vec<String>> {
        std::fs::create_dir_all(dir.join("p")).unwrap();
        std::fs::write(dir.join("p/p.yaml"), PACK).unwrap();
        let source = crate::spec::source::Source::new("c.yaml", format!("packs: [./p]\n{config}"));
        let config = crate::spec::config::load(source, None).0.unwrap();
        let built = Catalog::build(&config, dir, &json!({"path": "/p", "namespace": "ns"}));
        let (catalog, report) = built.map_err(|report| {
            let lines = report.sorted();
            lines
                .iter()
                .map(|d| format!("{} | {}", d.message, d.help.clone().unwrap_or_default()))
                .collect::<Vec<_>>()
        })?;
        assert!(report.is_empty(), "{report}");
        Ok(catalog)
    }

    #[test]
    fn what_is_allowed_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let allow = "allow: {read: [./], write: [out], run: [git], connect: ['h:1']}\n";
        let machine = build(dir.path(), allow).unwrap().machine;
        let notes = machine.folder(0, "notes").unwrap();
        assert_eq!(
            (notes.path.clone(), notes.write),
            (dir.path().join("notes"), false)
        );
        assert_eq!(notes.open().unwrap_err().kind(), files::ErrorKind::NotFound);
        let out = machine.folder(0, "out").unwrap();
        assert_eq!(out.path, dir.path().join("out/deep"));
        assert!(out.open_to_write().is_ok());
        assert_eq!(machine.folder(0, "unset"), None);
        assert_eq!(machine.program(0, "git"), Some(Path::new("git")));
    }

    #[test]
    fn what_is_not_allowed_refuses_the_pack() {
        let dir = tempfile::tempdir().unwrap();
        let lines = build(dir.path(), "").unwrap_err().join("\n");
        for part in [
            "reads the folder `notes`",
            "writes in the folder `out`",
            "runs the program `git`",
            "allow: {run: [\"git\"]}",
        ] {
            assert!(lines.contains(part), "{lines}");
        }
        // To read is not to write, and a name that begins alike is another folder.
        let lines = build(
            dir.path(),
            "allow: {read: ['.', ou], write: [ou], run: [got]}\n",
        )
        .unwrap_err();
        assert_eq!(lines.len(), 2, "{lines:?}");
        let lines = build(
            dir.path(),
            "allow: {write: ['.'], run: [git], connect: [x]}\n",
        )
        .unwrap_err();
        assert!(lines.len() == 1 && lines[0].contains("`x`"), "{lines:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_a_link_leads_elsewhere_is_elsewhere() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(other.path(), dir.path().join("notes")).unwrap();
        let lines = build(dir.path(), "allow: {write: ['.'], run: [git]}\n").unwrap_err();
        assert!(
            lines.len() == 1 && lines[0].contains("`notes`"),
            "{lines:?}"
        );
        let allow = format!(
            "allow: {{write: ['.'], read: ['{}'], run: [git]}}\n",
            other.path().display()
        );
        assert!(build(dir.path(), &allow).is_ok());
    }
}
