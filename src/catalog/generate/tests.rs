//! From documents to tools, and what is said where there is none.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::catalog::Catalog;
use crate::spec::config;
use crate::spec::diag::Report;
use crate::spec::source::Source;

const PACK: &str = r#"
pack: {name: forms}
settings:
  type: object
  properties:
    forms: {type: array, items: {}, default: []}
    on_error: {type: string, default: fail}
schemas:
  form:
    type: object
    required: [name]
    properties:
      name: {type: string}
      level: {type: integer, default: 5}
      off: {type: boolean, default: false}
      text: {type: string}
      input: {type: object, additionalProperties: true}
      output: {type: object, additionalProperties: true}
tools:
  first: {description: x, reply: {text: x}}
generate:
  forms:
    each: config.forms
    document: "{{ entry }}"
    schema: form
    on_error: "{{ config.on_error }}"
    let:
      twice: "{{ doc.level + doc.level }}"
      other: "{{ document(place.folder ~ '/other.yaml') | default('nothing') }}"
      text: "{{ (doc.text | default('1') | from_json) + 1 }}"
    when: not doc.off
    name: "{{ doc.name }}"
    tool:
      description: "{{ twice }} {{ other.said | default('-') }} {{ place.file }} {{ place.folder }}"
      input: "{{ doc.input | default(omit) }}"
      closed: false
      output: "{{ doc.output | default(omit) }}"
      reply: {structured: {n: "{{ twice }}"}}
aliases: {}
"#;

/// A folder with the pack and these files.
fn place(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("pack/pack.yaml", PACK)].iter().chain(files) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// The catalog of the pack with these forms.
fn build(base: &Path, settings: &str) -> Result<(Catalog, Report), Report> {
    let text = format!("packs: [./pack]\nsettings:\n  forms: {settings}\n");
    let (config, report) = config::load(Source::new("c.yaml", text), None);
    Catalog::build(
        &config.unwrap_or_else(|| panic!("{report}")),
        base,
        &json!({}),
    )
}

fn names(catalog: &Catalog) -> Vec<String> {
    catalog.tools().names().map(str::to_owned).collect()
}

/// What is said, without the folder's own name.
fn said(report: &Report, dir: &TempDir) -> String {
    report
        .render(false)
        .replace(&dir.path().display().to_string(), "")
}

#[test]
fn each_document_makes_a_tool() {
    let input = "{type: object, required: [x], properties: {x: {default: 1}}}";
    let dir = place(&[
        ("a.yaml", &format!("name: a\nlevel: 2\ninput: {input}\n")),
        (
            "deep/b.json",
            r#"{"name": "b", "output": {"type": "object"}}"#,
        ),
        ("deep/other.yaml", "said: hello"),
        ("off.yaml", "{name: off, off: true}"),
    ]);
    let settings = "{forms: [a.yaml, [none.yaml, deep/b.json], off.yaml]}";
    let (catalog, report) = build(dir.path(), settings).unwrap();
    assert!(report.is_empty(), "{report}");
    assert_eq!(names(&catalog), ["first", "a", "b"]);
    let (a, b) = (catalog.tool("a").unwrap(), catalog.tool("b").unwrap());
    assert_eq!(a.description, "4 - a.yaml .");
    assert_eq!(b.description, "10 hello deep/b.json deep");
    let written = json!({"type": "object", "required": ["x"], "properties": {"x": {"default": 1}}});
    assert_eq!(Value::Object((*a.input).clone()), written);
    assert_eq!(a.arguments(None).unwrap(), json!({"x": 1}));
    assert!(a.output.is_none() && b.output.is_some());
    let given: Vec<&str> = a.given.iter().map(|(name, _)| name.as_ref()).collect();
    assert_eq!(given, ["entry", "doc", "place", "twice", "other", "text"]);
}

/// Documents with everything that can be wrong.
const BROKEN: &[(&str, &str)] = &[
    ("a.yaml", "name: a\n"),
    ("again.yaml", "name: a\n"),
    ("taken.yaml", "name: first\n"),
    ("syntax.yaml", "name: a\nlevel: [\n"),
    ("form.yaml", "nam: a\nlevel: high\ninput: 5\n"),
    ("name.yaml", "name: a b\n"),
    (
        "schema.yaml",
        "name: s\ninput: {type: object, properties: {x: {type: txt}}}\n",
    ),
    ("list.yaml", "name: l\ninput: {type: array}\n"),
    ("text.yaml", "name: t\ntext: '{}'\n"),
    ("deep/b.yaml", "name: b\n"),
    ("deep/other.yaml", "x: 'y\n"),
];
const FORMS: &str = "[a.yaml, again.yaml, taken.yaml, syntax.yaml, form.yaml, name.yaml, schema.yaml, list.yaml, text.yaml, deep/b.yaml, missing.yaml, [gone.yaml, missing.yaml], 5, null]";

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let dir = place(BROKEN);
    let report = build(dir.path(), &format!("{{forms: {FORMS}}}")).unwrap_err();
    insta::assert_snapshot!(said(&report, &dir));
}

