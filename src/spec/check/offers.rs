//! What is offered beside the tools and has steps: prompts, completions, and resources that steps make.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::routine::{RoutineDraft, RoutineKind, list, step_drafts};
use super::served::parameters;
use super::step::StepCheck;
use super::tool::{Surroundings, call_shape, client_shape, template_file};
use super::{Findings, check_text, check_tree};
use crate::spec::data::{List, Map, Text};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::doc::{Doc, join};
use crate::spec::expr;
use crate::spec::model::{
    Argument, CompletionDecl, Embedded, MessageDecl, PromptDecl, ResourceDecl, Role, TextKind,
};
use crate::spec::shape::{Scope, Shape};
use crate::spec::tree::{Template, Tree};

/// What is made of steps for a client that asks, unless it is broken.
pub enum Offer {
    /// Messages.
    Prompt(PromptDecl),
    /// Proposals for an argument.
    Completion(Option<CompletionDecl>),
    /// What is read at an address.
    Resource(Option<ResourceDecl>),
    /// Which addresses there are.
    Listing(Option<ResourceDecl>),
}

/// The offers of a file.
pub(super) fn offer_drafts(file: &Value) -> Vec<RoutineDraft> {
    let mut drafts = Vec::new();
    let mut add = |section: &str, key, offer: fn(&Value) -> Offer| {
        let entries = file.get(section).and_then(Value::as_object);
        for (name, value) in entries.into_iter().flatten() {
            drafts.push(RoutineDraft {
                pointer: join(&join("", section), name),
                key,
                kind: RoutineKind::Offer(Box::new(offer(value))),
                steps: step_drafts(value, key),
            });
        }
    };
    add("prompts", "steps", |v| Offer::Prompt(prompt(v)));
    add("completions", "steps", |v| {
        Offer::Completion(without_steps(v))
    });
    add("resources", "steps", |v| Offer::Resource(made(v)));
    add("resources", "list_steps", |v| Offer::Listing(made(v)));
    drafts
}

/// The sound parts of a prompt.
fn prompt(value: &Value) -> PromptDecl {
    let arguments = value.get("arguments").and_then(Value::as_object);
    let arguments = arguments.into_iter().flatten().map(|(name, raw)| {
        let argument = Argument::deserialize(raw).unwrap_or_default();
        (Text::from(name.clone()), argument)
    });
    let messages = list(value, "messages").iter();
    PromptDecl {
        title: part(value, "title"),
        description: part(value, "description"),
        when: part(value, "when"),
        scopes: List::default(),
        arguments: Map(arguments.collect()),
        steps: List::default(),
        messages: messages
            .map(|raw| MessageDecl::deserialize(raw).unwrap_or(BROKEN))
            .collect(),
    }
}

/// Stands where a message is broken, so that those after it keep their places.
const BROKEN: MessageDecl = MessageDecl {
    role: Role::User,
    when: None,
    text: Some(Template(Text::Borrowed(""))),
    template: None,
    resource: None,
};

fn part<T: DeserializeOwned>(value: &Value, key: &str) -> Option<T> {
    let raw = value.get(key)?;
    serde_json::from_value(raw.clone()).ok()
}

/// An entry but for its steps, which are looked at one by one.
fn without_steps<T: DeserializeOwned>(value: &Value) -> Option<T> {
    let mut value = value.clone();
    if let Some(entry) = value.as_object_mut() {
        entry.remove("steps");
        entry.remove("list_steps");
    }
    serde_json::from_value(value).ok()
}

/// A resource that steps make.
fn made(value: &Value) -> Option<ResourceDecl> {
    let decl: Option<ResourceDecl> = without_steps(value);
    decl.filter(|decl| decl.folder.is_none())
}

impl Offer {
    /// Checks what comes before the steps, and gives their names to them.
    pub(super) fn begin(
        &self,
        doc: &Doc,
        pointer: &str,
        scope: &mut Scope,
        around: &Surroundings<'_>,
        report: &mut Findings,
    ) {
        scope.bind("call", call_shape());
        if matches!(self, Self::Prompt(_) | Self::Resource(_)) {
            scope.bind("client", client_shape());
        }
        match self {
            Self::Prompt(prompt) => {
                let mut place = Place {
                    doc,
                    pointer,
                    around,
                    report,
                };
                place.head(prompt, scope);
                scope.bind("args", arguments(prompt));
            }
            Self::Completion(_) => {
                scope.bind("value", Shape::Text);
                scope.bind("arguments", Shape::Any);
            }
            Self::Resource(Some(decl)) => {
                let names = parameters(decl);
                let fields = names.iter().map(|name| (name.as_str(), Shape::Text));
                scope.bind("uri", Shape::Text);
                scope.bind("args", Shape::object(fields));
            }
            Self::Resource(None) => scope.bind("args", Shape::Any),
            Self::Listing(_) => {}
        }
    }

    /// Checks what is made of the steps; `scope` has the names that they bind.
    pub(super) fn end(
        &self,
        doc: &Doc,
        pointer: &str,
        scope: &Scope,
        around: &Surroundings<'_>,
        report: &mut Findings,
    ) {
        let mut place = Place {
            doc,
            pointer,
            around,
            report,
        };
        match self {
            Self::Prompt(prompt) => {
                for (index, message) in prompt.messages.iter().enumerate() {
                    let at = join(&join(pointer, "messages"), &index.to_string());
                    place.message(&at, message, scope);
                }
            }
            Self::Completion(Some(completion)) => place.list("values", &completion.values, scope),
            Self::Resource(Some(decl)) => {
                place.text("text", decl.text.as_ref(), scope);
                place.text("blob", decl.blob.as_ref(), scope);
                if let Some(json) = &decl.json {
                    check_tree(doc, &join(pointer, "json"), json, scope, place.report);
                }
            }
            Self::Listing(Some(decl)) => {
                if let Some(list) = &decl.list {
                    place.list("list", list, scope);
                }
            }
            Self::Completion(None) | Self::Resource(None) | Self::Listing(None) => {}
        }
    }
}

