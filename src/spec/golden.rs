//! Golden files: what is said about broken specs, and what sound ones are lowered to.
//!
//! To accept changes: `INSTA_UPDATE=always cargo test --lib golden`, then read the difference.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::files::{PackFiles, read_source};
use super::load::load;

/// The files that blocks may show.
const FILES: &[(&str, &[u8])] = &[
    ("dot.gif", b"GIF\xff"),
    ("note.md", b"# A note\n"),
    ("ping.wav", b"RIFF\xfe"),
];

fn pack(kind: &str, name: &str) -> PackFiles {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/spec/testdata")
        .join(kind)
        .join(name);
    PackFiles {
        name: "golden".into(),
        specs: vec![read_source(&path, name).unwrap()],
        files: FILES
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
            .collect(),
        ..PackFiles::default()
    }
}

macro_rules! broken {
    ($($test:ident: $file:literal,)+) => {
        $(#[test]
        fn $test() {
            let (pack, report) = load(&pack("bad", $file));
            assert!(pack.is_none());
            insta::assert_snapshot!(report.render(false));
        })+
    };
}

broken! {
    misspelt_names: "names.yaml",
    what_every_call_would_trip_over: "calls.yaml",
    wrong_forms: "form.yaml",
    steps_that_change_what_is_kept: "state.yaml",
    queues_that_cannot_work: "queues.yaml",
    schemas_that_are_none: "schemas.yaml",
    templates_that_do_not_compile: "templates.yaml",
    braces_without_quotes: "unquoted.yaml",
    malformed_yaml: "syntax.yaml",
    steps_without_a_tool: "routines.yaml",
    tables_and_journals: "tables.yaml",
    macros_and_their_use: "macros.yaml",
    resources_that_are_none: "resources.yaml",
    prompts_completions_and_what_steps_make: "offers.yaml",
    questions_that_cannot_be_put: "ask.yaml",
    files_programs_and_servers: "machine.yaml",
    inboxes_and_progress: "inboxes.yaml",
    tools_made_from_lists: "generate.yaml",
    examples_and_fixtures: "examples.yaml",
    a_name_declared_twice: "duplicate.yaml",
    foreign_files: "foreign.yaml",
    contents_and_faces: "content.yaml",
}

#[test]
fn everything_lowers() {
    let (pack, report) = load(&pack("good", "everything.yaml"));
    assert!(report.is_empty(), "{report}");
    insta::assert_json_snapshot!(pack.unwrap());
}
