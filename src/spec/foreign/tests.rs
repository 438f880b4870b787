//! Foreign files, read with the kind that `testdata/foreign/gateway.yaml` declares.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::json;

use super::*;
use crate::spec::config::load_with;
use crate::spec::diag::Severity;
use crate::spec::files::{PackFiles, read_source};
use crate::spec::load::load;

fn file(name: &str) -> Source {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/spec/testdata/foreign");
    read_source(&folder.join(name), name).unwrap()
}

fn pack() -> Pack {
    let files = PackFiles {
        specs: vec![file("gateway.yaml")],
        ..PackFiles::default()
    };
    let (pack, report) = load(&files);
    assert!(report.is_empty(), "{report}");
    pack.unwrap()
}

fn read_with(source: Source, program: &str, set: &[&str]) -> (Option<Config>, Report) {
    let pack = pack();
    let forms = forms([&pack]);
    let set: Vec<Setting> = set.iter().map(|text| text.parse().unwrap()).collect();
    let lookup = |name: &str| (name == "MODELS_URL").then(|| "http://models".to_owned());
    let around = Around {
        lookup: Some(&lookup),
        forms: &forms,
        program,
        folder: "etc",
        set: &set,
    };
    load_with(source, &around)
}

fn read_text(text: &str) -> (Option<Config>, Report) {
    read_with(Source::new("docs.yaml", text), "jacquard", &[])
}

/// Each problem as `line:column message (help)`.
fn told(report: &Report) -> Vec<String> {
    let line = |d: &&Diagnostic| {
        let place = d.place().unwrap();
        let help = d.help.as_ref().map(|help| format!(" ({help})"));
        let mark = if d.severity == Severity::Warning {
            "~"
        } else {
            ""
        };
        let (line, column) = (place.line, place.column);
        format!(
            "{mark}{line}:{column} {}{}",
            d.message,
            help.unwrap_or_default()
        )
    };
    report.sorted().iter().map(line).collect()
}

#[test]
fn a_sound_file_is_a_config_with_itself_as_settings() {
    let (config, report) = read_with(file("docs.yaml"), "heddle", &[]);
    assert!(report.is_empty(), "{report}");
    let config = config.unwrap();
    assert_eq!(config.packs, ["mesh"]);
    assert_eq!(config.name.as_deref(), Some("docs"));
    assert_eq!(config.instructions.as_deref(), Some("Document tools"));
    assert_eq!(config.nats.url.as_deref(), Some("nats://localhost:4222"));
    assert_eq!(config.base("etc".into()), Path::new("."));
    let settings = Value::Object(config.settings["mesh"].clone());
    assert_eq!(settings["prefix"], "heddle");
    assert_eq!(settings["from"], "etc");
    assert_eq!(settings["urls"]["models"], "http://models");
    let tools = &settings["tools"];
    assert_eq!(tools["workers"][0]["tier"], "local");
    // What is a template to a config of our own is a plain text here.
    assert_eq!(
        tools["queries"][0]["backend_config"]["id_column"],
        "{{ not a template }}"
    );
    assert_eq!(
        tools["workshop"]["enable"],
        json!(["worker", "impact", "deadletter"])
    );
    assert_eq!(settings["resources"]["recursive"], false);
}

#[test]
fn what_may_be_null_or_absent_is() {
    let text = "name: x\ntools: {workshop: null, session: {}, workers: []}\nresources: null\n";
    let (config, report) = read_text(text);
    assert!(report.is_empty(), "{report}");
    let config = config.unwrap();
    assert_eq!(config.instructions, None);
    assert_eq!(config.nats.url.as_deref(), Some("nats://nats:4222"));
    let settings = Value::Object(config.settings["mesh"].clone());
    assert_eq!(settings["prefix"], "loom");
    assert_eq!(settings["tools"]["workshop"], Value::Null);
    assert_eq!(settings["tools"]["session"]["enable"][0], "start");
    assert_eq!(settings["resources"], Value::Null);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let (config, report) = read_with(file("wrong.yaml"), "jacquard", &[]);
    assert!(config.is_none());
    insta::assert_snapshot!(report.render(false));
}

