//! What a catalog was made from, outside of the program: so that it can be seen when that changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::Catalog;
use super::generate::Library;
use crate::spec::files::{file_folder, is_spec, is_template, template_folders};

/// Files, and folders of which some files count. None of them need be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Single files.
    pub files: BTreeSet<PathBuf>,
    /// Folders with spec files.
    specs: BTreeSet<PathBuf>,
    /// Folders with template files, and with files that blocks show.
    templates: BTreeSet<PathBuf>,
}

impl Sources {
    /// The folder of a pack, and those of its templates and other files.
    pub fn add_pack(&mut self, folder: &Path) {
        self.templates.extend(template_folders(folder));
        self.templates.insert(file_folder(folder));
        self.specs.insert(folder.to_owned());
    }

    /// Takes another's in.
    pub fn extend(&mut self, other: Self) {
        self.files.extend(other.files);
        self.specs.extend(other.specs);
        self.templates.extend(other.templates);
    }

    /// The folders whose files count.
    pub fn pack_folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.specs.iter().chain(&self.templates)
    }

    /// The folders in which something happens when one of the sources changes.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.files.iter().filter_map(|file| file.parent());
        let parents = parents.map(|folder| match folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => folder.to_owned(),
        });
        parents.chain(self.pack_folders().cloned()).collect()
    }

    /// The files that count at this moment, at most `most` of each folder. Blocks.
    pub fn listed(&self, most: usize) -> BTreeSet<PathBuf> {
        let specs = self.specs.iter().map(|f| (f, is_spec as fn(&Path) -> bool));
        let templates = self.templates.iter();
        let templates = templates.map(|f| (f, is_template as fn(&Path) -> bool));
        let mut all = self.files.clone();
        for (folder, counts) in specs.chain(templates) {
            let Ok(entries) = fs::read_dir(folder) else {
                continue;
            };
            let paths = entries.flatten().map(|entry| entry.path());
            all.extend(paths.filter(|path| counts(path)).take(most));
        }
        all
    }
}

impl Catalog {
    /// The documents that tools were made of so far, or would be if they were there.
    pub fn documents(&self) -> Vec<PathBuf> {
        let documents = self.documents.lock();
        let documents = documents.unwrap_or_else(PoisonError::into_inner);
        documents.iter().cloned().collect()
    }

    pub(super) fn note_documents(&self, library: &Library) {
        let documents = self.documents.lock();
        let mut documents = documents.unwrap_or_else(PoisonError::into_inner);
        documents.extend(library.paths());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_files_of_a_pack_count_and_those_of_editors_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("mine");
        fs::create_dir_all(pack.join("templates")).unwrap();
        for name in [
            "a.yaml",
            "b.yml",
            "c.txt",
            ".a.yaml.swp",
            "a.yaml~",
            ".#a.yaml",
        ] {
            fs::write(pack.join(name), "").unwrap();
        }
        for name in ["t.txt", ".t.txt.swp", "#t.txt#"] {
            fs::write(pack.join("templates").join(name), "").unwrap();
        }
        let mut sources = Sources::default();
        sources.files.insert(folder.path().join("gone.yaml"));
        sources.add_pack(&pack);
        let listed = sources.listed(100);
        let shown: Vec<_> = listed
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap())
            .collect();
        let expected = [
            "gone.yaml",
            "mine/a.yaml",
            "mine/b.yml",
            "mine/templates/t.txt",
        ];
        assert_eq!(shown, expected);
        assert!(sources.folders().contains(folder.path()));
    }
}
