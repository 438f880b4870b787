//! MCP resources: their declarations.

use super::resources::check_token;
use super::step::StepCheck;
use super::{Findings, Resources, check_text};
use crate::spec::data::Json;
use crate::spec::diag::Code;
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::model::{RESOURCE_BYTES, ResourceDecl, TextKind};
use crate::spec::shape::Scope;
use crate::spec::tree::{Tree, is_template, parse_size};

/// Checks the declaration of resources. The folders of all files must be known.
pub(crate) fn check_served(
    doc: &Doc,
    name: &str,
    decl: &ResourceDecl,
    base: &Scope,
    resources: &Resources,
    report: &mut Findings,
) {
    let pointer = join("/resources", name);
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
    if let Some(text) = &decl.description {
        cx.template("description", text);
    }
    cx.folder("folder", &decl.folder, false);
    cx.address(&decl.uri.0);
    cx.template("uri", &decl.uri);
    if let Some(patterns) = &decl.patterns {
        cx.value("patterns", patterns);
        cx.patterns(patterns);
    }
    if let Some(recursive) = &decl.recursive {
        cx.value("recursive", &recursive.0);
    }
    if let Some(size) = &decl.max_bytes {
        let bytes = match &size.0 {
            Tree::Literal(Json::Str(text)) => Some(parse_size(text).unwrap_or(u64::MAX)),
            Tree::Literal(Json::Int(number)) => Some(u64::try_from(*number).unwrap_or(0)),
            Tree::Literal(Json::Uint(number)) => Some(*number),
            _ => None,
        };
        if bytes.is_some_and(|bytes| !(1..=RESOURCE_BYTES).contains(&bytes)) {
            let message = "`max_bytes` must be from 1B to 64MiB".to_owned();
            cx.error(Code::Schema, &cx.at("max_bytes"), message, None);
        }
        cx.value("max_bytes", &size.0);
    }
    for (index, subject) in decl.changed.iter().enumerate() {
        let at = join(&cx.at("changed"), &index.to_string());
        check_token(doc, &at, subject, true, &scope, cx.report);
    }
}

impl StepCheck<'_> {
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
    let Some((scheme, rest)) = text.split_once(':') else {
        return Some("an address begins with a scheme and `:`");
    };
    let first = scheme.starts_with(|c: char| c.is_ascii_lowercase());
    let plain =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    if !first || !scheme.chars().all(plain) {
        return Some("the scheme of an address is small letters, digits, `+`, `-` and `.`");
    }
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
