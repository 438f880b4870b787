//! MCP resources: their declarations.

use super::face::{Shown, check_face};
use super::resources::check_token;
use super::step::StepCheck;
use super::{Findings, Resources, check_text};
use crate::spec::data::Json;
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::model::{RESOURCE_BYTES, ResourceDecl, TextKind};
use crate::spec::shape::Scope;
use crate::spec::suggest;
use crate::spec::tree::{Tree, is_template, parse_size};
use crate::spec::uri::{self, UriTemplate};

/// Checks the declaration of resources. The folders of all files must be known.
pub(crate) fn check_served(
    doc: &Doc,
    name: &str,
    decl: &ResourceDecl,
    base: &Scope,
    (resources, files): (&Resources, &Shown),
    report: &mut Findings,
) {
    let pointer = join("/resources", name);
    check_face(doc, &pointer, &decl.face(), (base, files), report);
    let mut scope = base.clone();
    if let Some(when) = &decl.when {
        let (at, kind) = (join(&pointer, "when"), TextKind::Condition);
        check_text(doc, &at, &when.0, kind, &scope, report);
        scope.guard(expr::paths(&when.0));
    }
    let mut cx = StepCheck {
        doc,
        pointer,
        scope: &scope,
        resources,
        report,
    };
    if let Some(text) = &decl.title {
        cx.template("title", text);
    }
    if let Some(text) = &decl.description {
        cx.template("description", text);
    }
    cx.template("uri", &decl.uri);
    match &decl.folder {
        Some(folder) => {
            cx.folder("folder", folder, false);
            cx.address(&decl.uri.0);
            cx.files(decl);
        }
        None => {
            cx.whole_address(&decl.uri.0);
            cx.made(decl);
        }
    }
    for (index, subject) in decl.changed.iter().enumerate() {
        let at = join(&cx.at("changed"), &index.to_string());
        check_token(doc, &at, subject, true, &scope, cx.report);
    }
}

/// The parameters in the address of a resource.
pub(super) fn parameters(decl: &ResourceDecl) -> Vec<String> {
    uri::names_in(&decl.uri.0)
}

