//! Blocks of YAML: whole files are loaded, parts have the form of what they are a part of.

use std::sync::LazyLock;

use jacquard::spec::config;
use jacquard::spec::doc::Doc;
use jacquard::spec::files::PackFiles;
use jacquard::spec::load::load;
use jacquard::spec::model::SECTIONS;
use jacquard::spec::source::Source;
use serde_json::{Value, json};

use super::blocks::Block;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../schemas/spec.schema.json")).unwrap()
});

fn source(block: &Block) -> Source {
    Source::new(block.to_string(), block.text.clone())
}

/// It is YAML.
pub fn parsed(block: &Block) -> Value {
    let doc = Doc::parse(source(block));
    doc.unwrap_or_else(|report| panic!("{report}")).value
}

/// It is a spec or a config without a mistake.
pub fn whole(block: &Block) {
    let value = parsed(block);
    let has = |key: &str| value.get(key).is_some();
    let report = if has("packs") {
        config::load(source(block), None).1
    } else if SECTIONS.iter().any(|key| has(key)) {
        let files = PackFiles {
            name: "book".into(),
            specs: vec![source(block)],
            ..PackFiles::default()
        };
        load(&files).1
    } else {
        panic!(
            "{block} is neither a spec nor a config; a part of one is `yaml-part`, other data `yaml other`"
        );
    };
    assert!(report.is_empty(), "{report}");
}

/// It is a part of a spec or of a config.
pub fn part(block: &Block) {
    let value = parsed(block);
    match &value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| fits(block, "Step", item)),
        Value::Object(map) if map.contains_key("packs") => {
            let report = config::load(source(block), None).1;
            assert!(report.is_empty(), "{report}");
        }
        Value::Object(map) => {
            let Some(name) = kind(map.keys()) else {
                panic!("{block} is no part of a spec");
            };
            fits(block, name, &value);
        }
        other => panic!("{block} is only {other}"),
    }
}

/// Which definition of the language has all these keys; the empty text is the file.
fn kind<'a>(keys: impl Iterator<Item = &'a String> + Clone) -> Option<&'static str> {
    let all = ["", "Tool", "Step", "Example"];
    all.into_iter()
        .find(|name| keys.clone().all(|key| properties(name).get(key).is_some()))
}

fn properties(name: &str) -> &Value {
    let pointer = if name.is_empty() {
        "/properties".to_owned()
    } else {
        format!("/$defs/{name}/properties")
    };
    SCHEMA
        .pointer(&pointer)
        .unwrap_or_else(|| panic!("the schema has no {pointer}"))
}

/// The value has the form of this definition; keys may be missing in the value itself.
fn fits(block: &Block, name: &str, value: &Value) {
    let mut schema =
        json!({"$defs": SCHEMA["$defs"], "type": "object", "properties": properties(name)});
    schema["additionalProperties"] = false.into();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(value)
        .map(|error| error.to_string())
        .collect();
    assert!(wrong.is_empty(), "{block}: {}", wrong.join("; "));
}
