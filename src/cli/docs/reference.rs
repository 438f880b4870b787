//! The pages of the files that Jacquard reads: specs, configs and project files, each made of its JSON Schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::markdown::{Markdown, code, first_sentence, plain, to_heading};
use super::schema::{meaning, resolved, type_words};
use crate::spec::verbs::Step;

/// How values with expressions in them are called, by their names in the schema.
const KINDS: &[(&str, &str)] = &[
    ("Value", "value"),
    ("Expr", "expression"),
    ("Template", "text"),
    ("Token", "NATS name"),
    ("Whole", "whole number"),
    ("Size", "size"),
    ("Span", "time span"),
    ("Flag", "yes or no"),
    ("SubjectList", "subjects"),
    ("QueueName", "queue"),
];
/// The step in the schema of specs: a page of its own tells it.
const STEP: &str = "Step";

/// What a page says before its tables.
pub struct Intro<'a> {
    /// The title.
    pub title: &'a str,
    /// Text after the title, as Markdown.
    pub text: &'a str,
    /// What a key of the file is called.
    pub key: &'a str,
}

/// The page of a kind of file.
pub fn page(schema: &Value, intro: &Intro<'_>) -> String {
    let reference = Reference::new(schema);
    let mut page = Markdown::page(intro.title, super::MADE_BY);
    page.line(intro.text);
    let rows: Vec<[String; 2]> = reference
        .parts
        .iter()
        .filter(|part| part.level == 2)
        .map(|part| {
            let text = part.schema.get("description").and_then(Value::as_str);
            let needed = if reference.needs(&part.path) {
                " Needed."
            } else {
                ""
            };
            [
                to_heading(&code(&part.path), &part.path),
                format!(
                    "{}{needed}",
                    plain(first_sentence(text.unwrap_or_default()))
                ),
            ]
        })
        .collect();
    page.table([intro.key, ""], &rows);
    for part in &reference.parts {
        reference.part(part, &mut page);
    }
    if schema.pointer("/$defs/Value").is_some() {
        kinds(schema, &mut page);
    }
    page.finish()
}

/// What is told of the keys of a verb, or of all steps.
pub fn step_rows(schema: &Value, keys: &Map<String, Value>) -> Vec<[String; 3]> {
    let reference = Reference {
        root: schema,
        parts: Vec::new(),
        places: BTreeMap::new(),
        elsewhere: "spec.md",
    };
    reference.rows(keys)
}

/// The objects that the keys of a verb hold, each by its path below the verb.
pub fn step_parts(
    schema: &Value,
    path: &str,
    keys: &Map<String, Value>,
) -> Vec<(String, Map<String, Value>)> {
    let mut reference = Reference {
        root: schema,
        parts: Vec::new(),
        places: BTreeMap::new(),
        elsewhere: "spec.md",
    };
    reference.below(path, keys, 3);
    let parts = reference.parts.into_iter();
    parts
        .filter_map(|part| match part.schema {
            Value::Object(object) => Some((part.path, object)),
            _ => None,
        })
        .collect()
}

fn kinds(schema: &Value, page: &mut Markdown) {
    page.heading(2, "Kinds of values");
    for (name, word) in KINDS {
        let said = schema.pointer(&format!("/$defs/{name}/description"));
        if let Some(said) = said.and_then(Value::as_str) {
            page.heading(3, word);
            page.line(&plain(said));
        }
    }
}

/// A part of a file that has a heading.
struct Part {
    path: String,
    level: usize,
    schema: Value,
}

struct Reference<'a> {
    root: &'a Value,
    parts: Vec<Part>,
    /// The heading under which an object is told, by its name in the schema.
    places: BTreeMap<String, String>,
    /// The page that tells the kinds of values; empty where it is this one.
    elsewhere: &'static str,
}

