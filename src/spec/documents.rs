//! The YAML in the documents is right: every block that is a whole spec or config is loaded.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use super::config;
use super::doc::Doc;
use super::files::PackFiles;
use super::load::load;
use super::model::SECTIONS;
use super::source::Source;

/// The blocks fenced as `yaml`, without the indentation of a list around them.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "```yaml" {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let block: Vec<&str> = lines
            .by_ref()
            .take_while(|line| line.trim() != "```")
            .map(|line| line.get(indent..).unwrap_or_default())
            .collect();
        found.push(block.join("\n"));
    }
    found
}

#[test]
fn every_yaml_block_in_the_documents_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md")];
    for entry in std::fs::read_dir(root.join("docs")).unwrap() {
        files.push(entry.unwrap().path());
    }
    files.retain(|path| path.extension().is_some_and(|e| e == "md"));
    files.sort();
    let mut loaded = 0;
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for (index, block) in blocks(&text).into_iter().enumerate() {
            let source = Source::new(format!("{name}, yaml block {}", index + 1), block);
            let doc = Doc::parse(source.clone()).unwrap_or_else(|report| panic!("{report}"));
            let has = |key: &str| doc.value.get(key).is_some();
            let report = if has("packs") {
                config::load(source, None).1
            } else if SECTIONS.iter().any(|key| has(key)) {
                load(&PackFiles {
                    name: "documents".into(),
                    specs: vec![source],
                    templates: BTreeMap::new(),
                })
                .1
            } else {
                continue;
            };
            assert!(report.is_empty(), "{report}");
            loaded += 1;
        }
    }
    assert!(loaded > 1, "no YAML was found in the documents");
}
