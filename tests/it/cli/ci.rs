//! What other programs run: the action for GitHub, the hooks for pre-commit, and the files that `docs/ci.md` has for them. Their shell
//! lines run as they are, in a repository that is right and in one that is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use jacquard::spec::doc::Doc;
use jacquard::spec::source::Source;
use serde_json::Value;

use super::validate::{sampled, sound};
use crate::support::place::{Done, Place, run};

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn yaml(name: &str, text: String) -> Value {
    let doc = Doc::parse(Source::new(name, text));
    doc.unwrap_or_else(|report| panic!("{report}")).value
}

fn file(name: &str) -> Value {
    yaml(name, text(name))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a Vec<Value> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("{pointer} is no list in {value}"))
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// `PATH` with the program first.
fn path_with(folder: &Path) -> std::ffi::OsString {
    let old = std::env::var_os("PATH").unwrap();
    let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&old));
    std::env::join_paths(folders).unwrap()
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_jacquard"))
}

/// A script as a runner of GitHub runs it, in this place.
fn bash(place: &Place, script: &str, env: &BTreeMap<String, String>) -> Done {
    let mut command: Command = place.command(&[]);
    let kept: Vec<_> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    command = Command::new("bash");
    command
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
        .current_dir(place.dir())
        .env_clear()
        .envs(kept)
        .env("PATH", path_with(program().parent().unwrap()))
        .envs(env);
    run(command)
}

/// Runs the steps of the action with these inputs.
fn action(place: &Place, inputs: &[(&str, &str)], env: &[(&str, &Path)]) -> Vec<Done> {
    let action = file("action.yml");
    let declared = action["inputs"].as_object().unwrap();
    let mut values: BTreeMap<&str, &str> = declared
        .iter()
        .map(|(name, input)| (name.as_str(), word(input, "default")))
        .collect();
    for (name, value) in inputs {
        let known = values.insert(name, value);
        assert!(known.is_some(), "the action has no input {name}");
    }
    let mut done = Vec::new();
    for step in list(&action, "/runs/steps") {
        assert_eq!(step["shell"], "bash");
        match step["if"].as_str() {
            Some("inputs.binary == ''") if !values["binary"].is_empty() => continue,
            Some("inputs.binary == ''") | None => {}
            Some(other) => panic!("this test does not know the condition {other}"),
        }
        let given = step["env"].as_object().into_iter().flatten();
        let mut variables: BTreeMap<String, String> = given
            .map(|(name, value)| {
                let input = value.as_str().unwrap();
                let input = input.strip_prefix("${{ inputs.").unwrap();
                let input = input.strip_suffix(" }}").unwrap();
                let value = values
                    .get(input)
                    .unwrap_or_else(|| panic!("{input} is no input"));
                (name.clone(), (*value).to_owned())
            })
            .collect();
        for (name, value) in env {
            variables.insert((*name).to_owned(), value.display().to_string());
        }
        done.push(bash(place, word(step, "run"), &variables));
        if done.iter().any(|done| done.code != Some(0)) {
            break;
        }
    }
    done
}

#[test]
fn the_action_annotates_what_is_wrong() {
    let binary = program().display().to_string();
    let inputs = [("binary", binary.as_str())];
    let done = action(&sampled(), &inputs, &[]);
    let [done] = done.as_slice() else {
        panic!("{done:?}");
    };
    assert_eq!(done.code, Some(1), "{done:?}");
    let plain = sampled().run(&["validate", "--format", "github", "."]);
    assert_eq!(done.stdout, plain.stdout);
    assert_eq!(done.stderr, "");

    let done = action(
        &sound(),
        &[inputs[0], ("paths", "tools\n  gateway.yaml")],
        &[],
    );
    assert_eq!(done.len(), 1);
    assert_eq!(done[0].code, Some(0), "{done:?}");
    assert_eq!(done[0].stdout, "2 checked: 0 error(s), 0 warning(s)\n");
}

