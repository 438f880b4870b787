//! Examples, and the fixtures that they stand on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::schemas::close;
use super::step::check_new_name;
use super::tool::{Surroundings, ToolDraft};
use super::{Findings, check_text, check_tree, received_shape};
use crate::spec::data::{Json, Map};
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::{Doc, join};
use crate::spec::model::{Example, Expect, Fixture, Given, MAX_WITHIN, Parts, Said, TextKind};
use crate::spec::schema;
use crate::spec::shape::{Scope, Shape};
use crate::spec::suggest;
use crate::spec::tree::{Template, Tree, parse_span};

/// What examples may name, besides what their texts see.
#[derive(Debug, Clone, Default)]
pub struct KnownToExamples {
    /// The tools of the pack, and its aliases.
    pub tools: BTreeSet<String>,
    /// Whether there may be others, that generators make.
    pub makes_tools: bool,
    /// The fixtures.
    pub fixtures: BTreeSet<String>,
    /// The prompts, with their arguments.
    pub prompts: BTreeMap<String, BTreeSet<String>>,
}

/// Checks the examples of a tool, or of the tool of a generator. What their texts are is no matter for a catalog.
pub(super) fn check_examples(
    doc: &Doc,
    pointer: &str,
    tool: &ToolDraft,
    input: &Value,
    around: &Surroundings<'_>,
    report: &mut Findings,
) {
    let mut found = Findings::new(Report::new());
    let mut closed = input.clone();
    close(&mut closed);
    for (index, example) in tool.examples.iter().enumerate() {
        let Some(example) = example else { continue };
        let mut check = Check {
            doc,
            known: &around.resources.examples,
            scope: around.base.clone(),
            report: &mut found,
        };
        let at = join(&join(pointer, "examples"), &index.to_string());
        check.example(&at, example, tool.name.is_empty(), &closed);
    }
    report.report.extend(found.report);
}

/// Checks a fixture. `known` are the names of the pack's texts, and the schema of its settings.
pub(crate) fn check_fixture(
    doc: &Doc,
    name: &str,
    fixture: &Fixture,
    (base, settings): (&Scope, Option<&Json>),
    report: &mut Findings,
) {
    let pointer = join("/fixtures", name);
    let mut found = Findings::new(Report::new());
    fixture_settings(doc, &pointer, fixture, settings, &mut found.report);
    for file in fixture.files.keys() {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !file.split('/').all(plain) || file.contains(['\\', ':']) {
            let at = join(&join(&pointer, "files"), file);
            let message = format!("`{file}` is no path below the folder of the example");
            let help = "write a relative path: `docs/a.txt`";
            let range = doc.key_range(&at);
            found
                .report
                .push(Diagnostic::error(Code::Schema, &doc.source, range, message).help(help));
        }
    }
    let [subject, data, text, headers] = received_shape();
    let message = Shape::object([subject, data, text, headers, ("reply", Shape::Text)]);
    for (index, responder) in fixture.respond.iter().enumerate() {
        let at = join(&join(&pointer, "respond"), &index.to_string());
        let subject = join(&at, "subject");
        let kind = TextKind::Text;
        check_text(doc, &subject, &responder.subject.0, kind, base, &mut found);
        let scope = base.clone().with("message", message.clone());
        if let Some(when) = &responder.when {
            let (at, kind) = (join(&at, "when"), TextKind::Condition);
            check_text(doc, &at, &when.0, kind, &scope, &mut found);
        }
        if let Some(to) = &responder.to {
            check_text(doc, &join(&at, "to"), &to.0, kind, &scope, &mut found);
        }
        let payload = join(&at, "payload");
        check_tree(doc, &payload, &responder.payload, &scope, &mut found);
        check_headers(doc, &at, &responder.headers, &scope, &mut found);
    }
    report.report.extend(found.report);
}

