//! Tables and journals: their declarations, and the steps that name them.

use super::machine::check_path;
use super::resources::check_token;
use super::step::StepCheck;
use super::{Findings, Resources, check_text, check_tree};
use crate::spec::data::Json;
use crate::spec::diag::Code;
use crate::spec::doc::{Doc, join};
use crate::spec::model::{JournalDecl, TABLE_ENTRIES, TABLE_TTL, TableDecl, TextKind};
use crate::spec::shape::{Scope, Shape};
use crate::spec::suggest;
use crate::spec::tree::{Tree, parse_span};
use crate::spec::verbs::message_shape;

/// Checks the declaration of a table, and tells the shape of its entries. The streams of all files must be known.
pub(crate) fn check_table(
    doc: &Doc,
    name: &str,
    decl: &TableDecl,
    base: &Scope,
    resources: &Resources,
    report: &mut Findings,
) -> Shape {
    let pointer = join("/tables", name);
    let mut cx = StepCheck {
        doc,
        pointer: pointer.clone(),
        scope: base,
        resources,
        report,
    };
    cx.stream("stream", &decl.stream, decl.with.as_ref());
    cx.lasting_stream("stream", &decl.stream);
    if decl.subjects.as_ref().is_some_and(|list| list.is_empty()) {
        let message = "a table without subjects hears nothing: leave `subjects` out, or name some";
        cx.error(Code::Schema, &cx.at("subjects"), message.to_owned(), None);
    }
    for (index, subject) in decl.subjects.iter().flat_map(|s| s.iter()).enumerate() {
        let at = join(&cx.at("subjects"), &index.to_string());
        check_token(doc, &at, subject, true, base, cx.report);
        cx.stored_at(&at, &decl.stream, &subject.0);
    }
    cx.life(decl);
    if let Some(most) = &decl.max_entries {
        cx.whole("max_entries", most, 1..=TABLE_ENTRIES as u64);
    }
    let mut message = base.clone().with("item", message_shape());
    if let Some(when) = &decl.when {
        let (at, kind) = (join(&pointer, "when"), TextKind::Condition);
        check_text(doc, &at, &when.0, kind, &message, report);
        message.guard(crate::spec::expr::paths(&when.0));
    }
    let (at, kind) = (join(&pointer, "key"), TextKind::Condition);
    check_text(doc, &at, &decl.key.0, kind, &message, report);
    let value = check_tree(doc, &join(&pointer, "value"), &decl.value, &message, report);
    entry_shape(value)
}

/// Checks the declaration of a journal.
pub(crate) fn check_journal(
    doc: &Doc,
    name: &str,
    decl: &JournalDecl,
    base: &Scope,
    report: &mut Findings,
) {
    let at = join(&join("/journals", name), "file");
    check_path(doc, &at, &decl.file, "a journal", base, report);
}

/// An entry of a table as expressions see it.
pub(crate) fn entry_shape(value: Shape) -> Shape {
    Shape::object([
        ("key", Shape::Text),
        ("value", value),
        ("time", Shape::Text),
    ])
}

impl StepCheck<'_> {
    /// How long entries live.
    fn life(&mut self, decl: &TableDecl) {
        if let Tree::Literal(Json::Str(text)) = &decl.ttl.0
            && parse_span(text).is_some_and(|life| !TABLE_TTL.contains(&life))
        {
            let message = format!("\"{text}\" is no life of an entry: it is from 1s to 24h");
            self.error(Code::Schema, &self.at("ttl"), message, None);
        }
        self.value("ttl", &decl.ttl.0);
    }

    /// A declared table; answers with the shape of its entries.
    pub fn table(&mut self, key: &str, name: &str) -> Shape {
        if let Some(entry) = self.resources.tables.get(name) {
            return entry.clone();
        }
        let known = self.resources.tables.keys().map(String::as_str);
        let help = suggest::declared("tables", name, known);
        let message = format!("this pack declares no table `{name}`");
        self.error(Code::UnknownResource, &self.at(key), message, Some(help));
        entry_shape(Shape::Any)
    }

    /// A declared journal.
    pub fn journal(&mut self, key: &str, name: &str) {
        if self.resources.journals.contains(name) {
            return;
        }
        let known = self.resources.journals.iter().map(String::as_str);
        let help = suggest::declared("journals", name, known);
        let message = format!("this pack declares no journal `{name}`");
        self.error(Code::UnknownResource, &self.at(key), message, Some(help));
    }
}