#[test]
fn the_action_takes_configs_strictness_and_a_file_for_code_scanning() {
    let binary = program().display().to_string();
    let place = sound();
    place.write(
        "loose.yaml",
        "tools: {t: {description: D, input: {type: object, properties: {a: {}}}, reply: {text: \"{{ args.a }}\"}}}\n",
    );
    let inputs = [
        ("binary", binary.as_str()),
        ("paths", "tools"),
        ("config", "gateway.yaml"),
        ("sarif", "out.sarif"),
        ("strict", "true"),
    ];
    let done = action(&place, &inputs, &[]);
    assert_eq!(done[0].code, Some(0), "{done:?}");
    assert_eq!(done[0].stdout, "2 checked: 0 error(s), 0 warning(s)\n");

    let mut wrong = inputs;
    wrong[1] = ("paths", "loose.yaml");
    let done = action(&place, &wrong, &[]);
    assert_eq!(done[0].code, Some(1), "{done:?}");
    assert!(
        done[0].stdout.contains("::error file=loose.yaml"),
        "{done:?}"
    );
    let sarif = std::fs::read_to_string(place.dir().join("out.sarif")).unwrap();
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "error");

    wrong[1] = ("paths", "nowhere *");
    let done = action(&place, &wrong, &[]);
    assert_eq!(done[0].code, Some(2), "{done:?}");
    assert!(
        done[0].stderr.contains("nowhere does not exist"),
        "{done:?}"
    );
}

#[cfg(unix)]
#[test]
fn the_action_builds_its_own_version_when_no_program_is_given() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = sound();
    // Stands for the real one: it puts the program where it is told to.
    let script = format!(
        "#!/bin/sh\nset -e\necho \"$@\"\nwhile [ $# -gt 1 ]; do\n  [ \"$1\" = --root ] && root=$2\n  shift\ndone\n\
         mkdir -p \"$root/bin\"\nln -s '{}' \"$root/bin/jacquard\"\n",
        program().display()
    );
    let cargo = place.write("../fake/cargo", &script);
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    let folder = cargo.parent().unwrap().canonicalize().unwrap();
    let path = PathBuf::from(path_with(&folder));
    let temp = folder.join("a temp");
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let env = [
        ("RUNNER_TEMP", temp.as_path()),
        ("GITHUB_ACTION_PATH", own),
        ("PATH", path.as_path()),
    ];
    let done = action(&place, &[("paths", "tools")], &env);
    assert_eq!(done.len(), 2, "{done:?}");
    assert!(done.iter().all(|done| done.code == Some(0)), "{done:?}");
    let called = format!(
        "install --quiet --locked --path {} --root {}/jacquard\n",
        own.display(),
        temp.display()
    );
    assert_eq!(done[0].stdout, called);
}

#[test]
fn every_input_of_the_action_is_described_and_used() {
    let action = file("action.yml");
    let steps = action["runs"].to_string();
    assert_eq!(action["runs"]["using"], "composite");
    for (name, input) in action["inputs"].as_object().unwrap() {
        assert!(
            steps.contains(&format!("inputs.{name} ")),
            "{name} is not used"
        );
        assert!(!word(input, "description").is_empty());
        assert_eq!(input["required"], false, "{name}");
    }
}

/// The steps of a workflow that use an action which fits.
fn uses(workflow: &Value, fits: impl Fn(&str) -> bool) -> Vec<&Value> {
    let jobs = workflow["jobs"].as_object().unwrap();
    let steps = jobs.values().flat_map(|job| list(job, "/steps"));
    steps
        .filter(|step| step["uses"].as_str().is_some_and(&fits))
        .collect()
}

/// What a step gives the action is an input of it.
fn fits_the_action(step: &Value) {
    let action = file("action.yml");
    for key in step["with"]
        .as_object()
        .into_iter()
        .flat_map(|with| with.keys())
    {
        assert!(
            action["inputs"].get(key).is_some(),
            "the action has no input {key}"
        );
    }
}

