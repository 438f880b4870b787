//! The book (`README.md` and `docs/*.md`): every command in it runs or is checked, every block of YAML is loaded.
//!
//! What a block is, is said where it begins:
//!
//! | | |
//! |---|---|
//! | `yaml` | a whole spec or config, which is loaded |
//! | `yaml-part` | a part of one: its form is checked |
//! | `yaml wrong` | one with mistakes that are meant |
//! | `yaml workflow`, `gitlab`, `pre-commit` | a file of another program, see `cli/ci.rs`; `other`: data of any kind |
//! | `sh` | lines that bash runs in the page's folder, one after the other, with a NATS of the page's own. Each ends with 0, or what `# exits 1` says |
//! | `console` | lines after `$ ` are run; what follows is what they print, `…` standing for anything |
//! | `json` | JSON; entries of MCP clients start the program rightly |
//! | any with `title="a/b.yaml"` | is written to that file of the page's folder; YAML is checked there once the page is done |
//! | `sh` or `console` with `no-run="why"` | is read only: the calls of `jacquard` in it fit its command line |
//!
//! `jacquard serve` and `tail` go on beside the lines after them until the page ends. What a page needs besides lies in
//! `pages/<its name>`; `127.0.0.1:4222`, `:8420` and `:3000` stand for ports of its own.

pub mod blocks;
mod lines;
mod shell;
mod words;
mod yaml;

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Mutex;

use blocks::{Block, pages};

/// The words after the language of a block that mean something, and those that languages have.
const LANGUAGES: &[&str] = &[
    "yaml",
    "yaml-part",
    "sh",
    "console",
    "json",
    "text",
    "mermaid",
    "dockerfile",
    "ini",
    "nginx",
    "conf",
];

#[test]
fn every_block_is_of_a_known_kind() {
    for block in pages().into_values().flatten() {
        assert!(
            LANGUAGES.contains(&block.kind.as_str()),
            "{block}: what is `{}`?",
            block.kind
        );
        let known = |mark: &String| match block.kind.as_str() {
            "yaml" => {
                ["wrong", "workflow", "gitlab", "pre-commit", "other"].contains(&mark.as_str())
            }
            _ => false,
        };
        assert!(
            block.marks.iter().all(known),
            "{block}: what is {:?}?",
            block.marks
        );
        if block.kind == "text" {
            let command = |line: &str| line.starts_with("$ ") || line.starts_with("jacquard ");
            assert!(
                !block.text.lines().any(command),
                "{block}: a command belongs into `sh` or `console`"
            );
        }
    }
}

#[test]
fn every_yaml_block_is_right() {
    let mut count = 0;
    for block in pages().into_values().flatten().chain(blocks::reference()) {
        match block.kind.as_str() {
            "yaml" if block.marks.is_empty() && block.title.is_none() => yaml::whole(&block),
            "yaml-part" => yaml::part(&block),
            "yaml" => drop(yaml::parsed(&block)),
            _ => continue,
        }
        count += 1;
    }
    assert!(count > 100, "{count} blocks of YAML were found");
}

/// What a sentence may leave open of a call: what it needs, and values, which are words in capitals.
fn left_open(error: &str) -> bool {
    let value = error.strip_prefix("error: invalid value '");
    let capitals = value.and_then(|rest| rest.split('\'').next());
    capitals.is_some_and(|word| word.chars().all(|c| c.is_ascii_uppercase()))
        || error.contains("were not provided")
        || error.starts_with("error: a value is required")
        || !error.starts_with("error:")
}

#[test]
fn every_call_of_the_program_fits_its_command_line() {
    let mut count = 0;
    let mut wrong = Vec::new();
    let mut check = |place: &dyn Display, words: Vec<String>, sentence: bool| {
        count += 1;
        let fits = jacquard::cli::check(words.iter().map(Into::into));
        let error = fits.err().filter(|error| !sentence || !left_open(error));
        wrong.extend(error.map(|error| format!("{place}: {}\n{error}", words.join(" "))));
    };
    for block in pages().into_values().flatten() {
        let called: Vec<Vec<String>> = match block.kind.as_str() {
            "sh" | "console" => {
                let lines = lines::lines(&block);
                lines
                    .iter()
                    .flat_map(|line| words::calls(&line.text))
                    .collect()
            }
            "json" => words::clients(&block),
            "dockerfile" | "ini" => words::started(&block),
            _ => continue,
        };
        for words in called {
            check(&block, words, false);
        }
    }
    for (place, text) in blocks::inline() {
        for words in words::calls(&text) {
            check(&place, words, true);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count > 50, "{count} calls were found");
}

#[cfg(unix)]
#[test]
fn every_command_does_what_the_page_says() {
    let only = std::env::var("JACQUARD_TEST_PAGE").ok();
    let wanted = |page: &String| {
        only.as_ref()
            .is_none_or(|only| page.contains(only.as_str()))
    };
    let run: Vec<(String, Vec<Block>)> = pages()
        .into_iter()
        .filter(|(page, _)| wanted(page))
        .collect();
    let waiting = Mutex::new(VecDeque::from(run));
    let (count, failed) = (Mutex::new(0), Mutex::new(Vec::new()));
    let next = || waiting.lock().unwrap().pop_front();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((page, blocks)) = next() {
                    match shell::run(&page, &blocks) {
                        Ok(commands) => *count.lock().unwrap() += commands,
                        Err(error) => failed.lock().unwrap().push(error),
                    }
                }
            });
        }
    });
    let (count, failed) = (count.into_inner().unwrap(), failed.into_inner().unwrap());
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert!(only.is_some() || count > 40, "{count} commands were run");
}
