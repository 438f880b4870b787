//! The page of a pack: its tools, and what it keeps.

use serde_json::Value;

use super::diagram::{self, Node};
use super::markdown::{Markdown, anchor, code, first_sentence, plain, to_heading};
use super::names::shown;
use super::pack::{Documented, Made, Shown};
use super::schema;
use crate::catalog::touch::{self, Keys, On, Subjects, Touch};
use crate::spec::model::{self, Example, Pack, TaskUse};
use crate::spec::tree::Tree;

/// The page of a pack. `all` are those that have pages.
pub fn page(documented: &Documented, all: &[Documented]) -> String {
    let pack = documented.pack.as_ref();
    let mut page = Markdown::page(&documented.title(), super::MADE_BY);
    let place = format!("../{}", super::asyncapi::path(&pack.name));
    page.line(&format!(
        "The pack {}. Its side of NATS, for other programs: [AsyncAPI]({place}).",
        code(&pack.name)
    ));
    if let Some(text) = &documented.instructions {
        page.line("What a model is told when it connects:");
        page.line(&quoted(text));
    }
    summary(documented, &mut page);
    aliases(documented, all, &mut page);
    diagrams(documented, &mut page);
    for tool in &documented.tools {
        section(pack, tool, documented.chosen, &mut page);
    }
    settings(pack, &mut page);
    super::kept::sections(pack, &mut page);
    page.finish()
}

fn quoted(text: &str) -> String {
    let lines = text.trim().lines();
    lines.map(|line| format!("> {}\n", plain(line))).collect()
}

fn summary(documented: &Documented, page: &mut Markdown) {
    let rows: Vec<[String; 3]> = documented
        .tools
        .iter()
        .map(|tool| {
            [
                to_heading(&code(&tool.name), &tool.heading()),
                plain(first_sentence(&tool.description)),
                hints(&tool.spec).join(", "),
            ]
        })
        .collect();
    page.table(["tool", "what it does", "hints"], &rows);
}

fn aliases(documented: &Documented, all: &[Documented], page: &mut Markdown) {
    let rows: Vec<[String; 2]> = documented
        .aliases
        .iter()
        .map(|alias| {
            let name = code(&alias.heading);
            let known = all.iter().any(|pack| pack.name() == alias.pack);
            let target = if known {
                format!("[{name}]({}.md#{})", alias.pack, anchor(&name))
            } else {
                name
            };
            [
                code(&alias.name),
                format!("{target} of {}", code(&alias.pack)),
            ]
        })
        .collect();
    if !rows.is_empty() {
        page.line("These are tools of other packs under other names:");
        page.table(["tool", "is"], &rows);
    }
}

fn diagrams(documented: &Documented, page: &mut Markdown) {
    let diagrams = diagram::of(documented);
    if diagrams.is_empty() {
        return;
    }
    page.heading(2, "What touches what");
    page.line("A dotted arrow only reads.");
    for diagram in diagrams {
        if let Some(title) = &diagram.title {
            page.heading(3, &plain(title));
        }
        page.code("mermaid", &diagram.text);
    }
}

/// What clients are told a tool does, in words.
fn hints(tool: &model::Tool) -> Vec<&'static str> {
    let Some(told) = &tool.annotations else {
        return Vec::new();
    };
    let mut words = Vec::new();
    for (value, yes) in [
        (told.read_only, "read-only"),
        (told.destructive, "destructive"),
        (told.idempotent, "idempotent"),
        (told.open_world, "open world"),
    ] {
        if value == Some(true) {
            words.push(yes);
        }
    }
    words
}

fn section(pack: &Pack, tool: &Shown, chosen: bool, page: &mut Markdown) {
    page.heading(2, &tool.heading());
    if let Some(title) = &tool.title {
        page.line(&format!("**{}**", plain(title)));
    }
    page.line(&plain(&tool.description));
    if let Some(Made { by, of }) = &tool.made {
        page.line(&format!(
            "Made by the generator {}: one for each of {}. What stands in braces is filled in.",
            code(by),
            code(of)
        ));
    }
    page.list(&conditions(tool, chosen));
    let rows = schema::fields(&tool.input);
    if rows.is_empty() {
        page.line("No arguments.");
    } else {
        page.table(["argument", "type", "meaning"], &rows);
    }
    if let Some(output) = &tool.output {
        page.line("The structured result:");
        match schema::fields(output) {
            rows if rows.is_empty() => page.line("An object."),
            rows => page.table(["field", "type", "meaning"], &rows),
        }
    }
    let touched = touched(&touch::of_tool(pack, &tool.spec));
    if !touched.is_empty() {
        page.line("Touches:");
        page.list(&touched);
    }
    for example in tool.spec.examples.iter() {
        self::example(&tool.name, example, page);
    }
}

