//! Mutations of YAML by its lines: blocks are taken out, doubled, moved, and brought in from the files of the repository; keys
//! and values become others that mean something.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use jacquard::project::project_schema;
use jacquard::spec::config::config_schema;
use jacquard::spec::load::spec_schema;
use serde_json::Value;

use super::chance::Chance;

/// Where the repository has YAML.
const FOLDERS: &[&str] = &["specs", "configs", "templates/new", "src/spec/testdata"];

/// Values that something hangs on.
const VALUES: &[&str] = &[
    "",
    "~",
    "null",
    "true",
    "no",
    "0",
    "-1",
    "1",
    "1.5",
    "1e308",
    "-9223372036854775808",
    "18446744073709551615",
    ".nan",
    "\"\"",
    "'*'",
    "'>'",
    "'a.*.b'",
    "'a b'",
    "'é\u{1f600}\u{202e}'",
    "[]",
    "{}",
    "[1, [2, {a: 3}]]",
    "1s",
    "0ms",
    "99999999d",
    "1KiB",
    "\"{{ args.a }}\"",
    "\"{{ result.x }}\"",
    "\"{{ item }}\"",
    "\"{{ args.a\"",
    "\"{% for x in args %}{{ x }}{% endfor %}\"",
    "\"{{ 'a' * 1000000 }}\"",
    "\"{{ range(9999999) | list }}\"",
    "\"{{ [[[[[[1]]]]]] }}\"",
    "\"{{ a if b else c }}\"",
    "\"{{ config.x }}\"",
    "\"{{ env.HOME }}\"",
    "\"${HOME}\"",
    "\"${A:-b}\"",
    "\"${file:x}\"",
    "\"{{ session.id }}\"",
    "args.a",
    "args.a > 1 and not args.b",
    "item.seq > 1",
    "'^(a+)+$'",
    "'('",
    "'#/$defs/x'",
    "'#'",
    "&a [*a]",
    "*a",
    "<<",
    "!!binary x",
    "|\n  a\n  b",
    ">-\n a",
    "\"\\u0000\"",
    "../x",
    "/etc/passwd",
    "a/b.txt",
    "file:///",
    "x://{a}/{+b}",
    "https://127.0.0.1:1/{{ args.a }}",
    "string",
    "integer",
    "object",
    "array",
];

/// What mutations choose from.
struct Pool {
    /// Blocks of the repository's files: their first lines stand at column 0.
    blocks: Vec<String>,
    keys: Vec<String>,
}

static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut blocks = Vec::new();
    for folder in FOLDERS {
        for text in texts(&root.join(folder)) {
            let lines: Vec<&str> = text.lines().collect();
            let all = (0..lines.len()).map(|at| block(&lines, at));
            let whole = all.filter(|block| (1..=40).contains(&block.len()));
            blocks.extend(whole.map(|block| moved(&lines[block], 0)));
        }
    }
    let mut keys = BTreeSet::new();
    for schema in [spec_schema(), config_schema(), project_schema()] {
        properties(&schema, &mut keys);
    }
    Pool {
        blocks,
        keys: keys.into_iter().collect(),
    }
});

/// The YAML files below a folder, in the order of their names.
fn texts(folder: &Path) -> Vec<String> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(texts(&path));
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.extend(std::fs::read_to_string(&path));
        }
    }
    found
}

/// Every key that a schema knows.
fn properties(schema: &Value, keys: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "properties" {
                    keys.extend(
                        value
                            .as_object()
                            .into_iter()
                            .flat_map(|m| m.keys().cloned()),
                    );
                }
                properties(value, keys);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, keys)),
        _ => {}
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The lines that belong to one: itself and those below it that stand further right.
fn block(lines: &[&str], at: usize) -> std::ops::Range<usize> {
    let column = indent(lines[at]);
    let deeper = |line: &&&str| indent(line) > column || line.trim().is_empty();
    at..at + 1 + lines[at + 1..].iter().take_while(deeper).count()
}

/// Lines with the first at this column and the others as they stand to it.
fn moved(lines: &[&str], column: usize) -> String {
    let first = lines.first().map_or(0, |line| indent(line));
    let mut text = String::new();
    for line in lines {
        let own = (indent(line) + column).saturating_sub(first);
        text.extend(std::iter::repeat_n(' ', own));
        text.push_str(line.trim_start_matches(' '));
        text.push('\n');
    }
    text
}

/// One change.
pub fn mutated(text: &str, chance: &mut Chance) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let at = chance.below(lines.len());
    let Some(line) = lines.get(at) else {
        return chance.of(&POOL.blocks).cloned().unwrap_or_default();
    };
    let here = block(&lines, at);
    let other = block(&lines, chance.below(lines.len()));
    let column = indent(line);
    let (before, after) = (&lines[..here.start], &lines[here.end..]);
    let own = &lines[here.clone()];
    let middle = match chance.below(10) {
        0 => String::new(),
        1 => moved(own, column) + &moved(own, column),
        2 => moved(&lines[other], column),
        3 => moved(own, column) + &moved(&lines[other], column),
        4 => moved(own, (column + 2 * chance.below(3)).saturating_sub(2)),
        5 => foreign(column, chance),
        6 => moved(own, column) + &foreign(column, chance),
        7 => renamed(own, chance),
        8 => valued(own, chance),
        _ => joined(own, chance),
    };
    let mut made = moved_as_they_are(before);
    made.push_str(&middle);
    made.push_str(&moved_as_they_are(after));
    made
}

fn moved_as_they_are(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// A block of the repository at this column.
fn foreign(column: usize, chance: &mut Chance) -> String {
    let block = chance.of(&POOL.blocks).map_or("", String::as_str);
    moved(&block.lines().collect::<Vec<_>>(), column)
}

/// The block with another key.
fn renamed(own: &[&str], chance: &mut Chance) -> String {
    let key = chance.of(&POOL.keys).map_or("x", String::as_str);
    let first = match own[0].split_once(':') {
        Some((before, after)) => {
            let name = before.trim_start_matches([' ', '-']);
            format!("{}{key}:{after}", &before[..before.len() - name.len()])
        }
        None => format!("{}{key}: {}", " ".repeat(indent(own[0])), own[0].trim()),
    };
    first + "\n" + &moved_as_they_are(&own[1..])
}

/// The line with another value, and what was below it left out.
fn valued(own: &[&str], chance: &mut Chance) -> String {
    let value = chance.of(VALUES).copied().unwrap_or_default();
    match own[0].split_once(':') {
        Some((key, _)) => format!("{key}: {value}\n"),
        None => format!("{}- {value}\n", " ".repeat(indent(own[0]))),
    }
}

/// The line with something put into its value.
fn joined(own: &[&str], chance: &mut Chance) -> String {
    let value = chance.of(VALUES).copied().unwrap_or_default();
    let value = value.trim_matches(['"', '\'']);
    let line = own[0];
    let mut at = indent(line) + chance.below(line.len() + 1 - indent(line));
    while !line.is_char_boundary(at) {
        at -= 1;
    }
    format!("{}{value}{}\n", &line[..at], &line[at..]) + &moved_as_they_are(&own[1..])
}
