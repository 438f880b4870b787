//! Every link in the documents has a target. What else is checked of them is checked by the integration tests.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The documents and what they say.
fn documents() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = root.canonicalize().unwrap();
    let mut files = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    for folder in ["docs", "docs/reference", "docs/reference/tools"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            files.push(entry.unwrap().path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|e| e == "md"));
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    files.iter().map(|p| (p.clone(), text(p))).collect()
}

/// A document without its fenced blocks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fence && !fenced
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What links to the headings of a document say after `#`.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        title
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_in_the_documents_has_a_target() {
    let documents = documents();
    let mut links = 0;
    for (path, text) in &documents {
        let text = prose(text);
        for rest in text.split("](").skip(1) {
            let link = rest.split(')').next().unwrap();
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.starts_with("https://") {
                continue;
            }
            let mut target = path.clone();
            if !file.is_empty() {
                let joined = path.with_file_name(file).canonicalize();
                target = joined.unwrap_or_else(|e| panic!("{}: {link}: {e}", path.display()));
            }
            let known = |text: &String| anchors(&prose(text)).contains(anchor);
            let found = anchor.is_empty() || documents.get(&target).is_some_and(known);
            assert!(found, "{}: {link} leads nowhere", path.display());
            links += 1;
        }
    }
    assert!(links > 50, "{links} links were found in the documents");
}
