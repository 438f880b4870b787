//! The pages in `docs/reference` are those that would be written, and what they say holds together.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::Value;

use super::*;

fn made() -> Pages {
    let request = Request {
        packs: Vec::new(),
        config: None,
        out: PathBuf::new(),
        check: false,
    };
    let (pages, warnings) = pages(&request).unwrap_or_else(|report| panic!("{report}"));
    assert!(warnings.is_empty(), "{warnings}");
    pages
}

/// To refresh them: `cargo run -- docs --out docs/reference`
#[test]
fn published_pages_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(OUT);
    let pages = made();
    for (path, text) in &pages {
        assert!(
            is_fresh(&folder.join(path), text),
            "{OUT}/{path} is stale; refresh it with `cargo run -- docs --out {OUT}`"
        );
    }
    for part in ["", "tools", "asyncapi"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(&folder).unwrap();
            let shown = shown.to_string_lossy().replace('\\', "/");
            assert!(
                path.is_dir() || pages.contains_key(&shown),
                "{OUT}/{shown} is no page any more: remove it"
            );
        }
    }
}

#[test]
fn pages_tell_nothing_of_who_has_made_them() {
    let here = std::env::current_dir().unwrap();
    let pages = made();
    assert_eq!(pages, made());
    for (path, text) in pages {
        assert!(!text.contains(&*here.to_string_lossy()), "{path}");
    }
}

/// Every reference in a document, with where it leads.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get("$ref") {
                found.push(target.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_and_parameter_of_asyncapi_is_declared() {
    let names: Vec<String> = builtin::PACKS.iter().map(|p| p.name.to_string()).collect();
    let (packs, _) = pack::of_names(&names).unwrap();
    let mut operations = 0;
    for pack in &packs {
        let document = asyncapi::value(pack);
        let mut found = Vec::new();
        references(&document, &mut found);
        for target in &found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(
                document.pointer(pointer).is_some(),
                "{}: {target}",
                pack.name()
            );
        }
        for channel in document["channels"].as_object().unwrap().values() {
            let address = channel["address"].as_str().unwrap_or_default();
            let named: Vec<&str> = address
                .split('{')
                .skip(1)
                .map(|p| p.split('}').next().unwrap())
                .collect();
            for name in &named {
                assert!(
                    channel["parameters"].get(name).is_some(),
                    "{address}: {name}"
                );
            }
            assert!(!address.contains(['*', '>', ' ']), "{address}");
        }
        operations += document["operations"].as_object().unwrap().len();
    }
    assert!(operations > 20, "{operations} operations");
}

#[test]
fn a_tool_of_every_built_in_pack_is_told() {
    let pages = made();
    for pack in builtin::PACKS {
        let page = &pages[&format!("tools/{}.md", pack.name)];
        for tool in pack.tools.keys().chain(pack.aliases.keys()) {
            assert!(
                page.contains(&code(tool)),
                "{tool} is not on the page of {}",
                pack.name
            );
        }
        assert!(
            page.contains("```mermaid") || pack.tools.is_empty(),
            "{}",
            pack.name
        );
    }
}
