//! Tools that are made from lists and documents.

use super::routine::check_period;
use super::step::check_new_name;
use super::tool::{Surroundings, ToolDraft, check_form};
use super::{Findings, check_text, check_tree};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::model::{Generator, MICRO, TextKind};
use crate::spec::shape::{Scope, Shape};
use crate::spec::suggest;
use crate::spec::tree::is_template;
use crate::spec::vocabulary::DOCUMENT;

/// Where the entries of a generator may come from, other than from a list, and what an entry is then.
fn sources() -> Vec<(&'static str, Shape)> {
    let service = [
        ("name", Shape::Text),
        ("version", Shape::Text),
        ("description", Shape::Text),
        ("metadata", Shape::Any),
        ("ids", Shape::Text.list()),
    ];
    let endpoint = [
        ("name", Shape::Text),
        ("subject", Shape::Text),
        ("queue_group", Shape::Text),
        ("metadata", Shape::Any),
    ];
    let micro = [
        ("service", Shape::object(service)),
        ("endpoint", Shape::object(endpoint)),
    ];
    vec![(MICRO, Shape::object(micro))]
}

/// A generator whose tool may be broken part by part.
pub struct GeneratorDraft {
    /// Its name.
    pub name: String,
    /// All of it, unless a part of it is broken.
    pub whole: Option<Generator>,
    /// Its tool.
    pub tool: ToolDraft,
}

/// The names that all of the pack has: a generator adds some of its own.
const NAMES: &[&str] = &["entry", "doc", "place", DOCUMENT];

/// Checks a generator and the tool that it makes.
pub(crate) fn check_generator(
    doc: &Doc,
    draft: &GeneratorDraft,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    // What its tool sees is only known if the rest is sound; the language's schema has said what is not.
    let Some(generator) = &draft.whole else {
        return;
    };
    let pointer = join("/generate", &draft.name);
    let mut cx = Check {
        doc,
        pointer: &pointer,
        around,
        report,
    };
    let scope = around.base.clone().with("entry", cx.entry(generator));
    let mut scope = cx.document(generator, scope);
    scope.bind(DOCUMENT, Shape::Any);
    cx.making(generator, &mut scope);
    let mut base = around.base.clone();
    for name in scope.names().filter(|name| *name != DOCUMENT) {
        if let Some(shape) = scope.get(name) {
            base.bind(name, shape.clone());
        }
    }
    let around = Surroundings {
        base: &base,
        ..*around
    };
    check_form(doc, &join(&pointer, "tool"), &draft.tool, &around, report);
}

struct Check<'a, 'b> {
    doc: &'a Doc,
    pointer: &'a str,
    around: &'a Surroundings<'b>,
    report: &'a mut Findings,
}

impl Check<'_, '_> {
    fn at(&self, key: &str) -> String {
        join(self.pointer, key)
    }

    fn error(&mut self, code: Code, at: &str, message: String, help: impl Into<String>) {
        let range = self.doc.value_range(at);
        let found = Diagnostic::error(code, &self.doc.source, range, message);
        self.report.push(found.help(help));
    }

    /// Where the entries come from, and what they are.
    fn entry(&mut self, generator: &Generator) -> Shape {
        if generator.every.is_some() && generator.from.is_none() {
            let message = "`every` is for a generator with `from`".to_owned();
            self.error(Code::Tool, &self.at("every"), message, "leave it out");
        }
        let at = self.at("each");
        match (&generator.each, &generator.from) {
            (Some(each), None) => {
                let (base, kind) = (self.around.base, TextKind::Expr);
                check_text(self.doc, &at, &each.0, kind, base, self.report).element()
            }
            (None, Some(from)) => {
                let sources = sources();
                let known = sources.iter().find(|(name, _)| name == from);
                if known.is_none() {
                    let message = format!("there is no source `{from}`");
                    let help = suggest::help(from, sources.iter().map(|(name, _)| *name));
                    self.error(Code::UnknownResource, &self.at("from"), message, help);
                }
                if let Some(every) = &generator.every {
                    let (base, at) = (self.around.base, self.at("every"));
                    check_period(self.doc, &at, every, base, self.report);
                }
                known.map_or(Shape::Any, |(_, shape)| shape.clone())
            }
            (each, _) => {
                let (message, help) = match each {
                    Some(_) => ("`each` and `from` exclude each other", "keep one of them"),
                    None => (
                        "a generator needs a list: `each`, or `from`",
                        "write `each: config.…` for a list in the settings, or `from: micro` for the NATS services there are",
                    ),
                };
                let range = self.doc.key_range(self.pointer);
                let source = &self.doc.source;
                self.report
                    .push(Diagnostic::error(Code::Tool, source, range, message).help(help));
                Shape::Any
            }
        }
    }

    /// The document, and what it and its place are.
    fn document(&mut self, generator: &Generator, scope: Scope) -> Scope {
        let content = match &generator.schema {
            None => Shape::Any,
            Some(name) => match self.around.resources.schemas.get(name.as_ref()) {
                Some(shape) => shape.clone(),
                None => {
                    let known = self.around.resources.schemas.keys().map(String::as_str);
                    let message = format!("this pack declares no schema `{name}`");
                    let help = suggest::help(name, known);
                    self.error(Code::UnknownResource, &self.at("schema"), message, help);
                    Shape::Any
                }
            },
        };
        let Some(document) = &generator.document else {
            if generator.schema.is_some() {
                let message = "`schema` is for a document, and there is no `document`".to_owned();
                self.error(
                    Code::Tool,
                    &self.at("schema"),
                    message,
                    "name a file, or leave it out",
                );
            }
            return scope;
        };
        let at = self.at("document");
        check_tree(self.doc, &at, document, &scope, self.report);
        let place = ["file", "folder", "base"].map(|name| (name, Shape::Text));
        scope
            .with("doc", content)
            .with("place", Shape::object(place))
    }

    /// What is worked out when the tools are made.
    fn making(&mut self, generator: &Generator, scope: &mut Scope) {
        if let Some(text) = &generator.on_error {
            let at = self.at("on_error");
            check_text(
                self.doc,
                &at,
                &text.0,
                TextKind::Text,
                self.around.base,
                self.report,
            );
            if !is_template(&text.0) && !["fail", "skip"].contains(&text.0.as_ref()) {
                let message = format!("`on_error` is `fail` or `skip`, not `{}`", text.0);
                self.error(
                    Code::Schema,
                    &at,
                    message,
                    "`skip` leaves the tool out with a warning",
                );
            }
        }
        for (name, tree) in generator.r#let.iter() {
            let at = join(&self.at("let"), name);
            check_new_name(self.doc, &at, name, self.report);
            if NAMES.contains(&name) {
                let message = format!("`{name}` has a meaning of its own here");
                self.error(Code::Duplicate, &at, message, "choose another name");
            }
            let shape = check_tree(self.doc, &at, tree, scope, self.report);
            scope.bind(name, shape);
        }
        if let Some(when) = &generator.when {
            let (at, kind) = (self.at("when"), TextKind::Condition);
            check_text(self.doc, &at, &when.0, kind, scope, self.report);
            scope.guard(expr::paths(&when.0));
        }
        let (at, kind) = (self.at("name"), TextKind::Text);
        check_text(self.doc, &at, &generator.name.0, kind, scope, self.report);
    }
}
