//! Streams and buckets: their declarations, and what a step must say to pick one.

use std::collections::{BTreeMap, BTreeSet};

use super::examples::KnownToExamples;
use super::machine::FolderInfo;
use super::macros::MacroInfo;
use super::queue::QueueInfo;
use super::step::check_new_name;
use super::{Findings, check_text, check_tree};
use crate::spec::data::{Json, List, Text};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::env::SERVER_ROOTS;
use crate::spec::model::{BucketDecl, Retention, StreamDecl, TextKind};
use crate::spec::shape::{Scope, Shape};
use crate::spec::tree::{
    Expr, Size, Span, Token, Tree, Whole, is_template, parse_size, parse_span,
};

/// The most values of a key that NATS keeps.
const MAX_HISTORY: i64 = 64;

/// How a declared resource becomes actual ones.
#[derive(Debug, Clone, PartialEq)]
pub enum Instances {
    /// Exactly one.
    One,
    /// One for each element of a list; `with:` names fields of the element.
    Each(Shape),
    /// One for each combination of these parameters; `with:` gives all of them.
    Params(Vec<String>),
    /// The declaration is broken: what is said about it elsewhere is enough.
    Unknown,
}

/// What is known of a pack's resources.
#[derive(Debug, Default)]
pub struct Resources {
    /// Streams by name: their instances, and the subjects as written.
    pub streams: BTreeMap<String, (Instances, Vec<String>)>,
    /// Buckets by name.
    pub buckets: BTreeMap<String, Instances>,
    /// Buckets that do not allow entries a life of their own.
    pub plain_buckets: BTreeSet<String>,
    /// Shapes of the values that fit the schemas under `schemas`, by name.
    pub schemas: BTreeMap<String, Shape>,
    /// Buckets whose entries never end by themselves.
    pub endless_buckets: BTreeSet<String>,
    /// Streams whose messages go once they are acknowledged.
    pub work_streams: BTreeSet<String>,
    /// Streams that may not be there.
    pub conditional_streams: BTreeSet<String>,
    /// Queues by name; nothing is known of one whose declaration is broken.
    pub queues: BTreeMap<String, Option<QueueInfo>>,
    /// Shapes of the entries of tables, by name.
    pub tables: BTreeMap<String, Shape>,
    /// Macros: their parameters, and the shape of what each yields.
    pub macros: BTreeMap<String, MacroInfo>,
    /// Those of them that tell clients what has changed, themselves or by way of others.
    pub announcing: BTreeSet<String>,
    /// Inboxes.
    pub inboxes: BTreeSet<String>,
    /// Journals.
    pub journals: BTreeSet<String>,
    /// What proposes values for arguments.
    pub completions: BTreeSet<String>,
    /// Folders by name; nothing is known of one whose declaration is broken.
    pub folders: BTreeMap<String, Option<FolderInfo>>,
    /// Programs.
    pub programs: BTreeSet<String>,
    /// Names of the session state.
    pub session: Vec<String>,
    /// What examples may name.
    pub examples: KnownToExamples,
}

/// Checks a stream declaration and notes it.
pub(crate) fn check_stream(
    doc: &Doc,
    name: &str,
    decl: &StreamDecl,
    base: &Scope,
    resources: &mut Resources,
    report: &mut Findings,
) {
    let mut cx = DeclCheck::new(doc, join("/streams", name), base, report);
    if let Some(when) = &decl.when {
        let (at, kind) = (join(&cx.pointer, "when"), TextKind::Condition);
        check_text(doc, &at, &when.0, kind, base, cx.report);
        resources.conditional_streams.insert(name.to_owned());
    }
    let instances = cx.instances(decl.each.as_ref(), decl.params.as_ref());
    cx.name(&decl.name);
    for (index, subject) in decl.subjects.iter().enumerate() {
        cx.subject(&format!("subjects/{index}"), subject);
    }
    if decl.subjects.is_empty() {
        cx.error(
            "subjects",
            "a stream needs at least one subject",
            "write `subjects: [news.*]`, for example",
        );
    }
    cx.wholes(&[
        ("max_messages", decl.max_messages.as_ref()),
        (
            "max_messages_per_subject",
            decl.max_messages_per_subject.as_ref(),
        ),
        ("replicas", decl.replicas.as_ref()),
    ]);
    cx.sizes(&[
        ("max_bytes", decl.max_bytes.as_ref()),
        ("max_message_size", decl.max_message_size.as_ref()),
    ]);
    cx.spans(&[
        ("max_age", decl.max_age.as_ref()),
        ("duplicate_window", decl.duplicate_window.as_ref()),
    ]);
    if let Some(adjust) = &decl.adjust {
        cx.value("adjust", &adjust.0);
    }
    if decl.retention == Some(Retention::Workqueue) {
        resources.work_streams.insert(name.to_owned());
    }
    let subjects = decl.subjects.iter().map(|s| s.0.to_string()).collect();
    resources
        .streams
        .insert(name.to_owned(), (instances, subjects));
}

