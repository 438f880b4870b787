//! What clients are told of a tool, a prompt or a resource beside its name and description.

use std::collections::BTreeMap;

use super::{Findings, check_text, check_tree};
use crate::spec::data::Json;
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::kind;
use crate::spec::model::{Face, IconDecl, TextKind};
use crate::spec::shape::Scope;
use crate::spec::suggest;
use crate::spec::tree::Tree;

/// The files of a pack that blocks and icons may show.
pub(crate) type Shown = BTreeMap<String, Vec<u8>>;

/// Checks `meta` and `icons` of what stands at `pointer`.
pub(super) fn check_face(
    doc: &Doc,
    pointer: &str,
    face: &Face<'_>,
    (base, files): (&Scope, &Shown),
    report: &mut Findings,
) {
    if let Some(meta) = face.meta {
        let at = join(pointer, "meta");
        check_tree(doc, &at, meta, base, report);
        let object = matches!(
            meta,
            Tree::Map(_) | Tree::Expr(_) | Tree::Literal(Json::Map(_))
        );
        if !object {
            let range = doc.value_range(&at);
            let problem = "`meta` must be an object: names and what clients are told under them";
            let found = Diagnostic::error(Code::Schema, &doc.source, range, problem);
            report.push(found.help("for example `meta: {\"example.com/team\": shop}`"));
        }
    }
    for (index, icon) in face.icons.iter().enumerate() {
        let at = join(&join(pointer, "icons"), &index.to_string());
        check_icon(doc, &at, icon, (base, files), report);
    }
}

fn check_icon(
    doc: &Doc,
    at: &str,
    icon: &IconDecl,
    (base, files): (&Scope, &Shown),
    report: &mut Findings,
) {
    let mut problem = |at: &str, text: String, help: &str| {
        let found = Diagnostic::error(Code::Schema, &doc.source, doc.key_range(at), text);
        report.push(found.help(help));
    };
    if icon.src.is_some() == icon.file.is_some() {
        let text = "an icon has exactly one of `src` and `file`".to_owned();
        let help = "write its address under `src`, or the name of a file of the pack under `file`";
        problem(at, text, help);
    }
    if let Some(src) = &icon.src
        && !["https:", "http:", "data:", "{{"]
            .iter()
            .any(|head| src.0.starts_with(head))
    {
        let text = format!("`{}` is no address of a picture", src.0);
        let help = "clients take `https:` and `data:`; a file of the pack is named under `file`";
        problem(&join(at, "src"), text, help);
    }
    if let Some(name) = &icon.file
        && icon.mime.is_none()
        && !kind::of(name).starts_with("image/")
    {
        let text = format!("by its name, `{name}` is {}: no picture", kind::of(name));
        problem(
            &join(at, "file"),
            text,
            "say what it is, for example `mime: image/png`",
        );
    }
    if let Some(src) = &icon.src {
        check_text(doc, &join(at, "src"), &src.0, TextKind::Text, base, report);
    }
    if let Some(name) = &icon.file {
        known_file(doc, &join(at, "file"), name, files, report);
    }
}

/// A file of the pack must be there.
pub(super) fn known_file(doc: &Doc, at: &str, name: &str, files: &Shown, report: &mut Findings) {
    if files.contains_key(name) {
        return;
    }
    let help = match files.is_empty() {
        true => "put it into the folder `files` of the pack".to_owned(),
        false => suggest::help(name, files.keys().map(String::as_str)),
    };
    let problem = format!("there is no file `{name}` in the folder `files` of the pack");
    let range = doc.value_range(at);
    let found = Diagnostic::error(Code::UnknownResource, &doc.source, range, problem);
    report.push(found.help(help));
}
