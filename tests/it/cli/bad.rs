//! Golden files of what people get wrong: `bad/{specs,configs,projects}/NAME` and, in `NAME.txt`, exactly what is said of it.
//!
//! To accept changes: `UPDATE_GOLDEN=1 cargo test --test it -- cli::bad`, then read the difference as its receiver would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jacquard::spec::diag::Code;

use crate::support::place::{Place, run};

/// How many are looked at at once.
const AT_ONCE: usize = 4;
/// The fewest files there are.
const FEWEST: usize = 60;

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/bad");
    let mut files = Vec::new();
    for folder in ["specs", "configs", "projects"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.retain(|path| path.extension().is_some_and(|e| e != "txt"));
    files.sort();
    files
}

fn golden(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap().to_string_lossy();
    file.with_file_name(format!("{name}.txt"))
}

/// What is said of a file. A comment `run: … FILE` in it says by which command, where `validate` does not find it, and a comment
/// `beside NAME: TEXT` what lies beside it.
fn said(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_string_lossy();
    let command = text.lines().find_map(|line| line.strip_prefix("# run: "));
    let command = command.unwrap_or("validate FILE").replace("FILE", &name);
    let place = Place::without_nats();
    place.write(&*name, &text);
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("# beside "))
    {
        let (other, content) = line.split_once(": ").unwrap();
        place.write(other, content);
    }
    let done = place.run(&command.split(' ').collect::<Vec<_>>());
    let folder = place.dir().canonicalize().unwrap();
    let said = format!("{}{}", done.stderr, done.stdout);
    said.replace(&*folder.to_string_lossy(), "/project")
}

fn all() -> BTreeMap<PathBuf, String> {
    let files = files();
    let size = files.len().div_ceil(AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = files
            .chunks(size)
            .map(|part| {
                scope.spawn(|| {
                    let said = part.iter().map(|file| (file.clone(), said(file)));
                    said.collect::<Vec<_>>()
                })
            })
            .collect();
        let said = parts.into_iter().flat_map(|part| part.join().unwrap());
        said.collect()
    })
}

#[test]
fn each_mistake_is_told_as_its_golden_file_says() {
    let all = all();
    assert!(all.len() >= FEWEST, "{} golden files", all.len());
    let mut stale = Vec::new();
    for (file, said) in &all {
        let golden = golden(file);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, said).unwrap();
        }
        if std::fs::read_to_string(&golden).unwrap_or_default() != *said {
            stale.push(format!("{}:\n{said}", golden.display()));
        }
    }
    assert!(
        stale.is_empty(),
        "stale; accept with `UPDATE_GOLDEN=1 cargo test --test it -- cli::bad`:\n{}",
        stale.join("\n")
    );
}

/// The diagnostics of all golden files, each with the name of its file.
fn diagnostics() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in files() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(golden(&file)).unwrap();
        let mut current = String::new();
        for line in text.lines().chain(["error[]"]) {
            let begins = line.starts_with("error[") || line.starts_with("warning[");
            if begins && !current.is_empty() {
                found.push((name.clone(), std::mem::take(&mut current)));
            }
            if begins || !current.is_empty() {
                current.push_str(line);
                current.push('\n');
            }
        }
    }
    found
}

#[test]
fn every_code_is_told_of_some_golden_file() {
    let found = diagnostics();
    for (code, _) in Code::ALL {
        let shown = format!("[{code}]: ");
        assert!(found.iter().any(|(_, d)| d.contains(&shown)), "{code}");
    }
}

#[test]
fn every_diagnostic_says_where_and_what_to_write_instead() {
    // Of packs as a whole, which no line of the file speaks of.
    let placeless = ["alias-of-nothing.yaml", "folder-not-allowed.yaml"];
    for (file, diagnostic) in diagnostics() {
        assert!(diagnostic.contains("help: "), "{file}: {diagnostic}");
        let placed = diagnostic.contains("--> ") || placeless.contains(&file.as_str());
        assert!(placed, "{file}: {diagnostic}");
    }
}

#[test]
fn the_packs_and_configs_of_the_repository_are_clean() {
    let place = Place::without_nats();
    let mut command = place.command(&["validate", "specs", "configs"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let done = run(command);
    let clean = done.stdout.ends_with(": 0 error(s), 0 warning(s)\n");
    assert!(clean && done.code == Some(0), "{done:?}");
}
