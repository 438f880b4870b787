//! The documents that tools are made from: each is read once, within bounds.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Serde, Value as Jinja};
use minijinja::{Error, ErrorKind};

use crate::catalog::packs::shown;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::Doc;
use crate::spec::files::{Unread, read_text};
use crate::spec::source::Source;

/// The largest document, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// The most documents that are read together.
const MAX_DOCUMENTS: usize = 1_000;

/// Documents by their paths, which are relative to a folder.
#[derive(Debug)]
pub struct Library {
    base: PathBuf,
    read: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    books: HashMap<PathBuf, Book>,
    /// What is wrong with documents that expressions have asked for.
    trouble: Report,
}

/// What became of reading a document.
#[derive(Debug, Clone)]
pub enum Book {
    /// There is no such file.
    Missing,
    /// It cannot be read, or is no YAML.
    Broken(Report),
    /// It was read.
    Sound(Arc<Doc>),
}

impl Library {
    /// Of the documents below or beside a folder.
    pub fn new(base: &Path) -> Arc<Self> {
        let (base, read) = (base.to_owned(), Mutex::default());
        Arc::new(Self { base, read })
    }

    /// The folder that paths are relative to.
    pub fn base(&self) -> &Path {
        &self.base
    }

    // A panic while the lock is held leaves both parts whole: every change is one insert.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a document, or remembers it.
    pub fn open(&self, path: &str) -> Book {
        let path = self.base.join(path);
        let mut shelf = self.shelf();
        if let Some(book) = shelf.books.get(&path) {
            return book.clone();
        }
        if shelf.books.len() >= MAX_DOCUMENTS {
            let text = format!("tools are made from more than {MAX_DOCUMENTS} documents");
            return Book::Broken(Diagnostic::global(Code::Io, text).into());
        }
        let book = read(&path);
        shelf.books.insert(path, book.clone());
        book
    }

    /// The documents that were asked for, also those that are not there.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.shelf().books.keys().cloned().collect()
    }

    /// What documents were found broken by [`Library::function`] since this was asked the last time.
    pub fn trouble(&self) -> Report {
        std::mem::take(&mut self.shelf().trouble)
    }

    /// What expressions call `document`: the content of a file, or of the first that exists of several; absent where there is
    /// none.
    pub fn function(self: &Arc<Self>) -> Jinja {
        let library = Arc::clone(self);
        Jinja::from_function(move |paths: Jinja| -> Result<Jinja, Error> {
            for path in texts(&paths).ok_or_else(no_path)? {
                match library.open(&path) {
                    Book::Missing => {}
                    Book::Sound(doc) => return Ok(Jinja::from(Serde(&doc.value))),
                    Book::Broken(report) => {
                        library.shelf().trouble.extend(report);
                        let text = format!("the document {path} cannot be used");
                        return Err(Error::new(ErrorKind::InvalidOperation, text));
                    }
                }
            }
            Ok(Jinja::UNDEFINED)
        })
    }
}

fn no_path() -> Error {
    let text = "`document` takes a path, or a list of paths";
    Error::new(ErrorKind::InvalidOperation, text)
}

/// A path or a list of paths; null among them is passed over. None for anything else.
pub fn texts(value: &Jinja) -> Option<Vec<String>> {
    if let Some(text) = value.as_str() {
        return Some(vec![text.to_owned()]);
    }
    if value.is_none() || value.is_undefined() {
        return Some(Vec::new());
    }
    let items = value.try_iter().ok()?.filter(|item| !item.is_none());
    items
        .take(MAX_DOCUMENTS)
        .map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn read(path: &Path) -> Book {
    let name = shown(path);
    let text = match read_text(path, MAX_BYTES) {
        Ok(text) => text,
        Err(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Book::Missing,
        Err(unread) => {
            let text = format!("the document {name} {unread}");
            return Book::Broken(Diagnostic::global(Code::Io, text).into());
        }
    };
    match Doc::parse(Source::new(name, text)) {
        Ok(doc) => Book::Sound(Arc::new(doc)),
        Err(report) => Book::Broken(report),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use minijinja::context;

    #[test]
    fn a_document_is_read_once_and_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        file("a.yaml", "x: 1");
        file("broken.yaml", "x: [");
        file("large.yaml", &"#".repeat(MAX_BYTES + 1));
        let library = Library::new(folder.path());
        let Book::Sound(doc) = library.open("a.yaml") else {
            panic!()
        };
        assert_eq!(doc.value["x"], 1);
        file("a.yaml", "x: 2");
        assert!(matches!(library.open("a.yaml"), Book::Sound(again) if again.value["x"] == 1));
        assert!(matches!(library.open("no.yaml"), Book::Missing));
        for bad in ["broken.yaml", "large.yaml", "."] {
            assert!(matches!(library.open(bad), Book::Broken(_)), "{bad}");
        }
    }

    #[test]
    fn expressions_read_the_first_that_exists() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), "x: 1").unwrap();
        std::fs::write(folder.path().join("broken.yaml"), "x: [").unwrap();
        let library = Library::new(folder.path());
        let env = minijinja::Environment::new();
        let eval = |expr: &str| {
            let compiled = env.compile_expression(expr).unwrap();
            compiled.eval(context!(document => library.function()))
        };
        assert_eq!(eval("document('a.yaml').x").unwrap(), Jinja::from(1));
        let first = "document(['no.yaml', none, 'a.yaml']).x";
        assert_eq!(eval(first).unwrap(), Jinja::from(1));
        assert!(eval("document('no.yaml')").unwrap().is_undefined());
        assert!(eval("document(5)").is_err());
        assert!(library.trouble().is_empty());
        assert!(eval("document('broken.yaml')").is_err());
        assert!(library.trouble().has_errors() && library.trouble().is_empty());
    }
}