/// One violation of each rule, and what is said of it.
const VIOLATIONS: &[(&str, &str)] = &[
    ("tools: {}", "1:1 `name` is missing"),
    (
        "name: 5\ntools: {}",
        "1:7 expected a string, got the number 5",
    ),
    ("name: null\ntools: {}", "1:7 expected a string, got null"),
    (
        "name: x\ntools: {}\ndescription: null",
        "3:14 expected a string, got null",
    ),
    (
        "name: x\nnats_url: [a]",
        "2:11 expected a string, got a list of 1",
    ),
    ("name: x\ntools: null", "2:8 expected a mapping, got null"),
    (
        "name: x\ntools: [a]",
        "2:8 expected a mapping, got a list of 1",
    ),
    (
        "name: x\nresources: ws",
        "2:12 expected a mapping or null, got the string \"ws\"",
    ),
    (
        "name: x\ntools: {workers: null}",
        "2:18 expected a list, got null",
    ),
    (
        "name: x\ntools: {workers: {a: 1}}",
        "2:18 expected a list, got a mapping",
    ),
    (
        "name: x\ntools: {workers: [a]}",
        "2:19 expected a mapping, got the string \"a\"",
    ),
    (
        "name: x\ntools: {workers: [{}]}",
        "2:19 `config` is missing",
    ),
    (
        "name: x\ntools:\n  workers:\n    - config: 5",
        "4:15 expected a string, got the number 5",
    ),
    (
        "name: x\ntools: {workers: [{config: c, name: 5}]}",
        "2:37 expected a string, got the number 5",
    ),
    (
        "name: x\ntools: {workers: [{config: c, description: null}]}",
        "2:44 expected a string, got null",
    ),
    (
        "name: x\ntools: {workers: [{config: c, tier: standrad}]}",
        "2:37 the string \"standrad\" is not one of: local, standard, frontier (did you mean `standard`?)",
    ),
    (
        "name: x\ntools: {workers: [{config: c, tier: 5}]}",
        "2:37 the number 5 is not one of: local, standard, frontier",
    ),
    (
        "name: x\ntools: {pipelines: c}",
        "2:20 expected a list, got the string \"c\"",
    ),
    (
        "name: x\ntools: {pipelines: [[]]}",
        "2:21 expected a mapping, got a list of 0",
    ),
    (
        "name: x\ntools: {pipelines: [{name: n}]}",
        "2:21 `config` is missing",
    ),
    (
        "name: x\ntools: {pipelines: [{config: c}]}",
        "2:21 `name` is missing",
    ),
    (
        "name: x\ntools: {pipelines: [{config: 1, name: n}]}",
        "2:30 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {pipelines: [{config: c, name: 1}]}",
        "2:39 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {pipelines: [{config: c, name: n, description: 1}]}",
        "2:55 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {queries: {}}",
        "2:18 expected a list, got a mapping",
    ),
    (
        "name: x\ntools: {queries: [{actions: [], name_prefix: p}]}",
        "2:19 `backend` is missing",
    ),
    (
        "name: x\ntools: {queries: [{backend: b, name_prefix: p}]}",
        "2:19 `actions` is missing",
    ),
    (
        "name: x\ntools: {queries: [{backend: b, actions: []}]}",
        "2:19 `name_prefix` is missing",
    ),
    (
        "name: x\ntools: {queries: [{backend: 1, actions: [], name_prefix: p}]}",
        "2:29 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {queries: [{backend: b, actions: a, name_prefix: p}]}",
        "2:41 expected a list, got the string \"a\"",
    ),
    (
        "name: x\ntools: {queries: [{backend: b, actions: [], name_prefix: 1}]}",
        "2:58 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {queries: [{backend: b, actions: [], name_prefix: p, backend_config: c}]}",
        "2:77 expected a mapping, got the string \"c\"",
    ),
    (
        "name: x\ntools: {workshop: [worker]}",
        "2:19 expected a mapping or null, got a list of 1",
    ),
    (
        "name: x\ntools: {workshop: {configs_dir: 1}}",
        "2:33 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {workshop: {apps_dir: 1}}",
        "2:30 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {workshop: {enable: worker}}",
        "2:28 expected a list, got the string \"worker\"",
    ),
    (
        "name: x\ntools: {workshop: {enable: [worker, evil]}}",
        "2:37 the string \"evil\" is not one of: worker, test, eval, impact, deadletter (did you mean `eval`?)",
    ),
    (
        "name: x\ntools: {session: yes}",
        "2:18 expected a mapping or null, got the string \"yes\"",
    ),
    (
        "name: x\ntools: {session: {framework_dir: 1}}",
        "2:34 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {session: {workspace_dir: 1}}",
        "2:34 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {session: {baft_dir: 1}}",
        "2:29 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {session: {nats_url: 1}}",
        "2:29 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {session: {ollama_url: 1}}",
        "2:31 expected a string, got the number 1",
    ),
    (
        "name: x\ntools: {session: {enable: {}}}",
        "2:27 expected a list, got a mapping",
    ),
    (
        "name: x\ntools: {session: {enable: [begin]}}",
        "2:28 the string \"begin\" is not one of: start, end, status, sync_check, sync",
    ),
    (
        "name: x\ntools: {council: on}",
        "2:18 expected a mapping or null, got the string \"on\"",
    ),
    ("name: x\nresources: {}", "2:1 `workspace_dir` is missing"),
    (
        "name: x\nresources: {workspace_dir: 1}",
        "2:28 expected a string, got the number 1",
    ),
    (
        "name: x\nresources: {workspace_dir: w, patterns: \"*\"}",
        "2:41 expected a list or null, got the string \"*\"",
    ),
];