/// Checks a bucket declaration and notes it.
pub(crate) fn check_bucket(
    doc: &Doc,
    name: &str,
    decl: &BucketDecl,
    base: &Scope,
    resources: &mut Resources,
    report: &mut Findings,
) {
    let mut cx = DeclCheck::new(doc, join("/buckets", name), base, report);
    let instances = cx.instances(None, decl.params.as_ref());
    cx.name(&decl.name);
    cx.within("history", decl.history.as_ref(), MAX_HISTORY);
    cx.wholes(&[
        ("history", decl.history.as_ref()),
        ("replicas", decl.replicas.as_ref()),
    ]);
    cx.sizes(&[
        ("max_bytes", decl.max_bytes.as_ref()),
        ("max_value_size", decl.max_value_size.as_ref()),
    ]);
    cx.spans(&[
        ("ttl", decl.ttl.as_ref()),
        ("limit_markers", decl.limit_markers.as_ref()),
    ]);
    if decl.limit_markers.is_none() {
        resources.plain_buckets.insert(name.to_owned());
        if decl.ttl.is_none() {
            resources.endless_buckets.insert(name.to_owned());
        }
    }
    resources.buckets.insert(name.to_owned(), instances);
}

struct DeclCheck<'a> {
    doc: &'a Doc,
    pointer: String,
    scope: Scope,
    report: &'a mut Findings,
}

impl<'a> DeclCheck<'a> {
    fn new(doc: &'a Doc, pointer: String, base: &Scope, report: &'a mut Findings) -> Self {
        Self {
            doc,
            pointer,
            scope: base.clone(),
            report,
        }
    }

    fn instances(&mut self, each: Option<&Expr>, params: Option<&List<Text>>) -> Instances {
        match (each, params) {
            (Some(_), Some(_)) => {
                self.error(
                    "params",
                    "`each` and `params` exclude each other",
                    "keep one of them",
                );
                Instances::Unknown
            }
            (Some(each), None) => {
                let pointer = join(&self.pointer, "each");
                let list = check_text(
                    self.doc,
                    &pointer,
                    &each.0,
                    TextKind::Expr,
                    &self.scope,
                    self.report,
                );
                let item = list.element();
                self.scope.bind("item", item.clone());
                Instances::Each(item)
            }
            (None, Some(params)) => {
                for (index, param) in params.iter().enumerate() {
                    let pointer = format!("{}/params/{index}", self.pointer);
                    check_new_name(self.doc, &pointer, param, self.report);
                    self.scope.bind(param, Shape::Text);
                }
                Instances::Params(params.iter().map(ToString::to_string).collect())
            }
            (None, None) => Instances::One,
        }
    }

    fn error(&mut self, key: &str, message: &str, help: &str) {
        let range = self.doc.value_range(&format!("{}/{key}", self.pointer));
        self.report
            .push(Diagnostic::error(Code::Schema, &self.doc.source, range, message).help(help));
    }

    /// The name of a stream or bucket: one token.
    fn name(&mut self, name: &Token) {
        let pointer = format!("{}/name", self.pointer);
        check_token(self.doc, &pointer, name, false, &self.scope, self.report);
        if placeholders_replaced(&name.0).contains('.') && !name.0.contains("subject_tokens") {
            let range = self.doc.value_range(&pointer);
            let message = "the name of a stream or bucket has no dots";
            self.report.push(
                Diagnostic::error(Code::Subject, &self.doc.source, range, message)
                    .help("take `_` or `-` instead: dots are for subjects"),
            );
        }
    }

    /// A whole number; a literal one is checked to be in its range.
    fn within(&mut self, key: &str, value: Option<&Whole>, most: i64) {
        if let Some(Whole(Tree::Literal(Json::Int(number)))) = value
            && !(1..=most).contains(number)
        {
            let message = format!("`{key}` is from 1 to {most}, not {number}");
            let help = format!("write {}", number.clamp(&1, &most));
            self.error(key, &message, &help);
        }
    }

    fn subject(&mut self, key: &str, token: &Token) {
        let pointer = format!("{}/{key}", self.pointer);
        check_token(self.doc, &pointer, token, true, &self.scope, self.report);
    }

    fn value(&mut self, key: &str, tree: &Tree) {
        let pointer = join(&self.pointer, key);
        check_tree(self.doc, &pointer, tree, &self.scope, self.report);
    }

    fn wholes(&mut self, entries: &[(&str, Option<&Whole>)]) {
        for (key, value) in entries {
            if let Some(value) = value {
                self.value(key, &value.0);
            }
        }
    }

    fn sizes(&mut self, entries: &[(&str, Option<&Size>)]) {
        for (key, value) in entries {
            if let Some(value) = value {
                self.measure(key, &value.0, |text| parse_size(text).is_some());
            }
        }
    }

