//! What a verb's grammar uses to check its keys.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::macros::MacroInfo;
use super::resources::{Instances, PLACEHOLDER, Resources, check_token, placeholders_replaced};
use super::{Findings, check_text, check_tree};
use crate::spec::data::{Json, Map};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::model::{KeyRef, TextKind};
use crate::spec::shape::{Lookup, Scope, Shape};
use crate::spec::source::Source;
use crate::spec::suggest;
use crate::spec::tree::{
    Expr, Span, SubjectList, Template, Token, Tree, Whole, is_template, parse_span,
};
use crate::spec::verbs::Verb;

/// Names that a step cannot give to something of its own.
const TAKEN: &[&str] = &[
    "args", "call", "client", "session", "project", "config", "env", "tools", "gateway", "item",
    "result", "error", "omit", "loop",
];

/// A step's place and surroundings.
pub struct StepCheck<'a> {
    pub(super) doc: &'a Doc,
    /// Pointer to the verb's value: `/tools/x/steps/0/publish`.
    pub(super) pointer: String,
    pub(super) scope: &'a Scope,
    pub(super) resources: &'a Resources,
    pub(super) report: &'a mut Findings,
}

impl StepCheck<'_> {
    /// The same step, seen from inside one of its keys.
    pub fn inside(&mut self, key: &str) -> StepCheck<'_> {
        StepCheck {
            doc: self.doc,
            pointer: self.at(key),
            scope: self.scope,
            resources: self.resources,
            report: self.report,
        }
    }

    /// The names in force.
    pub fn names(&self) -> Scope {
        self.scope.clone()
    }

    /// The same place with other names in force.
    pub fn among<'s>(&'s mut self, scope: &'s Scope) -> StepCheck<'s> {
        StepCheck {
            doc: self.doc,
            pointer: self.pointer.clone(),
            scope,
            resources: self.resources,
            report: self.report,
        }
    }

    pub(super) fn at(&self, key: &str) -> String {
        if key.is_empty() {
            self.pointer.clone()
        } else {
            join(&self.pointer, key)
        }
    }

    pub(super) fn error(
        &mut self,
        code: Code,
        pointer: &str,
        message: String,
        help: Option<String>,
    ) {
        let range = self.doc.value_range(pointer);
        let mut diagnostic = Diagnostic::error(code, &self.doc.source, range, message);
        diagnostic.help = help;
        self.report.push(diagnostic);
    }

    /// A rule about the verb as a whole.
    pub fn needs(&mut self, message: &str, help: &str) {
        let range = self.doc.key_range(&self.pointer);
        self.report
            .push(Diagnostic::error(Code::Verb, &self.doc.source, range, message).help(help));
    }

    /// A rule about one key of the verb.
    pub fn problem(&mut self, code: Code, key: &str, message: String, help: &str) {
        self.error(code, &self.at(key), message, Some(help.to_owned()));
    }

    /// A bare expression.
    pub fn condition(&mut self, key: &str, expr: &Expr) -> Shape {
        let pointer = self.at(key);
        check_text(
            self.doc,
            &pointer,
            &expr.0,
            TextKind::Condition,
            self.scope,
            self.report,
        )
    }

    /// A bare expression over the elements of something, called `item`.
    pub fn condition_over(&mut self, key: &str, expr: &Expr, item: Shape) {
        let scope = self.scope.clone().with("item", item);
        let pointer = self.at(key);
        check_text(
            self.doc,
            &pointer,
            &expr.0,
            TextKind::Filter,
            &scope,
            self.report,
        );
    }

    /// A value made of each element of something, called `item`; answers with its shape.
    pub fn value_over(&mut self, key: &str, tree: &Tree, item: Shape) -> Shape {
        let scope = self.scope.clone().with("item", item);
        let pointer = self.at(key);
        check_tree(self.doc, &pointer, tree, &scope, self.report)
    }

    /// What `where` and `select` keep of the elements of something; answers with the shape of one that is kept.
    pub fn kept(&mut self, filter: Option<&Expr>, select: Option<&Tree>, item: Shape) -> Shape {
        if let Some(filter) = filter {
            self.condition_over("where", filter, item.clone());
        }
        match select {
            Some(select) => self.value_over("select", select, item),
            None => item,
        }
    }

    /// A value with expressions in it.
    pub fn value(&mut self, key: &str, tree: &Tree) -> Shape {
        let pointer = self.at(key);
        check_tree(self.doc, &pointer, tree, self.scope, self.report)
    }

    /// A macro; answers with its parameters and the shape of what it yields.
    pub fn macro_named(&mut self, key: &str, name: &str) -> Option<MacroInfo> {
        let known = self.resources.macros.get(name).cloned();
        if known.is_none() {
            let help = suggest::declared(
                "macros",
                name,
                self.resources.macros.keys().map(String::as_str),
            );
            let message = format!("there is no macro `{name}`");
            self.error(Code::UnknownResource, &self.at(key), message, Some(help));
        }
        known
    }

    /// A text with expressions in it.
    pub fn template(&mut self, key: &str, template: &Template) {
        let pointer = self.at(key);
        check_text(
            self.doc,
            &pointer,
            &template.0,
            TextKind::Text,
            self.scope,
            self.report,
        );
    }

    /// A subject or key.
    pub fn token(&mut self, key: &str, token: Option<&Token>) {
        if let Some(token) = token {
            let pointer = self.at(key);
            check_token(self.doc, &pointer, token, false, self.scope, self.report);
        }
    }

    /// A subject that may have wildcards.
    pub fn filter(&mut self, key: &str, token: Option<&Token>) {
        if let Some(token) = token {
            let pointer = self.at(key);
            check_token(self.doc, &pointer, token, true, self.scope, self.report);
        }
    }

    /// Several subjects that may have wildcards.
    pub fn filters(&mut self, key: &str, subjects: &SubjectList) {
        self.subjects(key, subjects, true);
    }

    /// Several subjects; `wild` allows wildcards.
    pub fn subjects(&mut self, key: &str, subjects: &SubjectList, wild: bool) {
        match subjects {
            SubjectList::List(list) => {
                for (index, token) in list.iter().enumerate() {
                    let pointer = join(&self.at(key), &index.to_string());
                    check_token(self.doc, &pointer, token, wild, self.scope, self.report);
                }
            }
            SubjectList::Expr(text) => {
                let pointer = self.at(key);
                let (kind, scope) = (TextKind::Value, self.scope);
                let shape = check_text(self.doc, &pointer, text, kind, scope, self.report);
                if matches!(shape, Shape::Text | Shape::Number | Shape::Bool) {
                    let message = format!("`{key}` must yield a list of subjects");
                    let help = "make a list of one: `{{ [subject] }}`".to_owned();
                    self.error(Code::Schema, &pointer, message, Some(help));
                }
            }
        }
    }

    /// A subject or key made of each element of something, called `item`.
    pub fn token_over(&mut self, key: &str, token: &Token, item: Shape) {
        let scope = self.scope.clone().with("item", item);
        let pointer = self.at(key);
        check_token(self.doc, &pointer, token, false, &scope, self.report);
    }

    /// One key of a bucket.
    pub fn key_ref(&mut self, key: &str, at: &KeyRef) {
        let mut inner = self.inside(key);
        inner.bucket("bucket", &at.bucket, at.with.as_ref());
        inner.token("key", Some(&at.key));
    }

    /// A whole number; a literal one is checked to be in its range.
    pub fn whole(&mut self, key: &str, whole: &Whole, range: RangeInclusive<u64>) {
        let literal = match &whole.0 {
            Tree::Literal(Json::Int(number)) => Some(u64::try_from(*number).ok()),
            Tree::Literal(Json::Uint(number)) => Some(Some(*number)),
            _ => None,
        };
        if let Some(number) = literal
            && !number.is_some_and(|n| range.contains(&n))
        {
            let (from, to) = (range.start(), range.end());
            let message = format!("`{key}` must be a whole number from {from} to {to}");
            let nearest = number.map_or(*from, |number| number.clamp(*from, *to));
            let help = format!("the nearest is {nearest}");
            self.error(Code::Schema, &self.at(key), message, Some(help));
        }
        self.value(key, &whole.0);
    }

    /// A time span; a literal one is checked to be at most `most`.
    pub fn span(&mut self, key: &str, span: &Span, most: Duration) {
        if let Tree::Literal(Json::Str(text)) = &span.0
            && parse_span(text).is_some_and(|given| given > most)
        {
            let message = format!("`{key}` must be at most {}s", most.as_secs());
            let help = format!("write `{}s` or less", most.as_secs());
            self.error(Code::Schema, &self.at(key), message, Some(help));
        }
        self.value(key, &span.0);
    }

    /// A life of its own for an entry needs a bucket that allows it.
    pub fn entry_life(&mut self, bucket: &str) {
        if self.resources.plain_buckets.contains(bucket) {
            self.needs(
                &format!("`ttl` needs `limit_markers` in the declaration of the bucket `{bucket}`"),
                "write `limit_markers: 1m` into it",
            );
        }
    }

    /// A subject under this key, perhaps with wildcards, that a stream must store. Placeholders may be anything.
    pub fn stored_subject(&mut self, key: &str, stream: &str, subject: &str) {
        self.stored_at(&self.at(key), stream, subject);
    }

    /// The same at this place of the document.
    pub(super) fn stored_at(&mut self, at: &str, stream: &str, subject: &str) {
        let subjects = match self.resources.streams.get(stream) {
            None | Some((Instances::Unknown, _)) => return,
            Some((_, subjects)) => subjects,
        };
        // A placeholder that may be several tokens can be anything.
        if subject.contains("subject_tokens") {
            return;
        }
        let wanted = placeholders_replaced(subject);
        let fits = |pattern: &String| {
            pattern.contains("subject_tokens")
                || may_match(&placeholders_replaced(pattern), &wanted)
        };
        if !subjects.iter().any(fits) {
            let message = format!("the stream `{stream}` does not store this subject");
            let help = format!("it stores: {}", subjects.join(", "));
            self.error(Code::Subject, at, message, Some(help));
        }
    }

    /// Message headers.
    pub fn headers(&mut self, headers: Option<&Map<Template>>) {
        for (name, value) in headers.into_iter().flat_map(Map::iter) {
            let pointer = join(&self.at("headers"), name);
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_graphic() && c != ':') {
                let message = format!("`{name}` cannot be the name of a header");
                let help = "visible ASCII characters without a colon".to_owned();
                self.error(Code::Subject, &pointer, message, Some(help));
            }
            check_text(
                self.doc,
                &pointer,
                &value.0,
                TextKind::Text,
                self.scope,
                self.report,
            );
        }
    }

    /// A declared stream and the values that pick its instance.
    pub fn stream(&mut self, key: &str, name: &str, with: Option<&Map<Tree>>) {
        let found = self.resources.streams.get(name).map(|(i, _)| i);
        let known: Vec<&str> = self.resources.streams.keys().map(String::as_str).collect();
        self.resource("stream", key, name, found.cloned(), known, with);
    }

    /// A declared stream that must be there whatever the config says: what is made of it lives as long as the gateway.
    pub(super) fn lasting_stream(&mut self, key: &str, name: &str) {
        if self.resources.conditional_streams.contains(name) {
            let message = format!("the stream `{name}` has a `when`, so it may not be there");
            let help = "only steps may name it: take another stream, or its `when` out".to_owned();
            self.error(Code::UnknownResource, &self.at(key), message, Some(help));
        }
    }

    /// A declared bucket and the values that pick its instance.
    pub fn bucket(&mut self, key: &str, name: &str, with: Option<&Map<Tree>>) {
        let found = self.resources.buckets.get(name).cloned();
        let known: Vec<&str> = self.resources.buckets.keys().map(String::as_str).collect();
        self.resource("bucket", key, name, found, known, with);
    }

    /// A publish without a subject: the stream must have exactly one, without wildcards.
    pub fn own_subject(&mut self, stream: &str) {
        let Some((_, subjects)) = self.resources.streams.get(stream) else {
            return;
        };
        let single = subjects.len() == 1
            && !subjects
                .iter()
                .any(|s| placeholders_replaced(s).contains(['*', '>']));
        if !single {
            let stored = subjects.join(", ");
            self.needs(
                &format!("the stream `{stream}` stores more than one subject"),
                &format!("say which with `subject`; it stores: {stored}"),
            );
        }
    }

    /// The name of one of the pack's schemas; answers with the shape of values that fit it.
    pub fn schema(&mut self, key: &str, name: &Template) -> Shape {
        self.template(key, name);
        if is_template(&name.0) {
            return Shape::Any;
        }
        let schemas = &self.resources.schemas;
        if let Some(shape) = schemas.get(name.0.as_ref()) {
            return shape.clone();
        }
        let help = suggest::declared("schemas", &name.0, schemas.keys().map(String::as_str));
        let message = format!("this pack declares no schema `{}`", name.0);
        self.error(Code::UnknownResource, &self.at(key), message, Some(help));
        Shape::Any
    }

    /// A name of the session state.
    pub fn session_name(&mut self, name: &str) {
        if !self.resources.session.iter().any(|n| n == name) {
            let help = suggest::declared(
                "session",
                name,
                self.resources.session.iter().map(String::as_str),
            );
            let range = self.doc.key_range(&join(&self.pointer, name));
            self.report.push(
                Diagnostic::error(
                    Code::UnknownName,
                    &self.doc.source,
                    range,
                    format!("the session has no name `{name}`"),
                )
                .help(help),
            );
        }
    }

    /// A name that the step gives to something.
    pub fn new_name(&mut self, name: &str) {
        check_new_name(self.doc, &self.at(name), name, self.report);
    }

    fn resource(
        &mut self,
        kind: &str,
        key: &str,
        name: &str,
        found: Option<Instances>,
        known: Vec<&str>,
        with: Option<&Map<Tree>>,
    ) {
        let pointer = self.at("with");
        for (field, tree) in with.into_iter().flat_map(Map::iter) {
            check_tree(
                self.doc,
                &join(&pointer, field),
                tree,
                self.scope,
                self.report,
            );
        }
        let given: Vec<&str> = with.map(|w| w.keys().collect()).unwrap_or_default();
        match found {
            None => {
                let help = suggest::declared(&format!("{kind}s"), name, known);
                let at = self.at(key);
                let message = format!("this pack declares no {kind} `{name}`");
                self.error(Code::UnknownResource, &at, message, Some(help));
            }
            Some(Instances::Unknown) => {}
            Some(Instances::One) if !given.is_empty() => {
                let message = format!("the {kind} `{name}` has no instances to choose from");
                self.error(
                    Code::Schema,
                    &pointer,
                    message,
                    Some("leave `with` out".into()),
                );
            }
            Some(Instances::One) => {}
            Some(Instances::Each(item)) => self.each_with(kind, name, &item, &given, &pointer),
            Some(Instances::Params(params)) => {
                let complete = params.iter().all(|p| given.contains(&p.as_str()))
                    && given.len() == params.len();
                if !complete {
                    let message = format!("`with` must give exactly: {}", params.join(", "));
                    let values: Vec<String> = params.iter().map(|p| format!("{p}: …")).collect();
                    let help = format!("write `with: {{{}}}`", values.join(", "));
                    self.error(Code::Schema, &pointer, message, Some(help));
                }
            }
        }
    }

    fn each_with(&mut self, kind: &str, name: &str, item: &Shape, given: &[&str], pointer: &str) {
        if given.is_empty() {
            self.needs(
                &format!("there is one {kind} `{name}` for each element"),
                "say which with `with: {field: value}`",
            );
        }
        for field in given {
            if let Lookup::Missing(known) = item.field(field) {
                let help = suggest::help(field, known);
                let range = self.doc.key_range(&join(pointer, field));
                let message = format!("the elements of {kind} `{name}` have no field `{field}`");
                self.report.push(
                    Diagnostic::error(Code::UnknownName, &self.doc.source, range, message)
                        .help(help),
                );
            }
        }
    }
}