#[test]
fn the_workflow_here_uses_the_action_here() {
    let workflow = file(".github/workflows/ci.yml");
    let steps = uses(&workflow, |action| action == "./");
    let [step] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    fits_the_action(step);
    assert_eq!(step["with"]["binary"], "target/debug/jacquard");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in word(&step["with"], "paths").split_whitespace() {
        assert!(root.join(path).exists(), "{path}");
    }
}

/// The hooks by their ids.
fn hooks() -> BTreeMap<String, Value> {
    let hooks = file(".pre-commit-hooks.yaml");
    let hooks = list(&hooks, "").iter();
    hooks
        .map(|hook| (word(hook, "id").to_owned(), hook.clone()))
        .collect()
}

#[test]
fn the_hooks_run_over_a_repository() {
    let hooks = hooks();
    assert_eq!(hooks.len(), 2);
    for (id, hook) in &hooks {
        let files = regex_of(word(hook, "files"));
        for file in [
            ".loominal-config.json",
            "sub/.mcp-config.json",
            "gateway.yaml",
            "mine/tools.yml",
            "mine/templates/reply.md",
        ] {
            assert!(files.is_match(file), "{id}: {file}");
        }
        for file in ["README.md", "package.json", "yaml"] {
            assert!(!files.is_match(file), "{id}: {file}");
        }
        assert!(matches!(word(hook, "language"), "rust" | "system"));
        assert_eq!(hook["pass_filenames"], false);
        let args = list(hook, "/args").iter();
        let args: Vec<&str> = args.filter_map(Value::as_str).collect();
        let line = format!("{} {}", word(hook, "entry"), args.join(" "));
        let none = BTreeMap::new();
        assert_eq!(bash(&sampled(), &line, &none).code, Some(1), "{id}");
        let done = bash(&sound(), &line, &none);
        assert_eq!(done.code, Some(0), "{id}: {done:?}");
    }
}

fn regex_of(pattern: &str) -> regex::Regex {
    regex::Regex::new(pattern).unwrap()
}

/// The blocks of the page about CI that are files of this program.
fn blocks(program: &str) -> Vec<String> {
    let page = crate::docs::blocks::of(&crate::docs::blocks::root().join("docs/ci.md"));
    let fits = |block: &&crate::docs::blocks::Block| block.marks == [program];
    let found: Vec<String> = page
        .iter()
        .filter(fits)
        .map(|block| block.text.clone())
        .collect();
    assert!(!found.is_empty(), "docs/ci.md has no block for {program}");
    found
}

#[test]
fn the_workflows_of_the_document_fit_the_action() {
    for block in blocks("workflow") {
        let workflow = yaml("docs/ci.md", block);
        let steps = uses(&workflow, |action| action.starts_with("OWNER/jacquard@"));
        assert_eq!(steps.len(), 1, "{workflow}");
        fits_the_action(steps[0]);
    }
}

#[test]
fn the_other_files_of_the_document_fit_what_is_here() {
    for block in blocks("pre-commit") {
        let config = yaml("docs/ci.md", block);
        for repository in list(&config, "/repos") {
            for hook in list(repository, "/hooks") {
                let id = word(hook, "id");
                assert!(hooks().contains_key(id), "there is no hook {id}");
                let args = hook["args"].as_array().into_iter().flatten();
                let args: Vec<&str> = args.filter_map(Value::as_str).collect();
                if !args.is_empty() {
                    let line = format!("jacquard validate {}", args.join(" "));
                    let done = bash(&sound(), &line, &BTreeMap::new());
                    assert_eq!(done.code, Some(0), "{line}: {done:?}");
                }
            }
        }
    }
    for block in blocks("gitlab") {
        let pipeline = yaml("docs/ci.md", block);
        for job in pipeline.as_object().unwrap().values() {
            let place = sound();
            for line in list(job, "/script") {
                let done = bash(&place, line.as_str().unwrap(), &BTreeMap::new());
                assert_eq!(done.code, Some(0), "{line}: {done:?}");
            }
            let report = job
                .pointer("/artifacts/reports/junit")
                .and_then(Value::as_str);
            assert!(place.dir().join(report.unwrap()).exists(), "{job}");
        }
    }
}
