//! What a tool is as it is declared, whatever the project: for fingerprints and differences.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::templates::to_json;
use super::touch::{self, On};
use super::{Catalog, Tool};
use crate::spec::data;
use crate::spec::model::Pack;

/// The keys of a tool that neither clients nor calls see.
const ASIDE: &[&str] = &["examples"];

/// The declaration of a tool with all that it uses of its pack: streams, buckets, queues, macros, templates and the rest, and for
/// a tool that is made of a document, this document.
pub fn definition(catalog: &Catalog, tool: &Tool) -> Value {
    let pack: &Pack = &catalog.packs[tool.pack].pack;
    let mut declared = as_json(&tool.spec);
    if let Some(map) = declared.as_object_mut() {
        map.retain(|key, _| !ASIDE.contains(&key.as_str()));
    }
    let mut whole = Map::new();
    let template = tool.spec.reply.template.as_deref();
    if let Some(text) = template.and_then(|name| pack.templates.get(name)) {
        whole.insert("template".to_owned(), json!(text));
    }
    for (name, value) in macros(pack, &declared) {
        whole.insert(format!("macro {name}"), value);
    }
    for name in touch::of_tool(pack, &tool.spec).iter().map(|t| &t.on) {
        whole.extend(resource(pack, name));
    }
    for (name, value) in &tool.given {
        // What has no JSON form is a function, and the same everywhere.
        let value = to_json(value).unwrap_or_default();
        whole.insert(format!("given {name}"), value);
    }
    whole.insert("tool".to_owned(), declared);
    sorted(Value::Object(whole))
}

/// Sixteen hexadecimal digits that are others when the definition is, in any gateway.
pub fn fingerprint(definition: &Value) -> String {
    let digest = Sha256::digest(definition.to_string());
    digest.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

fn as_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The declaration of what is touched, by its kind and name.
fn resource(pack: &Pack, on: &On) -> Option<(String, Value)> {
    fn of<T: Clone + Serialize>(
        kind: &str,
        map: &data::Map<T>,
        name: &str,
    ) -> Option<(String, Value)> {
        let found = map.get(name)?;
        Some((format!("{kind} {name}"), as_json(found)))
    }
    match on {
        On::Stream { stream, .. } => of("stream", &pack.streams, stream),
        On::Bucket { bucket, .. } => of("bucket", &pack.buckets, bucket),
        On::Queue(name) => of("queue", &pack.queues, name),
        On::Inbox(name) => of("inbox", &pack.inboxes, name),
        On::Table(name) => of("table", &pack.tables, name),
        On::Journal(name) => of("journal", &pack.journals, name),
        On::Folder(name) => of("folder", &pack.folders, name),
        On::Program(name) => of("program", &pack.programs, name),
        On::Subject(_) | On::Subjects(_) | On::Server(_) | On::Services => None,
    }
}

/// The macros that steps use, those that these use as well.
fn macros<'a>(pack: &'a Pack, steps: &Value) -> impl Iterator<Item = (String, Value)> + use<'a> {
    let mut names = BTreeSet::new();
    let mut open = vec![steps.clone()];
    while let Some(value) = open.pop() {
        let mut used = Vec::new();
        uses(&value, &mut used);
        for name in used {
            let found = pack.macros.get(&name);
            if let Some(found) = found.filter(|_| names.insert(name)) {
                open.push(as_json(found));
            }
        }
    }
    names.into_iter().map(|name| {
        let value = pack.macros.get(&name).map(as_json).unwrap_or_default();
        (name, value)
    })
}

/// The names of macros under `use`, at any depth.
fn uses(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let name = map.get("use").and_then(|u| u.get("macro")?.as_str());
            found.extend(name.map(str::to_owned));
            map.values().for_each(|inner| uses(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| uses(inner, found)),
        _ => {}
    }
}

/// The same with the keys of its objects in order: in which order they are written says nothing.
pub fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let entries = entries.into_iter().map(|(key, v)| (key, sorted(v)));
            Value::Object(entries.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
