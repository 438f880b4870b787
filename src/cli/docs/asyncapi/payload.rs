//! What messages look like, as far as the spec says it: a JSON Schema made of the value that a step sends.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::catalog::touch::{Action, Keys, On, Subjects};
use crate::spec::data::{self, Json, Text};
use crate::spec::model::Pack;
use crate::spec::tree::{Token, Tree, sole_expression};
use crate::spec::verbs::{Step, Verb};

/// Something that steps send.
#[derive(Debug)]
pub struct Said {
    /// By which verb.
    pub action: Action,
    /// To what.
    pub on: On,
    /// The schema of it.
    pub payload: Value,
}

/// All that steps send, those of their macros as well. `input` tells what `args` are.
pub fn of_steps(pack: &Pack, steps: &[Step], input: &Map<String, Value>) -> Vec<Said> {
    let mut walk = Walk {
        pack,
        input,
        used: BTreeSet::new(),
        found: Vec::new(),
    };
    walk.steps(steps);
    walk.found
}

struct Walk<'a> {
    pack: &'a Pack,
    input: &'a Map<String, Value>,
    used: BTreeSet<&'a str>,
    found: Vec<Said>,
}

impl<'a> Walk<'a> {
    fn steps(&mut self, steps: &'a [Step]) {
        for step in steps {
            self.verb(&step.verb);
        }
    }

    fn verb(&mut self, verb: &'a Verb) {
        match verb {
            Verb::Use(step) => {
                let called = self.pack.macros.get(&step.r#macro);
                if let (Some(called), true) = (called, self.used.insert(&step.r#macro)) {
                    self.steps(&called.steps);
                }
            }
            Verb::Publish(step) => {
                let on = match (&step.stream, &step.subject) {
                    (Some(stream), subject) => On::Stream {
                        stream: stream.clone(),
                        with: None,
                        subjects: subject
                            .clone()
                            .map_or(Subjects::Own, |s| Subjects::These(vec![s])),
                    },
                    (None, Some(subject)) => On::Subject(subject.clone()),
                    (None, None) => return,
                };
                self.say(Action::Publish, on, &step.payload);
            }
            Verb::Request(step) => {
                if let Some(payload) = &step.payload {
                    self.say(Action::Request, On::Subject(step.subject.clone()), payload);
                }
            }
            Verb::Put(step) => self.entry(Action::Put, &step.bucket, &step.key, &step.value),
            Verb::Create(step) => self.entry(Action::Create, &step.bucket, &step.key, &step.value),
            Verb::Update(step) => self.entry(Action::Update, &step.bucket, &step.key, &step.value),
            Verb::Enqueue(step) => {
                if let Tree::Literal(Json::Str(queue)) = &step.queue.0 {
                    self.say(Action::Enqueue, On::Queue(queue.clone()), &step.payload);
                }
            }
            _ => {}
        }
    }

    fn entry(&mut self, action: Action, bucket: &Text, key: &Token, value: &Tree) {
        let on = On::Bucket {
            bucket: bucket.clone(),
            with: None,
            keys: Keys::One(key.clone()),
        };
        self.say(action, on, value);
    }

    fn say(&mut self, action: Action, on: On, payload: &Tree) {
        let payload = self.schema(payload);
        self.found.push(Said {
            action,
            on,
            payload,
        });
    }

    fn schema(&self, tree: &Tree) -> Value {
        match tree {
            Tree::Literal(json) => literal(&json.to_value()),
            Tree::Template(_) => json!({"type": "string"}),
            Tree::Expr(text) => self.expression(sole_expression(text).unwrap_or_default()),
            Tree::List(_) => json!({"type": "array"}),
            Tree::Map(map) => self.object(map),
        }
    }

    fn object(&self, map: &data::Map<Tree>) -> Value {
        let fields = map
            .iter()
            .map(|(key, tree)| (key.to_owned(), self.schema(tree)));
        // A field whose value is `omit` is left out.
        let may_be_left_out =
            |tree: &Tree| matches!(tree, Tree::Expr(text) if has_word(text, "omit"));
        let required: Vec<&str> = map
            .iter()
            .filter(|(_, tree)| !may_be_left_out(tree))
            .map(|(key, _)| key)
            .collect();
        let mut told = json!({"type": "object", "properties": fields.collect::<Map<_, _>>()});
        if !required.is_empty() {
            told["required"] = json!(required);
        }
        told
    }

    /// What is known of an expression: an argument, a value of the session, or what a function makes.
    fn expression(&self, text: &str) -> Value {
        let path = text.split('|').next().unwrap_or_default().trim();
        let filters = text.get(path.len()..).unwrap_or_default().trim();
        let kept = filters.is_empty() || filters == "| default(omit)";
        let root = |name: &str| path.strip_prefix(name)?.strip_prefix('.');
        let known = if !kept {
            None
        } else if path == "args" {
            Some(Value::Object(self.input.clone()))
        } else if let Some(name) = root("args") {
            self.input
                .get("properties")
                .and_then(|p| p.get(name))
                .cloned()
        } else if let Some(name) = root("session") {
            match name {
                "id" | "principal" => Some(json!({"type": "string"})),
                name => self.pack.session.get(name).map(Json::to_value),
            }
        } else {
            made(path)
        };
        // References would lead out of the schema that they stand in.
        let known =
            known.filter(|schema| schema.is_object() && !schema.to_string().contains("\"$ref\""));
        known.unwrap_or_else(|| json!({}))
    }
}

/// What functions make.
fn made(call: &str) -> Option<Value> {
    let name = call.split('(').next()?;
    match name {
        "now" if call.ends_with(')') => Some(json!({"type": "string", "format": "date-time"})),
        "uuid" if call == "uuid()" => Some(json!({"type": "string", "format": "uuid"})),
        "project.namespace" | "project.id" | "gateway.id" | "call.id" if call == name => {
            Some(json!({"type": "string"}))
        }
        _ => None,
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).any(|part| part == word)
}

fn literal(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields = map.iter().map(|(key, value)| (key.clone(), literal(value)));
            let required: Vec<&String> = map.keys().collect();
            json!({"type": "object", "properties": fields.collect::<Map<_, _>>(), "required": required})
        }
        Value::Array(_) => json!({"type": "array"}),
        scalar => json!({"const": scalar}),
    }
}