/// The arguments of a prompt, as its steps see them.
fn arguments(prompt: &PromptDecl) -> Shape {
    let properties: serde_json::Map<String, Value> = prompt
        .arguments
        .keys()
        .map(|name| (name.to_owned(), json!({"type": "string"})))
        .collect();
    let required = prompt.arguments.iter();
    let required = required.filter(|(_, argument)| argument.required == Some(true));
    let required: Vec<&str> = required.map(|(name, _)| name).collect();
    Shape::from_schema(&json!({"type": "object", "properties": properties, "required": required}))
}

/// An entry of a section, and what it is checked with.
struct Place<'a, 'b> {
    doc: &'a Doc,
    pointer: &'a str,
    around: &'a Surroundings<'b>,
    report: &'a mut Findings,
}

impl Place<'_, '_> {
    fn text(&mut self, key: &str, text: Option<&Template>, scope: &Scope) {
        if let Some(text) = text {
            let at = join(self.pointer, key);
            check_text(self.doc, &at, &text.0, TextKind::Text, scope, self.report);
        }
    }

    fn problem(&mut self, code: Code, pointer: &str, message: String, help: &str) {
        let range = self.doc.key_range(pointer);
        let found = Diagnostic::error(code, &self.doc.source, range, message);
        self.report.push(found.help(help));
    }

    /// What a client is told of a prompt before it is used.
    fn head(&mut self, prompt: &PromptDecl, scope: &mut Scope) {
        let name = self.pointer.rsplit('/').next().unwrap_or_default();
        if !is_name(name) {
            let message = format!("`{name}` cannot be the name of a prompt");
            let pointer = self.pointer;
            self.problem(Code::Schema, pointer, message, NAME);
        }
        let base = self.around.base;
        self.text("title", prompt.title.as_ref(), base);
        self.text("description", prompt.description.as_ref(), base);
        if let Some(when) = &prompt.when {
            let (at, kind) = (join(self.pointer, "when"), TextKind::Condition);
            check_text(self.doc, &at, &when.0, kind, base, self.report);
            scope.guard(expr::paths(&when.0));
        }
        let pointer = join(self.pointer, "arguments");
        for (name, argument) in prompt.arguments.iter() {
            let at = join(&pointer, name);
            if !is_name(name) {
                let message = format!("`{name}` cannot be the name of an argument");
                self.problem(Code::Schema, &at, message, NAME);
            }
            let mut cx = StepCheck {
                doc: self.doc,
                pointer: at,
                scope: base,
                resources: self.around.resources,
                report: self.report,
            };
            for (key, text) in [
                ("title", &argument.title),
                ("description", &argument.description),
            ] {
                if let Some(text) = text {
                    cx.template(key, text);
                }
            }
            if let Some(completion) = &argument.complete {
                cx.completion("complete", completion);
            }
        }
    }

    fn message(&mut self, at: &str, message: &MessageDecl, scope: &Scope) {
        let mut scope = scope.clone();
        if let Some(when) = &message.when {
            let (at, kind) = (join(at, "when"), TextKind::Condition);
            check_text(self.doc, &at, &when.0, kind, &scope, self.report);
            scope.guard(expr::paths(&when.0));
        }
        let given = [
            message.text.is_some(),
            message.template.is_some(),
            message.resource.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            let text = "a message has exactly one of `text`, `template` and `resource`";
            let help = "write what is said under `text`";
            self.problem(Code::Schema, at, text.to_owned(), help);
        }
        if let Some(text) = &message.text {
            let at = join(at, "text");
            check_text(self.doc, &at, &text.0, TextKind::Text, &scope, self.report);
        }
        if let Some(name) = &message.template {
            let at = join(at, "template");
            template_file(self.doc, &at, name, &scope, self.around, self.report);
        }
        if let Some(resource) = &message.resource {
            self.embedded(&join(at, "resource"), resource, &scope);
        }
    }

    fn embedded(&mut self, at: &str, resource: &Embedded, scope: &Scope) {
        if resource.text.is_some() == resource.blob.is_some() {
            let text = "a resource in a message has exactly one of `text` and `blob`";
            let help = "write what is to be read under `text`, or its bytes in base64 under `blob`";
            self.problem(Code::Schema, at, text.to_owned(), help);
        }
        for (key, text) in [
            ("uri", Some(&resource.uri)),
            ("mime", resource.mime.as_ref()),
            ("text", resource.text.as_ref()),
            ("blob", resource.blob.as_ref()),
        ] {
            if let Some(text) = text {
                let at = join(at, key);
                check_text(self.doc, &at, &text.0, TextKind::Text, scope, self.report);
            }
        }
    }

    /// A value that must be a list.
    fn list(&mut self, key: &str, tree: &Tree, scope: &Scope) {
        let at = join(self.pointer, key);
        let shape = check_tree(self.doc, &at, tree, scope, self.report);
        let scalar = matches!(shape, Shape::Text | Shape::Number | Shape::Bool);
        if scalar || matches!(tree, Tree::Map(_)) {
            let message = format!("`{key}` must be a list, or one expression that yields a list");
            let range = self.doc.value_range(&at);
            let found = Diagnostic::error(Code::Schema, &self.doc.source, range, message);
            self.report
                .push(found.help(format!("for example `{key}: \"{{{{ found.items }}}}\"`")));
        }
    }
}

const NAME: &str = "1 to 64 letters, digits, `_` and `-`";

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !name.is_empty() && name.len() <= 64 && name.chars().all(fits)
}