#[test]
fn what_is_skipped_is_a_warning() {
    let dir = place(BROKEN);
    let broken = build(dir.path(), &format!("{{forms: {FORMS}}}")).unwrap_err();
    let settings = format!("{{forms: {FORMS}, on_error: skip}}");
    let (catalog, report) = build(dir.path(), &settings).unwrap();
    assert_eq!(names(&catalog), ["first", "a"]);
    assert_eq!(report.sorted().len(), broken.sorted().len());
}

#[test]
fn a_generator_that_cannot_work_makes_nothing() {
    let dir = place(&[]);
    for (settings, part) in [
        ("{forms: [], on_error: maybe}", "it is `fail` or `skip`"),
        (
            &format!("{{forms: {:?}}}", vec![1; 1001]),
            "more than 1000 elements",
        ),
    ] {
        let report = build(dir.path(), settings).unwrap_err().render(false);
        assert!(
            report.contains("`forms`") && report.contains(part),
            "{report}"
        );
    }
}

#[test]
fn tools_of_a_source_come_and_go() {
    let dir = place(&[
        ("a.yaml", "name: a"),
        ("b.yaml", "name: b"),
        ("first.yaml", "name: first"),
    ]);
    let (mut catalog, _) = build(dir.path(), "{}").unwrap();
    let pack = catalog.packs[0].pack.to_mut();
    let (name, mut generator) = pack.generate.0[0].clone();
    generator.each = None;
    generator.from = Some("afar".into());
    pack.generate = Default::default();
    pack.generate.push(name, generator);
    let before = catalog.served().fingerprint();
    let regenerate = |source: &str, entries: Value| {
        let entries = entries.as_array().cloned().unwrap();
        let (changed, report) = catalog.regenerate(source, &entries);
        assert!(!report.has_errors());
        (changed, report.sorted().len())
    };
    assert_eq!(regenerate("elsewhere", json!(["a.yaml"])), (false, 0));
    assert_eq!(
        regenerate("afar", json!(["a.yaml", "b.yaml", "c.yaml"])),
        (true, 1)
    );
    assert_eq!(names(&catalog), ["first", "a", "b"]);
    let held = catalog.tool("a").unwrap();
    assert_eq!(regenerate("afar", json!(["a.yaml", "b.yaml"])), (false, 0));
    // A declared tool is not pushed out.
    assert_eq!(
        regenerate("afar", json!(["first.yaml", "b.yaml"])),
        (true, 1)
    );
    assert_eq!(names(&catalog), ["first", "b"]);
    assert_eq!(catalog.tool("first").unwrap().description, "x");
    assert_eq!(held.name, "a");
    assert_eq!(regenerate("afar", json!([])), (true, 0));
    assert_eq!(catalog.served().fingerprint(), before);
}

#[test]
fn what_cannot_be_made_is_told_where_it_is_said() {
    let schema = "name: s\ninput:\n  type: object\n  properties: {a: {type: strin}}\n";
    let dir = place(&[
        ("bad.yaml", schema),
        ("sub/x.yaml", "name: x\n"),
        ("name.yaml", "level: 1\nname: a b\n"),
        ("two.yaml", "name: one\n---\nname: two\n"),
    ]);
    let files = "{forms: [bad.yaml, sub, name.yaml, two.yaml]}";
    let said = said(&build(dir.path(), files).unwrap_err(), &dir);
    for part in [
        "`properties.a.type`: the string \"strin\" is not one of",
        "/bad.yaml:4:26",
        "c.yaml:3:29",
        "/name.yaml:2:7",
        "a second document begins here",
        "/two.yaml:2:1",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
}

#[test]
fn entries_without_a_document_have_their_place_in_the_config() {
    let pack = r#"
pack: {name: forms}
settings:
  type: object
  properties:
    rows: {type: array, items: {type: object, additionalProperties: true}}
generate:
  rows:
    each: config.rows | unwind('verbs')
    name: "{{ entry.of }}_{{ entry.verbs }}"
    tool: {description: x, reply: {text: x}}
"#;
    let dir = place(&[("pack/pack.yaml", pack)]);
    let rows = "{rows: [{of: a, verbs: [get]}, {of: b, verbs: [get, get]}, {of: c d, verbs: [x]}]}";
    let said = said(&build(dir.path(), rows).unwrap_err(), &dir);
    for (problem, column) in [("`b_get` is declared twice", 41), ("`c d_x` cannot be", 69)] {
        let told = said.split("error[").find(|told| told.contains(problem));
        let place = format!("c.yaml:3:{column}\n");
        assert!(
            told.is_some_and(|t| t.contains(&place)),
            "{problem} at {place} in\n{said}"
        );
    }
}
