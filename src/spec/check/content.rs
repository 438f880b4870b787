//! Blocks of contents: of each exactly one kind, with what it names.

use super::face::known_file;
use super::tool::{Surroundings, template_file};
use super::{Findings, check_text};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::kind;
use crate::spec::model::{BLOCK_KINDS, Block, Embedded, Link, Media, TextKind};
use crate::spec::shape::{Scope, Shape};
use crate::spec::tree::{Expr, Template};

/// What blocks are checked with.
pub(super) struct BlockCheck<'a, 'b> {
    pub(super) doc: &'a Doc,
    pub(super) around: &'a Surroundings<'b>,
    pub(super) report: &'a mut Findings,
}

impl BlockCheck<'_, '_> {
    /// Checks a block of a reply, or a message of a prompt.
    pub(super) fn check(&mut self, at: &str, block: &Block<'_>, scope: &Scope) {
        let mut scope = scope.clone();
        if let Some(each) = block.each {
            let list = self.expression(&join(at, "each"), each, TextKind::Expr, &scope);
            scope.bind("item", list.element());
        }
        if let Some(when) = block.when {
            self.expression(&join(at, "when"), when, TextKind::Condition, &scope);
            scope.guard(expr::paths(&when.0));
        }
        self.one_kind(at, block);
        self.text(at, "text", block.text, &scope);
        if let Some(name) = block.template {
            let at = join(at, "template");
            template_file(self.doc, &at, name, &scope, self.around, self.report);
        }
        for (key, media) in [("image", block.image), ("audio", block.audio)] {
            if let Some(media) = media {
                self.media(&join(at, key), key, media, &scope);
            }
        }
        if let Some(resource) = block.resource {
            self.embedded(&join(at, "resource"), resource, &scope);
        }
        if let Some(link) = block.link {
            self.link(&join(at, "link"), link, &scope);
        }
    }

    fn one_kind(&mut self, at: &str, block: &Block<'_>) {
        let given: Vec<&str> = block.kinds().collect();
        if given.len() == 1 {
            return;
        }
        let all = BLOCK_KINDS.join("`, `");
        let (problem, help) = match given.as_slice() {
            [] => (
                format!("this block has none of `{all}`"),
                "write what is said under `text`".to_owned(),
            ),
            several => (
                format!(
                    "a block has one kind, and this has `{}`",
                    several.join("`, `")
                ),
                "make a block of each, one after another".to_owned(),
            ),
        };
        self.problem(at, problem, help);
    }

    fn media(&mut self, at: &str, wanted: &str, media: &Media, scope: &Scope) {
        if media.data.is_some() == media.file.is_some() {
            let problem = format!("`{wanted}` has exactly one of `data` and `file`");
            let help = "write its bytes in base64 under `data`, or the name of a file of the pack \
                        under `file`";
            self.problem(at, problem, help.to_owned());
        }
        self.text(at, "data", media.data.as_ref(), scope);
        self.kind(at, Some(wanted), media.mime.as_ref(), scope);
        match (&media.file, &media.mime) {
            (None, None) if media.data.is_some() => {
                let problem = format!("`{wanted}` needs a `mime`: what its bytes are");
                let help = format!("for example `mime: {}`", usual(wanted));
                self.problem(at, problem, help);
            }
            (None, _) => {}
            (Some(name), mime) => {
                self.file(&join(at, "file"), name);
                let known = kind::of(name);
                if mime.is_none() && !is_of(known, wanted) {
                    let problem = format!("by its name, `{name}` is {known}: no `{wanted}`");
                    let help = format!("say what it is, for example `mime: {}`", usual(wanted));
                    self.problem(&join(at, "file"), problem, help);
                }
            }
        }
    }