/// Whether a subject, or one that its wildcards stand for, can be one that a stream's pattern takes; a token with a
/// placeholder can be any.
fn may_match(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (Some(_), Some(">")) | (None, None) => return true,
            (Some(p), Some(s))
                if p == "*"
                    || s == "*"
                    || p == s
                    || p.contains(PLACEHOLDER)
                    || s.contains(PLACEHOLDER) => {}
            _ => return false,
        }
    }
}

/// A name given by `as:` or `let:` must be usable in an expression and must not hide a built-in one.
pub(super) fn check_new_name(doc: &Doc, pointer: &str, name: &str, report: &mut Findings) {
    let identifier = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let (problem, help) = if TAKEN.contains(&name) {
        (
            format!("`{name}` has a meaning of its own and cannot be given to something else"),
            "choose another name",
        )
    } else if !identifier {
        (
            format!("`{name}` cannot be a name"),
            "take lower-case letters, digits and `_`, the first no digit",
        )
    } else {
        return;
    };
    let range = doc.key_range(pointer);
    report.push(Diagnostic::error(Code::UnknownName, &doc.source, range, problem).help(help));
}

/// What a verb yields, as far as it depends on nothing around its step.
pub fn result_of(verb: &Verb) -> Shape {
    let Ok(doc) = Doc::parse(Source::new("", "{}")) else {
        return Shape::Any;
    };
    let mut cx = StepCheck {
        doc: &doc,
        pointer: String::new(),
        scope: &Scope::new(),
        resources: &Resources::default(),
        report: &mut Findings::default(),
    };
    verb.grammar().check(&mut cx)
}