impl<'a> Reference<'a> {
    fn new(root: &'a Value) -> Self {
        let mut reference = Self {
            root,
            parts: Vec::new(),
            places: BTreeMap::new(),
            elsewhere: "",
        };
        let properties = root.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            reference.parts.push(Part {
                path: name.clone(),
                level: 2,
                schema: schema.clone(),
            });
            reference.enter(name, schema, 2, true);
        }
        reference
    }

    fn needs(&self, name: &str) -> bool {
        let needed = self.root.get("required").and_then(Value::as_array);
        needed.is_some_and(|names| names.iter().any(|n| n == name))
    }

    /// Notes the object that a value holds, and what is below it. One that is told already is not told again.
    fn enter(&mut self, path: &str, schema: &Value, level: usize, headed: bool) {
        let Some((name, mark)) = holds(schema) else {
            return;
        };
        let Some(object) = self.object(name) else {
            return;
        };
        if name == STEP || self.places.contains_key(name) {
            return;
        }
        let path = format!("{path}{mark}");
        // The heading of a section stands for the entries in it.
        let heading = match (headed, self.parts.last()) {
            (true, Some(part)) => part.path.clone(),
            _ => path.clone(),
        };
        self.places.insert(name.to_owned(), heading);
        if !headed {
            self.parts.push(Part {
                path: path.clone(),
                level,
                schema: Value::Object(object.clone()),
            });
        }
        if let Some(Value::Object(keys)) = object.get("properties") {
            let keys = keys.clone();
            self.below(&path, &keys, 3);
        }
    }

    fn below(&mut self, path: &str, keys: &Map<String, Value>, level: usize) {
        for (key, schema) in keys {
            self.enter(&format!("{path}.{key}"), schema, level, false);
        }
    }

    /// A declared object with keys of its own.
    fn object(&self, name: &str) -> Option<Map<String, Value>> {
        let object = self.root.pointer(&format!("/$defs/{name}"))?.as_object()?;
        object.contains_key("properties").then(|| object.clone())
    }

    fn part(&self, part: &Part, page: &mut Markdown) {
        page.heading(part.level, &code(&part.path));
        let told = part.schema.get("description").and_then(Value::as_str);
        page.line(&plain(told.unwrap_or_default()));
        let held = match part.level {
            2 => holds(&part.schema),
            _ => None,
        };
        let object = held.and_then(|(name, _)| self.object(name));
        let whole = part.schema.get("properties").and_then(Value::as_object);
        match (object, whole) {
            (Some(object), _) => {
                let more = object.get("description").and_then(Value::as_str);
                if more != told {
                    page.line(&plain(more.unwrap_or_default()));
                }
                page.table(["key", "type", "meaning"], &self.rows(&object));
            }
            (None, Some(_)) => {
                let rows = part.schema.as_object().map(|object| self.rows(object));
                page.table(["key", "type", "meaning"], &rows.unwrap_or_default());
            }
            (None, None) => {
                let words = self.typed(&part.schema);
                if words != "any" && words != "object" {
                    page.line(&format!("Type: {words}."));
                }
                let mut rest = resolved(self.root, &part.schema);
                if let Some(object) = rest.as_object_mut() {
                    object.shift_remove("description");
                }
                page.line(&meaning(&rest));
            }
        }
    }

    fn rows(&self, object: &Map<String, Value>) -> Vec<[String; 3]> {
        let needed = object.get("required").and_then(Value::as_array);
        let keys = object.get("properties").and_then(Value::as_object);
        keys.into_iter()
            .flatten()
            .map(|(key, schema)| {
                let is_needed = needed.is_some_and(|names| names.iter().any(|n| n == key.as_str()));
                let key = code(key);
                [
                    if is_needed { format!("**{key}**") } else { key },
                    self.typed(schema),
                    self.said(schema),
                ]
            })
            .collect()
    }

    /// What is said of a key. The pattern of a kind of value is said where that is told.
    fn said(&self, schema: &Value) -> String {
        match reference_name(schema) {
            Some(name) if KINDS.iter().any(|(kind, _)| *kind == name) => meaning(schema),
            _ => meaning(&resolved(self.root, schema)),
        }
    }

    fn typed(&self, schema: &Value) -> String {
        if let Some(name) = reference_name(schema) {
            if name == STEP {
                return "[step](verbs.md#keys-of-every-step)".to_owned();
            }
            if let Some((_, word)) = KINDS.iter().find(|(kind, _)| *kind == name) {
                return format!(
                    "[{word}]({}#{})",
                    self.elsewhere,
                    super::markdown::anchor(word)
                );
            }
            if let Some(heading) = self.places.get(name) {
                return to_heading("object", &code(heading));
            }
        }
        let inner = |key: &str| schema.get(key).filter(|part| part.is_object());
        if let Some(items) = inner("items") {
            return match self.typed(items).as_str() {
                "any" => "list".to_owned(),
                one => format!("list of {one}"),
            };
        }
        match inner("additionalProperties") {
            Some(values) if schema.get("properties").is_none() => {
                format!("{} for each name", self.typed(values))
            }
            _ => type_words(self.root, &resolved(self.root, schema)),
        }
    }
}

fn reference_name(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

/// The name of what a value holds, and the mark of how it is reached: itself, an element, or an entry.
fn holds(schema: &Value) -> Option<(&str, &'static str)> {
    let inside = |key: &str| schema.get(key).and_then(reference_name);
    reference_name(schema)
        .map(|name| (name, ""))
        .or_else(|| inside("items").map(|name| (name, "[]")))
        .or_else(|| inside("additionalProperties").map(|name| (name, ".NAME")))
}

/// Whether a key of a step is one that every step may have.
pub fn is_common(key: &str) -> bool {
    Step::KEYS.contains(&key)
}
