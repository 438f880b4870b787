//! What the language has written in another way before.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::Fix;
use crate::spec::diag::Edit;
use crate::spec::doc::{Doc, join};

/// A variable of the environment as an expression, perhaps with a plain text for its absence, as it stands in a file: within
/// single quotes of YAML, its own are doubled.
static VARIABLE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let text = r#"[^'"\\{}$\r\n]*"#;
    let name = "[A-Za-z_][A-Za-z0-9_]*";
    Regex::new(&format!(
        r#"\{{\{{-?\s*env\.({name})\s*(?:\|\s*default\(\s*(?:'({text})'|"({text})"|''({text})'')\s*\)\s*)?-?\}}\}}"#
    ))
    .ok()
});

/// `{{ env.NAME }}` in a config is `${NAME}`, and with `default('x')` it is `${NAME:-x}`. A value that needs more of the
/// expression language stays an expression, as a whole.
pub(super) fn environment(doc: &Doc) -> Vec<Fix> {
    let mut found = Vec::new();
    walk(doc, &doc.value, "", &mut found);
    found
}

fn walk(doc: &Doc, value: &Value, pointer: &str, found: &mut Vec<Fix>) {
    match value {
        Value::String(text) if text.contains("{{") => found.extend(substitutes(doc, pointer)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(doc, item, &join(pointer, &index.to_string()), found);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                walk(doc, item, &join(pointer, key), found);
            }
        }
        _ => {}
    }
}

fn substitutes(doc: &Doc, pointer: &str) -> Vec<Fix> {
    let range = doc.value_range(pointer);
    let (Some(variable), Some(written)) = (&*VARIABLE, doc.source.text().get(range.clone())) else {
        return Vec::new();
    };
    let rest = variable.replace_all(written, "");
    // `$` before a brace would get a meaning.
    if rest.contains(['{', '}', '$']) || rest.contains("%}") {
        return Vec::new();
    }
    variable
        .captures_iter(written)
        .filter_map(|found| {
            let (whole, name) = (found.get(0)?, found.get(1)?.as_str());
            let default = (2..=4).find_map(|group| found.get(group));
            let default = default.map_or(String::new(), |text| format!(":-{}", text.as_str()));
            Some(Fix {
                edit: Edit {
                    range: range.start + whole.start()..range.start + whole.end(),
                    text: format!("${{{name}{default}}}"),
                },
                // The default may be a credential.
                what: format!("`{{{{ env.{name} }}}}` is now `${{{name}}}`"),
            })
        })
        .collect()
}
