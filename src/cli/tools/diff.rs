//! `jacquard tools --diff`: which tools are new, gone or other, and in what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::catalog::definition::definition;
use crate::cli::{fail, refuse, say, setup};
use crate::gateway::listing;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::files::read_source;

/// The most of a value that a line shows, in characters.
const SHOWN: usize = 200;

/// The tools of one side, by name.
type Side = BTreeMap<String, Known>;

/// What is known of a tool.
struct Known {
    /// As clients see it.
    listed: Value,
    /// What it does; not known of a saved listing.
    does: Option<Value>,
}

/// One difference in a tool.
struct Change {
    path: String,
    old: Option<Value>,
    new: Option<Value>,
}

pub fn run(sides: &[PathBuf], as_json: bool) -> ExitCode {
    let [old, new] = sides else {
        return fail("--diff takes two sides");
    };
    let (old, new) = match (side(old), side(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            let problems = [old.err(), new.err()].into_iter().flatten();
            let mut report = Report::new();
            problems.for_each(|found| report.extend(found));
            refuse(&report);
            return ExitCode::from(2);
        }
    };
    let changed: Vec<(&str, Vec<Change>)> = old
        .iter()
        .filter_map(|(name, before)| Some((name.as_str(), changes(before, new.get(name)?))))
        .filter(|(_, changes)| !changes.is_empty())
        .collect();
    let only = |here: &Side, there: &Side| -> Vec<String> {
        let names = here.keys().filter(|name| !there.contains_key(*name));
        names.cloned().collect()
    };
    let (added, removed) = (only(&new, &old), only(&old, &new));
    if as_json {
        say(&as_value(&added, &removed, &changed).to_string());
    } else {
        added.iter().for_each(|name| say(&format!("+ {name}")));
        removed.iter().for_each(|name| say(&format!("- {name}")));
        changed
            .iter()
            .for_each(|(name, changes)| tell(name, changes));
    }
    if added.is_empty() && removed.is_empty() && changed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell(name: &str, changes: &[Change]) {
    say(&format!("~ {name}"));
    for change in changes {
        say(&format!("    {}", change.path));
        for (mark, value) in [('-', &change.old), ('+', &change.new)] {
            if let Some(value) = value {
                say(&format!("      {mark} {}", short(value)));
            }
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    let begin: String = text.chars().take(SHOWN).collect();
    format!("{begin}…")
}

fn as_value(added: &[String], removed: &[String], changed: &[(&str, Vec<Change>)]) -> Value {
    let changed = changed.iter().map(|(name, changes)| {
        let changes = changes
            .iter()
            .map(|c| json!({"path": c.path, "old": c.old, "new": c.new}));
        json!({"name": name, "changes": changes.collect::<Vec<_>>()})
    });
    json!({"added": added, "removed": removed, "changed": changed.collect::<Vec<_>>()})
}

/// Reads one side. The environment that a config names need not be there.
fn side(path: &Path) -> Result<Side, Report> {
    if path.extension().is_some_and(|e| e == "json") {
        return saved(path);
    }
    let catalog = setup::catalog_of(path)?;
    Ok(known(&catalog))
}

fn known(catalog: &Catalog) -> Side {
    let tools = catalog.tools();
    let all = tools.iter().zip(listing(&tools));
    all.map(|(tool, listed)| {
        let known = Known {
            listed: serde_json::to_value(listed).unwrap_or_default(),
            does: Some(definition(catalog, tool)),
        };
        (tool.name.clone(), known)
    })
    .collect()
}

/// A listing that `jacquard tools --json` has written.
fn saved(path: &Path) -> Result<Side, Report> {
    let shown = path.display().to_string();
    let source = read_source(path, &shown)?;
    let other = |why: String| {
        let text = format!("{shown} is no listing of tools: {why}");
        let told = Diagnostic::global(Code::Schema, text);
        Report::from(told.help("save one with `jacquard tools --json`"))
    };
    let tools: Vec<Value> =
        serde_json::from_str(source.text()).map_err(|error| other(error.to_string()))?;
    let mut side = Side::new();
    for tool in tools {
        let name = tool.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| other("a tool has no name".to_owned()))?;
        let (name, does) = (name.to_owned(), None);
        side.insert(name, Known { listed: tool, does });
    }
    Ok(side)
}

/// What is other in a tool: first what clients see, then what it does.
fn changes(old: &Known, new: &Known) -> Vec<Change> {
    let mut found = Vec::new();
    compare(&old.listed, &new.listed, "", &mut found);
    if let (Some(before), Some(after)) = (&old.does, &new.does) {
        let shown = found.len();
        compare(before, after, "", &mut found);
        // What clients see of it was told already.
        let mut index = 0;
        found.retain(|change| {
            index += 1;
            let seen = [
                "tool.description",
                "tool.title",
                "tool.input",
                "tool.output",
                "tool.annotations",
            ];
            index <= shown || !(shown > 0 && seen.iter().any(|s| change.path.starts_with(s)))
        });
    }
    found
}

/// Every place at which two values differ, the innermost.
fn compare(old: &Value, new: &Value, at: &str, found: &mut Vec<Change>) {
    let inner = |key: &str| match at {
        "" => key.to_owned(),
        at => format!("{at}.{key}"),
    };
    let mut differ = |path: String, old: Option<&Value>, new: Option<&Value>| match (old, new) {
        (Some(old), Some(new)) => compare(old, new, &path, found),
        (old, new) => found.push(Change {
            path,
            old: old.cloned(),
            new: new.cloned(),
        }),
    };
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                differ(inner(key), Some(value), after.get(key));
            }
            for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                differ(inner(key), None, Some(value));
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for index in 0..before.len().max(after.len()) {
                let path = inner(&index.to_string());
                differ(path, before.get(index), after.get(index));
            }
        }
        (before, after) if before == after => {}
        (before, after) => found.push(Change {
            path: at.to_owned(),
            old: Some(before.clone()),
            new: Some(after.clone()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_difference_is_told() {
        let old = json!({"a": {"b": [1, {"c": 2}], "same": 1}, "gone": true});
        let new = json!({"a": {"b": [1, {"c": 3}, 4], "same": 1}, "new": null});
        let mut found = Vec::new();
        compare(&old, &new, "", &mut found);
        let told: Vec<String> = found
            .iter()
            .map(|c| format!("{} {:?} {:?}", c.path, c.old.is_some(), c.new.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                "a.b.1.c true true",
                "a.b.2 false true",
                "gone true false",
                "new false true"
            ]
        );
    }
}
