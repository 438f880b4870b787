//! The files of a pack, read from a folder.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::diag::{Code, Diagnostic, Report};
use super::source::Source;

/// The most files a pack may have.
const MAX_FILES: usize = 500;
/// The largest file that a block may show, in bytes.
pub const MAX_SHOWN: usize = 1 << 20;
/// The most bytes that such files of a pack may have together.
const MAX_SHOWN_TOGETHER: usize = 16 << 20;

/// The texts a pack is made of.
#[derive(Debug, Clone, Default)]
pub struct PackFiles {
    /// The name of the folder.
    pub name: String,
    /// Spec files, in order of their names.
    pub specs: Vec<Source>,
    /// Template files by name.
    pub templates: BTreeMap<String, Source>,
    /// Files that blocks of contents may show, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Reads the files of a pack's folder: `*.yaml` and `*.yml` in it, and the templates in its `templates/`, or for a
/// folder `specs/<pack>` those in `templates/<pack>` beside `specs`; and the files in its `files/`.
///
/// # Errors
/// A report naming the folder or file that cannot be read.
pub fn read_folder(folder: &Path, shown: &str) -> Result<PackFiles, Report> {
    let real = folder.canonicalize().ok();
    let name = [Some(folder), real.as_deref()]
        .into_iter()
        .flatten()
        .find_map(Path::file_name)
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let specs = read_files(folder, shown, is_spec)?;
    if specs.is_empty() {
        return Err(one(Diagnostic::global(
            Code::Io,
            format!("the folder {shown} has no spec files"),
        )
        .help("a pack is a folder with at least one `.yaml` file")));
    }
    let mut templates = BTreeMap::new();
    let labels = [format!("{shown}/templates"), format!("templates/{name}")];
    for (place, label) in template_folders(folder).iter().zip(labels) {
        if !place.is_dir() {
            continue;
        }
        for source in read_files(place, &label, is_template)? {
            let file = source
                .name()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            templates.entry(file).or_insert(source);
        }
    }
    Ok(PackFiles {
        name,
        specs,
        templates,
        files: read_shown(&file_folder(folder), &format!("{shown}/files"))?,
    })
}

/// Where the files of a pack lie that blocks of contents may show.
pub fn file_folder(folder: &Path) -> PathBuf {
    folder.join("files")
}

/// Reads files of whatever kind, bounded in size; none where there is no such folder.
fn read_shown(folder: &Path, shown: &str) -> Result<BTreeMap<String, Vec<u8>>, Report> {
    let mut files = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    let mut together = 0;
    for path in list_files(folder, shown, is_template)? {
        let name = file_name(&path);
        let bytes = read_bytes(&path, MAX_SHOWN).map_err(|unread| {
            one(Diagnostic::global(
                Code::Io,
                format!("{shown}/{name} {unread}"),
            ))
        })?;
        together += bytes.len();
        files.insert(name, bytes);
        if together > MAX_SHOWN_TOGETHER {
            let text =
                format!("the files in {shown} are larger than {MAX_SHOWN_TOGETHER} bytes together");
            let help = "what is larger belongs into a resource that clients read: `resources`";
            return Err(one(Diagnostic::global(Code::Io, text).help(help)));
        }
    }
    Ok(files)
}

/// Where the templates of a pack's folder may lie; the first comes before the other.
pub fn template_folders(folder: &Path) -> Vec<PathBuf> {
    let own = folder.join("templates");
    let name = folder.file_name().unwrap_or_default();
    let beside = beside_specs(folder).map(|p| p.join("templates").join(name));
    std::iter::once(own).chain(beside).collect()
}

/// Whether a file of a pack's folder is one of its specs.
pub fn is_spec(path: &Path) -> bool {
    is_template(path) && path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}

/// Whether a file of a folder of templates is one: editors keep files of their own beside those that are open.
pub fn is_template(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with(['.', '#']) && !name.ends_with('~')
}

/// The folder that holds the folder `specs` in which a pack lies, as in this repository: its templates are beside it.
fn beside_specs(folder: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(folder).ok()?;
    let specs = absolute.parent()?;
    (specs.file_name()? == "specs").then_some(())?;
    specs.parent().map(Path::to_path_buf)
}

fn read_files(
    folder: &Path,
    shown: &str,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<Source>, Report> {
    let paths = list_files(folder, shown, wanted)?;
    let sources = paths.into_iter().map(|path| {
        let file = file_name(&path);
        let name = match shown {
            "." => file,
            folder => format!("{folder}/{file}"),
        };
        read_source(&path, &name)
    });
    sources.collect()
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
    name.unwrap_or_default()
}

/// The files of a folder that are wanted, in order of their names.
fn list_files(
    folder: &Path,
    shown: &str,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, Report> {
    let failed = |what: &str, error: std::io::Error| {
        one(
            Diagnostic::global(Code::Io, format!("{what} cannot be read: {error}"))
                .help("is the path right? It is relative to the file that names it"),
        )
    };
    let entries = std::fs::read_dir(folder).map_err(|e| failed(shown, e))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| failed(shown, e))?.path();
        if path.is_file() && wanted(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.len() > MAX_FILES {
        return Err(one(Diagnostic::global(
            Code::Io,
            format!("{shown} has more than {MAX_FILES} files"),
        )));
    }
    Ok(paths)
}

/// Reads one text file, bounded in size.
///
/// # Errors
/// A report when it cannot be read, is too large or is not UTF-8.
pub fn read_source(path: &Path, shown: &str) -> Result<Source, Report> {
    match read_text(path, super::doc::MAX_BYTES) {
        Ok(text) => Ok(Source::new(shown, text)),
        Err(unread) => Err(one(Diagnostic::global(
            Code::Io,
            format!("{shown} {unread}"),
        ))),
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The operating system's answer.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is a folder.
    #[error("is a folder, and a file is wanted here")]
    Folder,
    /// A pipe or a device may never end, and cannot be asked for its size.
    #[error("is not a regular file")]
    Special,
    /// It has more bytes than this.
    #[error("is larger than {0} bytes")]
    TooLarge(usize),
    /// Its bytes are no text.
    #[error("is not UTF-8 text")]
    NotText,
}

/// The text of a regular file of at most this many bytes.
///
/// # Errors
/// See [`Unread`].
pub fn read_text(path: &Path, most: usize) -> Result<String, Unread> {
    String::from_utf8(read_bytes(path, most)?).map_err(|_| Unread::NotText)
}

fn read_bytes(path: &Path, most: usize) -> Result<Vec<u8>, Unread> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        return Err(Unread::Folder);
    }
    if !found.is_file() {
        return Err(Unread::Special);
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(Unread::TooLarge(most));
    }
    Ok(bytes)
}

fn one(diagnostic: Diagnostic) -> Report {
    let mut report = Report::new();
    report.push(diagnostic);
    report
}
