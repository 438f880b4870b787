//! `jacquard test`: the examples of packs, as an author runs them.

use std::process::{Command, Stdio};

use jacquard::catalog::builtin::PACKS;

use crate::support::place::{Done, Place};
use crate::support::{signal, wait_for};

/// A pack with all that examples can say.
const NOTES: &str = include_str!("notes.yaml");

/// A place without NATS, whose temporary files lie in a folder of its own.
fn place() -> Place {
    let place = Place::without_nats();
    place.write("tmp/.keep", "");
    place
}

fn command(place: &Place, args: &[&str]) -> Command {
    let mut command = place.command(&[&["test"], args].concat());
    command.env("TMPDIR", place.dir().join("tmp"));
    command
}

fn test(place: &Place, args: &[&str]) -> Done {
    crate::support::place::run(command(place, args))
}

/// What is left among the temporary files.
fn left(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.dir().join("tmp")).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name != ".keep").collect()
}

#[test]
fn every_example_of_the_built_in_packs_holds() {
    let place = place();
    let names: Vec<&str> = PACKS.iter().map(|pack| pack.name.as_ref()).collect();
    // There are many, and each has a limit of its own.
    let done = command(&place, &names).output().unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    let wrong = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}\n{wrong}");
    assert!(
        told.contains(" 0 failed") && !told.contains("skipped"),
        "{told}"
    );
    assert_eq!(left(&place), Vec::<String>::new());
}

#[test]
fn sessions_messages_fixtures_and_programs_that_answer() {
    let place = place();
    place.write("notes/notes.yaml", NOTES);
    for args in [&["notes", "--jobs", "1"][..], &["notes"], &[]] {
        let done = test(&place, args);
        assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
        assert!(
            done.stdout.contains("7 examples: 7 passed, 0 failed"),
            "{}",
            done.stdout
        );
        assert!(done.stdout.contains("1 tool has no example: note_count"));
    }
    let done = test(&place, &["notes", "--filter", "TIME_ASK: it"]);
    assert!(
        done.stdout.contains("\n1 example: 1 passed"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_config_brings_its_settings_and_leaves_tools_out() {
    let place = place();
    let spec = NOTES.replacen(
        "    description: Asks a program",
        "    when: config.greeting == 'Hello'\n    description: Asks a program",
        1,
    );
    place.write("notes/notes.yaml", &spec);
    place.write(
        "gateway.yaml",
        "packs: [./notes]\nsettings: {notes: {greeting: Hola}}\n",
    );
    for args in [&["gateway.yaml"][..], &["-c", "gateway.yaml"]] {
        let done = test(&place, &[args, &["--filter", "nobody is there"]].concat());
        assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
        assert!(done.stdout.contains("1 skipped"), "{}", done.stdout);
    }
    let done = test(&place, &["gateway.yaml", "--filter", "by no fixture"]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.stdout.contains("came:     Hola Ada"),
        "{}",
        done.stdout
    );
}

#[test]
fn what_fails_is_shown_with_its_place() {
    let place = place();
    let wrong = NOTES
        .replace("text: noon in UTC}", "text: midnight}")
        .replace("data: {by: program}}", "data: {by: nobody}}")
        .replace(
            "            within: 10s\n        as: alice",
            "            within: 1s\n        as: alice",
        )
        .replace(
            "structured: {name: Ada}}",
            "structured: {name: Eve, age: 5}}",
        );
    place.write("notes/notes.yaml", &wrong);
    let done = test(&place, &["notes", "--junit", "out.xml"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let line = 1 + wrong
        .lines()
        .position(|l| l.contains("title: It answers"))
        .unwrap();
    for part in [
        "7 examples: 4 passed, 3 failed".to_owned(),
        format!("notes / time_ask: It answers\n  notes/notes.yaml:{line}:9\n"),
        "    - expected: midnight\n    + came:     noon in UTC\n".to_owned(),
        "structured.name:\n    - expected: Eve\n    + came:     Ada\n".to_owned(),
        "structured.age:\n    - expected: 5\n    + came:     no such key\n".to_owned(),
        "given 4 of bob: a notification notifications/message: params.data.by:\n".to_owned(),
    ] {
        assert!(done.stdout.contains(&part), "{part}\n--\n{}", done.stdout);
    }
    let xml = std::fs::read_to_string(place.dir().join("out.xml")).unwrap();
    assert!(
        xml.contains("failures=\"3\"") && xml.contains("midnight"),
        "{xml}"
    );
}

#[test]
fn what_cannot_be_run_is_said() {
    let place = place();
    place.write(
        "plain/plain.yaml",
        "tools: {a: {description: x, reply: {text: x}}}\n",
    );
    place.write("broken/broken.yaml", "tools: {a: {reply: {text: x}}}\n");
    place.write("notes/notes.yaml", NOTES);
    for (args, code, part) in [
        (&["nothing"][..], 2, "is no built-in pack either"),
        (&["plain"], 2, "there are no examples"),
        (&["notes", "--filter", "zzz"], 2, "no example has `zzz`"),
        (&["broken"], 1, "`description` is missing"),
    ] {
        let done = test(&place, args);
        assert_eq!(done.code, Some(code), "{args:?} {done:?}");
        assert!(done.stderr.contains(part), "{args:?} {}", done.stderr);
    }
}

#[cfg(unix)]
#[test]
fn nothing_stays_behind_when_it_is_stopped() {
    let place = place();
    let slow = NOTES.replace("zone: UTC}, timeout: 1s", "zone: none}, timeout: 60s");
    place.write("notes/notes.yaml", &slow);
    // An interrupted run says nothing of the examples: neither that they hold nor that they fail.
    for (name, code) in [("-KILL", None), ("-INT", Some(130)), ("-TERM", Some(130))] {
        let mut command = command(&place, &["notes", "--filter", "it answers"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("the server starts", || {
            left(&place)
                .iter()
                .any(|folder| has_started(&place, folder))
        });
        signal(name, child.id());
        assert_eq!(child.wait().unwrap().code(), code, "{name}");
        wait_for("the server's folder is gone", || left(&place).is_empty());
    }
}

/// Whether the server in this folder has said where it listens.
fn has_started(place: &Place, folder: &str) -> bool {
    let folder = place.dir().join("tmp").join(folder);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|e| e.path());
    paths.any(|path| path.extension().is_some_and(|e| e == "ports"))
}