/// The settings of a fixture must be ones that a config could have.
fn fixture_settings(
    doc: &Doc,
    pointer: &str,
    fixture: &Fixture,
    settings: Option<&Json>,
    report: &mut Report,
) {
    let Some(given) = &fixture.settings else {
        return;
    };
    let schema = settings.map(Json::to_value);
    let mut schema = schema.unwrap_or_else(|| serde_json::json!({"type": "object"}));
    close(&mut schema);
    if let Ok(validator) = schema::compile(&schema) {
        let (at, given) = (join(pointer, "settings"), given.to_value());
        schema::check_doc(doc, &at, &given, &schema, &validator, report);
    }
}

fn check_headers(
    doc: &Doc,
    pointer: &str,
    headers: &Map<Template>,
    scope: &Scope,
    report: &mut Findings,
) {
    for (name, value) in headers.iter() {
        let at = join(&join(pointer, "headers"), name);
        check_text(doc, &at, &value.0, TextKind::Text, scope, report);
    }
}

struct Check<'a> {
    doc: &'a Doc,
    known: &'a KnownToExamples,
    /// What the texts see: more with each `let`.
    scope: Scope,
    report: &'a mut Findings,
}

impl Check<'_> {
    fn example(&mut self, pointer: &str, example: &Example, made: bool, input: &Value) {
        if let Some(name) = &example.fixture
            && !self.known.fixtures.contains(name.as_ref())
        {
            let known = self.known.fixtures.iter().map(String::as_str);
            let help = suggest::help(name, known);
            let message = format!("this pack declares no fixture `{name}`");
            self.wrong(
                Code::UnknownResource,
                &join(pointer, "fixture"),
                message,
                &help,
            );
        }
        if let Some(name) = &example.tool {
            let at = join(pointer, "tool");
            if made {
                self.tool(&at, name);
            } else {
                let message = "`tool` says which tool of a generator is meant, and this is none";
                self.wrong(Code::Tool, &at, message.to_owned(), "leave it out");
            }
        }
        self.happenings(&join(pointer, "given"), &example.given);
        self.arguments(&join(pointer, "call"), example, input);
        self.answers(pointer, example.answers.as_ref());
        self.expect(&join(pointer, "expect"), &example.expect, true);
        self.within(pointer, example.within.as_deref());
        self.names(pointer, &example.r#let);
        self.happenings(&join(pointer, "then"), &example.then);
    }

    /// The arguments must fit, as far as they are known, unless the call is to fail.
    fn arguments(&mut self, at: &str, example: &Example, input: &Value) {
        let call = &example.call;
        check_tree(self.doc, at, call, &self.scope, self.report);
        let mut input = input.clone();
        match call {
            Tree::Literal(_) => {}
            Tree::Map(map) => {
                // What an expression will yield is not known here.
                let properties = input.get_mut("properties").and_then(Value::as_object_mut);
                let Some(properties) = properties else { return };
                for (name, _) in map.iter().filter(|(_, tree)| !tree.is_literal()) {
                    if let Some(property) = properties.get_mut(name) {
                        *property = Value::Bool(true);
                    }
                }
            }
            _ => return,
        }
        if example.expect.error == Some(true) {
            return;
        }
        let (Ok(validator), Ok(value)) = (schema::compile(&input), serde_json::to_value(call))
        else {
            return;
        };
        let report = &mut self.report.report;
        schema::check_doc(self.doc, at, &value, &input, &validator, report);
    }

    fn answers(&mut self, pointer: &str, answers: Option<&Map<Tree>>) {
        for (name, answer) in answers.into_iter().flat_map(Map::iter) {
            let at = join(&join(pointer, "answers"), name);
            check_tree(self.doc, &at, answer, &self.scope, self.report);
        }
    }

    fn happenings(&mut self, pointer: &str, list: &[Given]) {
        for (index, given) in list.iter().enumerate() {
            self.given(&join(pointer, &index.to_string()), given);
        }
    }

    fn given(&mut self, pointer: &str, given: &Given) {
        let told = given
            .expect
            .as_ref()
            .is_some_and(|expect| expect.notifications.is_some() || !expect.messages.is_empty());
        let happens = [
            given.tool.is_some(),
            given.prompt.is_some(),
            given.resource.is_some(),
            given.publish.is_some(),
        ];
        match happens.iter().filter(|happens| **happens).count() {
            0 if !told => {
                let message = "nothing happens here".to_owned();
                let help = "name a `tool` that is called, a `prompt` or a `resource` that is asked for, or a message to `publish`; without, `expect` has the `notifications` that the session is told";
                self.wrong(Code::Tool, pointer, message, help);
            }
            0 | 1 => {}
            _ => {
                let message = "this is more than one of `tool`, `prompt`, `resource` and `publish`"
                    .to_owned();
                self.wrong(Code::Tool, pointer, message, "make an entry of each");
            }
        }
        if let Some(name) = &given.tool {
            self.tool(&join(pointer, "tool"), name);
        }
        if !given.asks() && (given.args.is_some() || !given.r#let.is_empty()) {
            let message = "`args` and `let` belong to what is asked for, and nothing is".to_owned();
            let help = "leave them out, or name a `tool`, a `prompt` or a `resource`";
            self.wrong(Code::Tool, pointer, message, help);
        }
        if !given.asks() && given.answers.is_some() {
            let message = "nothing is asked for here, so nobody asks back".to_owned();
            let help = "leave `answers` out, or name a `tool`, a `prompt` or a `resource`";
            self.wrong(Code::Tool, pointer, message, help);
        }
        self.answers(pointer, given.answers.as_ref());
        self.offers(pointer, given);
        if let Some(args) = &given.args {
            let at = join(pointer, "args");
            check_tree(self.doc, &at, args, &self.scope, self.report);
        }
        if let Some(said) = &given.publish {
            self.said(&join(pointer, "publish"), said);
        }
        if let Some(expect) = &given.expect {
            self.expect(&join(pointer, "expect"), expect, given.asks());
        }
        self.within(pointer, given.within.as_deref());
        self.names(pointer, &given.r#let);
    }

    /// A prompt and its arguments, a resource, and what is proposed for a part of them.
    fn offers(&mut self, pointer: &str, given: &Given) {
        if let Some(uri) = &given.resource {
            self.text(&join(pointer, "resource"), uri);
        }
        let known = self.known;
        let arguments = given.prompt.as_deref().and_then(|name| {
            let found = known.prompts.get(name);
            if found.is_none() {
                let help = suggest::help(name, known.prompts.keys().map(String::as_str));
                let message = format!("this pack declares no prompt `{name}`");
                let at = join(pointer, "prompt");
                self.wrong(Code::UnknownResource, &at, message, &help);
            }
            found
        });
        let Some(name) = &given.complete else { return };
        let at = join(pointer, "complete");
        if given.prompt.is_none() && given.resource.is_none() {
            let message = "`complete` names an argument of a `prompt` or of a `resource`, and neither is here";
            self.wrong(Code::Tool, &at, message.to_owned(), "name one of them");
        } else if let Some(arguments) = arguments
            && !arguments.contains(name.as_ref())
        {
            let help = suggest::help(name, arguments.iter().map(String::as_str));
            let message = format!("the prompt has no argument `{name}`");
            self.wrong(Code::UnknownResource, &at, message, &help);
        }
    }

    fn said(&mut self, pointer: &str, said: &Said) {
        self.text(&join(pointer, "subject"), &said.subject);
        if let Some(payload) = &said.payload {
            let at = join(pointer, "payload");
            check_tree(self.doc, &at, payload, &self.scope, self.report);
        }
        check_headers(self.doc, pointer, &said.headers, &self.scope, self.report);
    }

    fn expect(&mut self, pointer: &str, expect: &Expect, called: bool) {
        let of_reply = expect.text.is_some()
            || expect.contains.is_some()
            || expect.lacks.is_some()
            || expect.matches.is_some()
            || expect.structured.is_some()
            || expect.content.is_some()
            || expect.asked.is_some()
            || expect.error.is_some();
        if of_reply && !called {
            let message = "nothing is asked for here, so nothing is answered".to_owned();
            let help = "expect `notifications` or `messages`, or name a `tool`";
            self.wrong(Code::Tool, pointer, message, help);
        }
        if let Some(text) = &expect.text {
            self.text(&join(pointer, "text"), text);
        }
        for (key, parts) in [("contains", &expect.contains), ("lacks", &expect.lacks)] {
            if let Some(Parts(parts)) = parts {
                for part in parts.iter() {
                    self.text(&join(pointer, key), part);
                }
            }
        }
        if let Some(pattern) = &expect.matches
            && let Err(error) = regex::Regex::new(pattern)
        {
            // The last line says what is wrong; those before show where.
            let error = error.to_string();
            let error = error.lines().last().unwrap_or_default();
            let message = format!("this is no regular expression: {error}");
            let help = "as the crate `regex` of Rust reads them: without look-around";
            self.wrong(Code::Tool, &join(pointer, "matches"), message, help);
        }
        for (key, tree) in [
            ("structured", &expect.structured),
            ("content", &expect.content),
        ] {
            if let Some(tree) = tree {
                check_tree(
                    self.doc,
                    &join(pointer, key),
                    tree,
                    &self.scope,
                    self.report,
                );
            }
        }
        for (index, said) in expect.messages.iter().enumerate() {
            let at = join(&join(pointer, "messages"), &index.to_string());
            self.said(&at, said);
        }
        for (index, told) in expect
            .notifications
            .iter()
            .flat_map(|l| l.iter())
            .enumerate()
        {
            let at = join(&join(pointer, "notifications"), &index.to_string());
            self.text(&join(&at, "method"), &told.method);
            if let Some(params) = &told.params {
                let at = join(&at, "params");
                check_tree(self.doc, &at, params, &self.scope, self.report);
            }
        }
    }

    /// Gives names to parts of a reply.
    fn names(&mut self, pointer: &str, names: &Map<Tree>) {
        let reply = [("text", Shape::Text), ("structured", Shape::Any)];
        for (name, tree) in names.iter() {
            let at = join(&join(pointer, "let"), name);
            check_new_name(self.doc, &at, name, self.report);
            let mut scope = self.scope.clone();
            for (name, shape) in &reply {
                scope.bind(name, shape.clone());
            }
            check_tree(self.doc, &at, tree, &scope, self.report);
            self.scope.bind(name, Shape::Any);
        }
    }

    fn tool(&mut self, at: &str, name: &str) {
        if self.known.tools.contains(name) || self.known.makes_tools {
            return;
        }
        let help = suggest::help(name, self.known.tools.iter().map(String::as_str));
        let message = format!("this pack declares no tool `{name}`");
        self.wrong(Code::UnknownResource, at, message, &help);
    }

    fn within(&mut self, pointer: &str, within: Option<&str>) {
        let limit = Duration::from_secs(MAX_WITHIN);
        let span = within.and_then(parse_span);
        if span.is_some_and(|span| span > limit || span.is_zero()) {
            let message = format!("`within` is more than 0 and at most {MAX_WITHIN}s");
            let at = join(pointer, "within");
            self.wrong(Code::Schema, &at, message, "such as `500ms` or `5s`");
        }
    }

    fn text(&mut self, at: &str, text: &Template) {
        let scope = &self.scope;
        check_text(self.doc, at, &text.0, TextKind::Text, scope, self.report);
    }

    fn wrong(&mut self, code: Code, at: &str, message: String, help: &str) {
        let range = self.doc.value_range(at);
        let found = Diagnostic::error(code, &self.doc.source, range, message);
        self.report.push(found.help(help));
    }
}