fn conditions(tool: &Shown, chosen: bool) -> Vec<String> {
    let mut items = Vec::new();
    if let Some(when) = tool.spec.when.as_ref().filter(|_| !chosen) {
        items.push(format!("Only there where {} holds.", code(&when.0)));
    }
    if !tool.spec.scopes.is_empty() {
        let scopes: Vec<String> = tool.spec.scopes.iter().map(|s| code(s)).collect();
        items.push(format!(
            "Needs the scope {}, where clients log in.",
            scopes.join(", ")
        ));
    }
    match tool.spec.task {
        Some(TaskUse::Offered) => items.push("May run as a task.".to_owned()),
        Some(TaskUse::Required) => items.push("Runs as a task only.".to_owned()),
        Some(TaskUse::Never) | None => {}
    }
    let hints = hints(&tool.spec);
    if !hints.is_empty() {
        items.push(format!("Hints: {}.", hints.join(", ")));
    }
    items
}

/// What is touched, a line for each thing.
fn touched(touches: &[Touch]) -> Vec<String> {
    let mut lines: Vec<(Node, Vec<String>)> = Vec::new();
    for touch in touches {
        let node = Node::of(&touch.on);
        let doing = match detail(&touch.on) {
            Some(detail) => format!("{} {}", touch.action.name(), detail),
            None => touch.action.name().to_owned(),
        };
        match lines.iter_mut().find(|(known, _)| *known == node) {
            Some((_, all)) => all.push(doing),
            None => lines.push((node, vec![doing])),
        }
    }
    let lines = lines.into_iter();
    lines
        .map(|(node, doing)| format!("{} {}: {}", node.kind, code(&node.name), doing.join(", ")))
        .collect()
}

/// Which part of it: subjects of a stream, keys of a bucket.
fn detail(on: &On) -> Option<String> {
    let read = |text: &str| code(&shown(text));
    match on {
        On::Stream { subjects, .. } => match subjects {
            Subjects::Own => None,
            Subjects::These(list) => {
                let all: Vec<String> = list.iter().map(|token| read(&token.0)).collect();
                Some(all.join(" "))
            }
            Subjects::Computed(text) => Some(read(text)),
        },
        On::Bucket { keys, .. } => match keys {
            Keys::Any => None,
            Keys::One(key) => Some(read(&key.0)),
            Keys::Under(key) => Some(read(&format!("{}.>", key.0))),
        },
        _ => None,
    }
}

fn example(tool: &str, example: &Example, page: &mut Markdown) {
    let shown = serde_json::to_value(example).map(|value| without(value, tool));
    let text = shown
        .ok()
        .and_then(|value| serde_yaml::to_string(&value).ok());
    let Some(text) = text else { return };
    page.line(&match &example.title {
        Some(title) => format!("Example: {}", plain(title)),
        None => "Example:".to_owned(),
    });
    page.code("yaml-part", &text);
}

/// An example without its title, which stands above it, and without what is empty.
fn without(value: Value, tool: &str) -> Value {
    let Value::Object(mut map) = value else {
        return value;
    };
    map.retain(|key, value| {
        let told = key == "title" || (key == "tool" && value == tool);
        !told && !is_empty(value)
    });
    Value::Object(map)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn settings(pack: &Pack, page: &mut Markdown) {
    let Some(Value::Object(schema)) = pack.settings.as_ref().map(|json| json.to_value()) else {
        return;
    };
    let rows = schema::fields(&schema);
    if rows.is_empty() {
        return;
    }
    page.heading(2, "Settings");
    page.line(&format!(
        "A config gives them under {}.",
        code(&format!("settings.{}", pack.name))
    ));
    page.table(["setting", "type", "meaning"], &rows);
}

/// A value of a declaration, as it is read.
pub fn value_words(tree: &Tree) -> String {
    match serde_json::to_value(tree) {
        Ok(Value::String(text)) => code(&shown(&text)),
        Ok(other) => code(&other.to_string()),
        Err(_) => String::new(),
    }
}