    fn embedded(&mut self, at: &str, resource: &Embedded, scope: &Scope) {
        let given = [
            resource.text.is_some(),
            resource.blob.is_some(),
            resource.file.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            let problem = "a resource in a block has exactly one of `text`, `blob` and `file`";
            let help = "write what is to be read under `text`, its bytes in base64 under `blob`, or \
                        the name of a file of the pack under `file`";
            self.problem(at, problem.to_owned(), help.to_owned());
        }
        self.address(at, &resource.uri, scope);
        self.kind(at, None, resource.mime.as_ref(), scope);
        self.text(at, "text", resource.text.as_ref(), scope);
        self.text(at, "blob", resource.blob.as_ref(), scope);
        if let Some(name) = &resource.file {
            self.file(&join(at, "file"), name);
        }
    }

    fn link(&mut self, at: &str, link: &Link, scope: &Scope) {
        self.address(at, &link.uri, scope);
        self.text(at, "name", Some(&link.name), scope);
        self.text(at, "title", link.title.as_ref(), scope);
        self.text(at, "description", link.description.as_ref(), scope);
        self.kind(at, None, link.mime.as_ref(), scope);
        if let Some(size) = &link.size {
            self.expression(&join(at, "size"), size, TextKind::Expr, scope);
        }
    }

    fn address(&mut self, at: &str, uri: &Template, scope: &Scope) {
        self.text(at, "uri", Some(uri), scope);
        if is_plain(uri) && !uri.0.contains(':') {
            let problem = format!("`{}` is no address: it has no scheme", uri.0);
            let help = format!("for example `uri: \"file:///{}\"`", uri.0);
            self.problem(&join(at, "uri"), problem, help);
        }
    }

    /// A MIME type; of a picture or a sound, if `wanted` says so.
    fn kind(&mut self, at: &str, wanted: Option<&str>, mime: Option<&Template>, scope: &Scope) {
        self.text(at, "mime", mime, scope);
        let Some(mime) = mime.filter(|mime| is_plain(mime)) else {
            return;
        };
        let at = join(at, "mime");
        if !kind::is_kind(&mime.0) {
            let problem = format!("`{}` is no MIME type", mime.0);
            let help = format!("for example `mime: {}`", usual(wanted.unwrap_or("text")));
            self.problem(&at, problem, help);
        } else if let Some(wanted) = wanted.filter(|wanted| !is_of(&mime.0, wanted)) {
            let problem = format!("the type `{}` is none of `{wanted}`", mime.0);
            let help = format!(
                "its types begin with `{wanted}/`; anything else is a `resource` with a `blob`"
            );
            self.problem(&at, problem, help);
        }
    }

    fn file(&mut self, at: &str, name: &str) {
        known_file(self.doc, at, name, self.around.files, self.report);
    }

    fn text(&mut self, at: &str, key: &str, text: Option<&Template>, scope: &Scope) {
        if let Some(text) = text {
            let at = join(at, key);
            check_text(self.doc, &at, &text.0, TextKind::Text, scope, self.report);
        }
    }

    fn expression(&mut self, at: &str, expr: &Expr, kind: TextKind, scope: &Scope) -> Shape {
        check_text(self.doc, at, &expr.0, kind, scope, self.report)
    }

    fn problem(&mut self, at: &str, problem: String, help: String) {
        let range = self.doc.key_range(at);
        let found = Diagnostic::error(Code::Schema, &self.doc.source, range, problem);
        self.report.push(found.help(help));
    }
}

/// Whether a text has no expressions.
fn is_plain(text: &Template) -> bool {
    !["{{", "{%", "{#"].iter().any(|open| text.0.contains(open))
}

/// Whether a MIME type is one of `image` or `audio`.
fn is_of(kind: &str, wanted: &str) -> bool {
    kind.split_once('/').is_some_and(|(of, _)| of == wanted)
}

/// A type that people know, as an example.
fn usual(wanted: &str) -> &'static str {
    match wanted {
        "image" => "image/png",
        "audio" => "audio/wav",
        _ => "text/plain",
    }
}