#[test]
fn each_violation_is_told_at_its_place() {
    let mut wrong = Vec::new();
    for (text, expected) in VIOLATIONS {
        let (config, report) = read_text(text);
        let lines = told(&report);
        if config.is_some() || lines != [*expected] {
            wrong.push((text, expected, lines));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn keys_that_nobody_knows_are_warnings_and_dropped() {
    let text = "name: x\ncolour: 1\ntools:\n  workers:\n    - {config: c, tiers: 5}\n";
    let (config, report) = read_text(text);
    let config = config.unwrap();
    assert_eq!(
        told(&report),
        [
            "~2:1 unknown key `colour`: it is left out (known here: `description`, `from`, `name`, `nats_url`, `prefix`, `resources`, `tools`, `urls`)",
            "~5:19 unknown key `tiers`: it is left out (did you mean `tier`?)",
        ]
    );
    assert_eq!(config.warnings, report);
    let settings = &config.settings["mesh"];
    assert_eq!(settings.get("colour"), None);
    assert_eq!(settings["tools"]["workers"], json!([{"config": "c"}]));
}

#[test]
fn the_command_line_comes_first_and_is_checked_too() {
    let read = |set: &[&str]| {
        let source = Source::new("docs.yaml", "name: x\ntools: {workshop: {enable: 5}}\n");
        read_with(source, "jacquard", set)
    };
    let (config, report) = read(&[
        "mesh.prefix=heddle",
        "mesh.tools.workshop.enable=[eval]",
        "mesh.nats_url=nats://set:1",
        "other.name=5",
    ]);
    assert!(report.is_empty(), "{report}");
    let config = config.unwrap();
    assert_eq!(config.settings["mesh"]["prefix"], "heddle");
    assert_eq!(
        config.settings["mesh"]["tools"]["workshop"]["enable"],
        json!(["eval"])
    );
    assert_eq!(config.nats.url.as_deref(), Some("nats://set:1"));
    let (config, report) = read(&[
        "mesh.tools.workshop=null",
        "mesh.prefix=a.b",
        "mesh.prefx=c",
    ]);
    assert!(config.is_none());
    let said = report.render(false);
    for part in [
        "--set:1:1",
        "mesh.prefix=a.b",
        "the string \"a.b\" does not fit here",
        "error[unknown-key]: unknown key `prefx`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("docs.yaml"), "{said}");
}

#[test]
fn what_fits_no_form_is_told_of_them() {
    let (config, report) = read_text("name: x\nlog: {levle: info}\n");
    assert!(config.is_none());
    let lines = told(&report);
    assert!(
        lines[0].starts_with("1:1 `packs` is missing")
            && lines[0].contains("a gateway config of LOOM or Heddle"),
        "{lines:?}"
    );
    assert!(lines[1].contains("unknown key `levle`"), "{lines:?}");
    for text in ["[a, b]", "just a text", ""] {
        let (config, report) = read_text(text);
        assert!(config.is_none() && report.has_errors(), "{text}");
    }
}

#[test]
fn configs_and_specs_of_our_own_stay_what_they_are() {
    let (config, report) = read_text("packs: [warp]\nname: x\n");
    assert!(report.is_empty(), "{report}");
    assert_eq!(config.unwrap().packs, ["warp"]);
    for text in [
        "tools: {a: {description: x, reply: {text: x}}}\n",
        "pack: {name: x}\ntools: {}\n",
    ] {
        let (config, report) = read_text(text);
        assert!(config.is_none());
        assert_eq!(
            report.sorted()[0].message,
            "this is a spec, not a config",
            "{text}"
        );
    }
}

#[test]
fn malformed_files_and_credentials() {
    let (config, report) = read_text("name: x\ntools: [a\n");
    assert!(config.is_none() && report.sorted()[0].code == Code::Syntax);
    let (_, report) = read_text("name: x\nnats_url: [\"nats://u:hunter2@h\"]\n");
    let said = report.render(false);
    assert!(report.has_errors() && !said.contains("hunter2"), "{said}");
}

#[test]
fn without_an_environment_only_the_form_is_checked() {
    let pack = pack();
    let forms = forms([&pack]);
    let around = Around {
        forms: &forms,
        ..Around::default()
    };
    let (config, report) = load_with(file("docs.yaml"), &around);
    assert!(report.is_empty(), "{report}");
    let settings = Value::Object(config.unwrap().settings["mesh"].clone());
    assert_eq!(settings["urls"]["models"], "http://localhost:11434");
}
