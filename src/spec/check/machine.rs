//! Folders and programs: their declarations, and the steps that name them.

use super::{Findings, StepCheck, check_tree};
use crate::spec::data::Json;
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::model::{FolderDecl, ProgramDecl};
use crate::spec::shape::Scope;
use crate::spec::suggest;
use crate::spec::tree::Tree;

/// What is known of a declared folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderInfo {
    /// Whether files in it are written and removed.
    pub write: bool,
}

/// Checks the declaration of a folder.
pub(crate) fn check_folder(
    doc: &Doc,
    name: &str,
    decl: &FolderDecl,
    base: &Scope,
    report: &mut Findings,
) -> FolderInfo {
    let pointer = join("/folders", name);
    check_path(
        doc,
        &join(&pointer, "path"),
        &decl.path,
        "a folder",
        base,
        report,
    );
    let write = decl.write.unwrap_or_default();
    if decl.create.unwrap_or_default() && !write {
        let range = doc.key_range(&join(&pointer, "create"));
        let message = "a folder in which nothing is written is not made either";
        report.push(
            Diagnostic::error(Code::Schema, &doc.source, range, message)
                .help("add `write: true`, or leave `create` out"),
        );
    }
    FolderInfo { write }
}

/// Checks the declaration of a program.
pub(crate) fn check_program(
    doc: &Doc,
    name: &str,
    decl: &ProgramDecl,
    base: &Scope,
    report: &mut Findings,
) {
    let at = join(&join("/programs", name), "program");
    check_path(doc, &at, &decl.program, "a program", base, report);
}

/// Checks the path of a declared thing of this machine: a text, or null where it is not wanted.
pub(super) fn check_path(
    doc: &Doc,
    at: &str,
    path: &Tree,
    what: &str,
    base: &Scope,
    report: &mut Findings,
) {
    let fits = match path {
        Tree::Literal(json) => matches!(json, Json::Null | Json::Str(_)),
        Tree::Expr(_) | Tree::Template(_) => true,
        Tree::List(_) | Tree::Map(_) => false,
    };
    if !fits {
        let message = format!("the path of {what} is a text, or null");
        let range = doc.value_range(at);
        report.push(Diagnostic::error(Code::Schema, &doc.source, range, message));
    }
    check_tree(doc, at, path, base, report);
}

impl StepCheck<'_> {
    /// A declared folder; with `writes`, one in which files are written.
    pub fn folder(&mut self, key: &str, name: &str, writes: bool) {
        let folders = &self.resources.folders;
        let (message, help) = match folders.get(name) {
            // Nothing is known of a declaration that is broken.
            Some(None) => return,
            Some(Some(info)) if info.write || !writes => return,
            Some(Some(_)) => (
                format!("files in the folder `{name}` are only read"),
                format!("add `write: true` to the folder `{name}`"),
            ),
            None => (
                format!("this pack declares no folder `{name}`"),
                suggest::declared("folders", name, folders.keys().map(String::as_str)),
            ),
        };
        self.error(Code::UnknownResource, &self.at(key), message, Some(help));
    }

    /// A declared program.
    pub fn program(&mut self, key: &str, name: &str) {
        let programs = &self.resources.programs;
        if !programs.contains(name) {
            let help = suggest::declared("programs", name, programs.iter().map(String::as_str));
            let message = format!("this pack declares no program `{name}`");
            self.error(Code::UnknownResource, &self.at(key), message, Some(help));
        }
    }
}
