//! One section of resources: a folder, and how its files are called.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::ValueKind;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::catalog::{Catalog, FolderPlace};
use crate::engine::resources::Reader;
use crate::engine::{Failure, FailureKind};
use crate::files::{self, ErrorKind, Folder, Listing};
use crate::spec::check::address_problem;
use crate::spec::env::is_omit;
use crate::spec::model::{RESOURCE_BYTES, ResourceCache, ResourceDecl};
use crate::spec::tree::Tree;

/// The largest file that is read when a declaration does not say.
const MAX_BYTES: u64 = 10 << 20;
/// The most patterns.
const MAX_PATTERNS: usize = 100;
/// What is written with `%` in an address: all but what never is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The files of a folder that are served.
#[derive(Debug)]
pub(super) struct Source {
    /// As it is declared.
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// What the address of each file begins with.
    pub(super) prefix: String,
    pub(super) max_bytes: u64,
    /// Subjects by which others say that something has changed.
    pub(super) changed: Vec<String>,
    pub(super) scopes: Vec<String>,
    /// How long clients may keep what is read, if that is declared.
    pub(super) cache: Option<ResourceCache>,
    place: Option<FolderPlace>,
    /// All files when not given.
    patterns: Option<Vec<String>>,
    recursive: bool,
    /// Whether it was said already that the folder is not there.
    missing: AtomicBool,
}

impl Source {
    /// Reads a declaration; `None` where its `when` does not hold. Nothing is asked of the file system.
    ///
    /// # Errors
    /// What cannot be made from this project and config.
    pub(super) fn new(
        catalog: &Catalog,
        pack: usize,
        name: &str,
        decl: &ResourceDecl,
    ) -> Result<Option<Self>, Failure> {
        let base = catalog.base_context(pack);
        let templates = &catalog.templates;
        if let Some(when) = &decl.when
            && !templates.test(when, &base)?
        {
            return Ok(None);
        }
        let reader = Reader {
            templates,
            context: &base,
        };
        let prefix = templates.text(&decl.uri, &base)?;
        if let Some(problem) = address_problem(&prefix) {
            return Err(range(format!("`uri` is {prefix:?}: {problem}")));
        }
        let max_bytes = reader.size("max_bytes", decl.max_bytes.as_ref())?;
        let max_bytes: u64 = max_bytes.unwrap_or(MAX_BYTES);
        if !(1..=RESOURCE_BYTES).contains(&max_bytes) {
            let text = format!("`max_bytes` is {max_bytes}, and must be from 1B to 64MiB");
            return Err(range(text));
        }
        let description = decl.description.as_ref();
        let folder = decl.folder.as_deref().unwrap_or_default();
        let changed = decl.changed.iter().map(|s| templates.token(s, &base));
        Ok(Some(Self {
            name: name.to_owned(),
            description: description.map(|d| templates.text(d, &base)).transpose()?,
            prefix,
            max_bytes,
            changed: changed.collect::<Result<_, _>>()?,
            scopes: decl.scopes.iter().map(ToString::to_string).collect(),
            cache: decl.cache.clone(),
            place: catalog.machine.folder(pack, folder).cloned(),
            patterns: patterns(&reader, decl.patterns.as_ref())?,
            recursive: reader.flag("recursive", decl.recursive.as_ref())?,
            missing: AtomicBool::new(false),
        }))
    }

    /// Whether both are declared alike.
    pub(super) fn same(&self, other: &Self) -> bool {
        let told = |s: &Self| (s.name.clone(), s.description.clone(), s.prefix.clone());
        told(self) == told(other)
            && self.max_bytes == other.max_bytes
            && self.changed == other.changed
            && self.scopes == other.scopes
            && self.cache == other.cache
            && self.place == other.place
            && self.patterns == other.patterns
            && self.recursive == other.recursive
    }

    /// Where the folder is, and whether files of folders in it are served too; `None` where there is nothing to serve.
    pub(super) fn place(&self) -> Option<(&FolderPlace, bool)> {
        let place = self.place.as_ref()?;
        let nothing = self.patterns.as_ref().is_some_and(Vec::is_empty);
        (!nothing).then_some((place, self.recursive))
    }

    /// Opens the folder; `None` while it is not there, which is said once. Blocks.
    ///
    /// # Errors
    /// What else stands in the way.
    pub(super) fn open(&self) -> Result<Option<Folder>, files::Error> {
        let Some((place, _)) = self.place() else {
            return Ok(None);
        };
        match place.open() {
            Ok(folder) => {
                self.missing.store(false, Ordering::Relaxed);
                Ok(Some(folder))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !self.missing.swap(true, Ordering::Relaxed) {
                    let (resources, path) = (&self.name, place.path.display());
                    tracing::warn!(
                        resources,
                        "the folder {path} is not there: its resources are none until it is"
                    );
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What of the folder is served: at most `limit` files after a name.
    pub(super) fn listing<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Listing<'a> {
        Listing {
            patterns: self.patterns.as_deref().unwrap_or_default(),
            recursive: self.recursive,
            after,
            limit,
        }
    }

    /// The address of a file.
    pub(super) fn uri(&self, name: &str) -> String {
        format!("{}{}", self.prefix, utf8_percent_encode(name, ENCODED))
    }

    /// The name of the file that an address means; `None` where it is no address of this folder. Names are not checked.
    pub(super) fn name_of(&self, uri: &str) -> Option<String> {
        let path = uri.strip_prefix(&self.prefix)?;
        let name = percent_decode_str(path).decode_utf8().ok()?;
        Some(name.into_owned())
    }

    /// The address of the file that an address means, as lists show it. The file need not be there.
    pub(super) fn canonical(&self, uri: &str) -> Option<String> {
        let name = files::plain_name(&self.name_of(uri)?).ok()?;
        let listed = self.listing(None, 1).selects(&name);
        listed.then(|| self.uri(&name))
    }
}

/// Refuses two sections of which one has all addresses of the other.
pub(super) fn apart(sources: &[Arc<Source>], new: &Source) -> Result<(), Failure> {
    let same = |one: &str, other: &str| one.starts_with(other) || other.starts_with(one);
    match sources.iter().find(|s| same(&s.prefix, &new.prefix)) {
        Some(other) => Err(range(format!(
            "`uri` is {:?}, and that of `{}` is {:?}: an address would mean two files",
            new.prefix, other.name, other.prefix
        ))),
        None => Ok(()),
    }
}

fn patterns(reader: &Reader<'_>, tree: Option<&Tree>) -> Result<Option<Vec<String>>, Failure> {
    let Some(tree) = tree else { return Ok(None) };
    let value = reader.templates.tree_or_omit(tree, reader.context)?;
    if is_omit(&value) || value.is_none() {
        return Ok(None);
    }
    let wrong = || {
        let text = format!("`patterns` is {value}, and must be a list of at most 100 texts");
        range(text)
    };
    if value.kind() != ValueKind::Seq || value.len().is_some_and(|len| len > MAX_PATTERNS) {
        return Err(wrong());
    }
    let mut patterns = Vec::new();
    for pattern in value.try_iter()? {
        let pattern = pattern.as_str().ok_or_else(wrong)?;
        files::check_pattern(pattern).map_err(|error| range(error.to_string()))?;
        patterns.push(pattern.to_owned());
    }
    Ok(Some(patterns))
}

fn range(text: String) -> Failure {
    Failure::new(FailureKind::Range, text)
}