    fn spans(&mut self, entries: &[(&str, Option<&Span>)]) {
        for (key, value) in entries {
            if let Some(value) = value {
                self.measure(key, &value.0, |text| parse_span(text).is_some());
            }
        }
    }

    fn measure(&mut self, key: &str, tree: &Tree, fits: impl Fn(&str) -> bool) {
        // Another form than digits and a unit is reported by the language's schema already.
        if let Tree::Literal(Json::Str(text)) = tree
            && !fits(text)
            && text.starts_with(|c: char| c.is_ascii_digit())
            && fits(&format!(
                "1{}",
                text.trim_start_matches(|c: char| c.is_ascii_digit())
            ))
        {
            self.error(
                key,
                &format!("\"{text}\" is too large"),
                "write a smaller one, or take it out",
            );
        }
        self.value(key, tree);
    }
}

/// Checks a subject, name or key: its expressions, and as far as it is literal, that NATS would take it.
///
/// `wild` allows `*` and `>` as whole tokens, as in the subjects of a stream.
pub(crate) fn check_token(
    doc: &Doc,
    pointer: &str,
    token: &Token,
    wild: bool,
    scope: &Scope,
    report: &mut Findings,
) {
    let text = token.0.as_ref();
    check_text(doc, pointer, text, TextKind::Token, scope, report);
    if let Some(problem) = literal_problem(text, wild) {
        report.push(
            Diagnostic::error(
                Code::Subject,
                &doc.source,
                doc.value_range(pointer),
                problem,
            )
            .help(token_help(text, wild)),
        );
    }
}

/// What to write instead of a token that NATS would not take.
fn token_help(text: &str, wild: bool) -> &'static str {
    if placeholders_replaced(text).contains(['*', '>']) {
        return match wild {
            true => "`*` is a whole token, and `>` the last one: `news.*`, `news.>`",
            false => "write out which one is meant, or put a value in: `{{ args.name }}`",
        };
    }
    "tokens are separated by single dots and have no blanks; `$SYS`, `$JS`, `$KV` and `_INBOX` belong to the server"
}

/// What is wrong with the literal parts of a subject; placeholders count as one good token.
fn literal_problem(text: &str, wild: bool) -> Option<String> {
    let plain = placeholders_replaced(text);
    let root = plain.split('.').next().unwrap_or_default();
    if SERVER_ROOTS.contains(&root) {
        return Some(format!("subjects under `{root}` are the server's own"));
    }
    if plain.is_empty() {
        return Some("a NATS name must not be empty".into());
    }
    if plain.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("a NATS name has no blanks and no control characters".into());
    }
    let tokens: Vec<&str> = plain.split('.').collect();
    for (index, token) in tokens.iter().enumerate() {
        let last = index + 1 == tokens.len();
        let allowed = wild && (*token == "*" || (*token == ">" && last));
        if token.is_empty() {
            return Some("a NATS name has no empty token (two dots, or a dot at an end)".into());
        }
        if token.contains(['*', '>']) && !allowed {
            return Some(format!("the wildcard `{token}` cannot stand here"));
        }
    }
    None
}

/// What stands for a placeholder in a subject that is looked at before it is rendered.
pub(super) const PLACEHOLDER: char = '\u{fffc}';

/// The text with each `{{ … }}` and `{% … %}` taken for one harmless character.
pub(crate) fn placeholders_replaced(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while is_template(rest) {
        let Some(start) = rest.find('{').filter(|_| is_template(rest)) else {
            break;
        };
        let (head, tail) = rest.split_at(start);
        out.push_str(head);
        let close = if tail.starts_with("{{") {
            "}}"
        } else if tail.starts_with("{%") {
            "%}"
        } else if tail.starts_with("{#") {
            "#}"
        } else {
            out.push('{');
            rest = &tail[1..];
            continue;
        };
        if close == "}}" {
            out.push(PLACEHOLDER);
        }
        rest = tail.find(close).map_or("", |at| &tail[at + 2..]);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_parts_are_checked() {
        for good in [
            "a",
            "a.b-c_1",
            "{{ x }}.{{ y }}",
            "a.{{ x | f('.') }}",
            "ö.x",
        ] {
            assert_eq!(literal_problem(good, false), None, "{good}");
        }
        for bad in [
            "",
            "a..b",
            ".a",
            "a.",
            "a b",
            "a.*",
            "a.>",
            "$JS.API.x",
            "$SYS",
            "_INBOX.x",
            "a\tb",
            "$KV.b.k",
            "a.b*",
            "{{ x }} {{ y }}",
        ] {
            assert!(literal_problem(bad, false).is_some(), "{bad}");
        }
        assert_eq!(literal_problem("a.*.b.>", true), None);
        assert!(literal_problem("a.>.b", true).is_some());
        assert_eq!(
            placeholders_replaced("a.{{ b }}.{% if c %}d{% endif %}"),
            format!("a.{PLACEHOLDER}.d")
        );
    }
}
