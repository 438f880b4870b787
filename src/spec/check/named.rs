//! What a step names of its pack: streams, buckets, schemas, macros, and names of the session.

use super::check_tree;
use super::macros::MacroInfo;
use super::resources::{Instances, PLACEHOLDER, placeholders_replaced};
use super::step::StepCheck;
use crate::spec::data::Map;
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::join;
use crate::spec::shape::{Lookup, Shape};
use crate::spec::suggest;
use crate::spec::tree::{Template, Tree, is_template};

impl StepCheck<'_> {
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