impl StepCheck<'_> {
    /// The keys of resources that are files.
    fn files(&mut self, decl: &ResourceDecl) {
        let others = [
            ("title", decl.title.is_some()),
            ("meta", decl.meta.is_some()),
            ("icons", decl.icons.is_some()),
            ("mime", decl.mime.is_some()),
            ("parameters", !decl.parameters.is_empty()),
            ("steps", !decl.steps.is_empty()),
            ("text", decl.text.is_some()),
            ("json", decl.json.is_some()),
            ("blob", decl.blob.is_some()),
            ("list_steps", !decl.list_steps.is_empty()),
            ("list", decl.list.is_some()),
        ];
        self.foreign(
            &others,
            "belongs to what steps make, and these are the files of a `folder`",
        );
        if let Some(patterns) = &decl.patterns {
            self.value("patterns", patterns);
            self.patterns(patterns);
        }
        if let Some(recursive) = &decl.recursive {
            self.value("recursive", &recursive.0);
        }
        let Some(size) = &decl.max_bytes else { return };
        let bytes = match &size.0 {
            Tree::Literal(Json::Str(text)) => Some(parse_size(text).unwrap_or(u64::MAX)),
            Tree::Literal(Json::Int(number)) => Some(u64::try_from(*number).unwrap_or(0)),
            Tree::Literal(Json::Uint(number)) => Some(*number),
            _ => None,
        };
        if bytes.is_some_and(|bytes| !(1..=RESOURCE_BYTES).contains(&bytes)) {
            let message = "`max_bytes` must be from 1B to 64MiB".to_owned();
            self.error(Code::Schema, &self.at("max_bytes"), message, None);
        }
        self.value("max_bytes", &size.0);
    }

    /// The keys of resources that steps make; the steps themselves are checked with all others.
    fn made(&mut self, decl: &ResourceDecl) {
        let others = [
            ("patterns", decl.patterns.is_some()),
            ("recursive", decl.recursive.is_some()),
            ("max_bytes", decl.max_bytes.is_some()),
        ];
        self.foreign(
            &others,
            "belongs to the files of a `folder`, and there is none",
        );
        if let Some(mime) = &decl.mime {
            self.template("mime", mime);
        }
        let given = [
            decl.text.is_some(),
            decl.json.is_some(),
            decl.blob.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            let message = "a resource has exactly one of `folder`, `text`, `json` and `blob`";
            self.lacks(message, "write what is to be read under `text` or `json`");
        }
        let names = parameters(decl);
        for (name, parameter) in decl.parameters.iter() {
            let mut cx = self.inside("parameters");
            let at = cx.at(name);
            if !names.iter().any(|known| known == name) {
                let help = suggest::help(name, names.iter().map(String::as_str));
                let message = format!("there is no `{{{name}}}` in the `uri`");
                cx.error(Code::UnknownName, &at, message, Some(help));
            }
            if let Some(completion) = &parameter.complete {
                cx.inside(name).completion("complete", completion);
            }
        }
        if names.is_empty() && (decl.list.is_some() || !decl.list_steps.is_empty()) {
            let message =
                "`list` belongs to an address with a `{name}` in it: this is one resource";
            self.lacks(
                message,
                "leave `list` out, or put a `{name}` into the `uri`",
            );
        }
        if decl.list.is_none() && !decl.list_steps.is_empty() {
            let message = "`list_steps` come before `list`, and there is none";
            self.lacks(
                message,
                "say what is listed: `list: \"{{ found.entries }}\"`",
            );
        }
    }

    fn lacks(&mut self, message: &str, help: &str) {
        let range = self.doc.key_range(&self.pointer);
        let found = Diagnostic::error(Code::Schema, &self.doc.source, range, message);
        self.report.push(found.help(help));
    }

    fn foreign(&mut self, keys: &[(&str, bool)], why: &str) {
        for (key, _) in keys.iter().filter(|(_, given)| *given) {
            let range = self.doc.key_range(&self.at(key));
            let found = Diagnostic::error(
                Code::Schema,
                &self.doc.source,
                range,
                format!("`{key}` {why}"),
            );
            self.report.push(found.help("leave it out"));
        }
    }

    /// A completion of the pack.
    pub(super) fn completion(&mut self, key: &str, name: &str) {
        if !self.resources.completions.contains(name) {
            let known = self.resources.completions.iter().map(String::as_str);
            let help = suggest::help(name, known);
            let message = format!("there is no completion `{name}`");
            self.error(Code::UnknownResource, &self.at(key), message, Some(help));
        }
    }

    /// An address as a whole, as far as it is written out.
    fn whole_address(&mut self, text: &str) {
        // What an expression stands for is not known; it is taken for something that fits.
        let plain = uri::without_expressions(text, "x");
        if let Err(problem) = UriTemplate::parse(&plain) {
            let help = Some("for example `notes://all` or `notes://by-name/{name}`".to_owned());
            self.error(Code::Schema, &self.at("uri"), problem, help);
        }
    }

    /// What addresses begin with, as far as it is written out.
    fn address(&mut self, text: &str) {
        if is_template(text) {
            return;
        }
        if let Some(problem) = address_problem(text) {
            let help = Some("for example `files:///`".to_owned());
            self.error(Code::Schema, &self.at("uri"), problem.to_owned(), help);
        }
    }

    fn patterns(&mut self, patterns: &Tree) {
        let empty = match patterns {
            Tree::List(items) => items.is_empty(),
            Tree::Literal(Json::List(items)) => items.is_empty(),
            _ => false,
        };
        if empty {
            let message = "resources without patterns are no files";
            let help = Some("leave `patterns` out for all files".to_owned());
            self.error(Code::Schema, &self.at("patterns"), message.to_owned(), help);
        }
        let Tree::Literal(Json::List(items)) = patterns else {
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let Json::Str(text) = item else { continue };
            if let Some((problem, help)) = pattern_problem(text) {
                let at = join(&self.at("patterns"), &index.to_string());
                let message = format!("the pattern `{text}` {problem}");
                self.error(Code::Schema, &at, message, Some(help.to_owned()));
            }
        }
    }
}

/// What is wrong with a pattern for the names of files, and what to write instead.
fn pattern_problem(text: &str) -> Option<(&'static str, &'static str)> {
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let inside = &rest[open + 1..];
        let inside = inside.strip_prefix('!').unwrap_or(inside);
        // The first character is one of the choices, even `]`.
        let first = inside.chars().next().map_or(0, char::len_utf8);
        let Some(close) = inside[first..].find(']') else {
            return Some((
                "has a `[` that is never closed",
                "write `[a-z]`, or `[[]` for the bracket itself",
            ));
        };
        rest = &inside[first + close + 1..];
    }
    let alone = |part: &str| !part.contains("**") || part == "**";
    if !text.split('/').all(alone) {
        return Some((
            "has a `**` beside other characters",
            "`**` stands for folders, and alone between two `/`: `**/*.md`",
        ));
    }
    None
}

/// What is wrong with the text that addresses are to begin with.
pub fn address_problem(text: &str) -> Option<&'static str> {
    if let Err(problem) = uri::scheme(text) {
        return Some(problem);
    }
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    if rest == "//" {
        return Some("`//` begins a host: without one, an address goes on with a third `/`");
    }
    if !rest.ends_with('/') {
        return Some("what addresses begin with ends in `/`: the path of the file follows");
    }
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '{' | '}' | '"' | '<' | '>' | '\\');
    if !rest.chars().all(fits) || rest.contains(['?', '#']) {
        return Some("an address has only characters that a URI may have, and no `?` or `#`");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_addresses_begin_with() {
        for good in ["workspace:///", "files://team/a/", "x-y+1.z:/"] {
            assert_eq!(address_problem(good), None, "{good}");
        }
        for bad in [
            "",
            "files",
            "///",
            "Files:///",
            "1f:///",
            "files://",
            "f:///x",
            "f:///a b/",
            "f:///?/",
            "f:///{x}/",
            "f:///ä/",
        ] {
            assert!(address_problem(bad).is_some(), "{bad}");
        }
    }
}
