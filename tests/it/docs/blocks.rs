//! The pages of the book, and the blocks in them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What stands between two fences.
#[derive(Debug, Clone)]
pub struct Block {
    /// The file, relative to the repository.
    pub page: String,
    /// The line of its first fence, from 1.
    pub line: usize,
    /// Its language.
    pub kind: String,
    /// What else is said of it, in one word each.
    pub marks: Vec<String>,
    /// The file that it is.
    pub title: Option<String>,
    /// Why its commands are not run.
    pub no_run: Option<String>,
    /// Without the indentation of a list around it.
    pub text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.page, self.line)
    }
}

impl Block {
    fn new(page: &str, line: usize, said: &str) -> Self {
        let mut block = Self {
            page: page.to_owned(),
            line,
            kind: String::new(),
            marks: Vec::new(),
            title: None,
            no_run: None,
            text: String::new(),
        };
        for (index, part) in parts(said).into_iter().enumerate() {
            match part.split_once('=') {
                None if index == 0 => block.kind = part,
                None => block.marks.push(part),
                Some(("title", value)) => block.title = Some(value.trim_matches('"').to_owned()),
                Some(("no-run", value)) => block.no_run = Some(value.trim_matches('"').to_owned()),
                Some((key, _)) => panic!("{page}:{line}: a block has no `{key}`"),
            }
        }
        block
    }

    /// The number of the line in the page, of a line of the text (from 0).
    pub fn at(&self, line: usize) -> usize {
        self.line + 1 + line
    }
}

/// Words that are separated by blanks outside of quotes.
fn parts(said: &str) -> Vec<String> {
    let mut quoted = false;
    let split = said.split(|c: char| {
        quoted ^= c == '"';
        c == ' ' && !quoted
    });
    split
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "md"));
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn book() -> Vec<PathBuf> {
    let mut files = files("docs");
    files.push(root().join("README.md"));
    files
}

/// The pages of the book with their blocks. The page of the codes is not among them: its examples are golden files.
pub fn pages() -> BTreeMap<String, Vec<Block>> {
    let pages = book().into_iter().map(|path| (name(&path), of(&path)));
    pages
        .filter(|(page, _)| page != "docs/diagnostics.md")
        .collect()
}

/// The blocks of the pages that `jacquard docs` has written.
pub fn reference() -> Vec<Block> {
    let mut paths = files("docs/reference");
    paths.extend(files("docs/reference/tools"));
    paths.iter().flat_map(|path| of(path)).collect()
}

/// The blocks of one page.
pub fn of(path: &Path) -> Vec<Block> {
    let page = name(path);
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{page}: {error}"));
    let mut lines = text.lines().enumerate();
    let mut found = Vec::new();
    while let Some((index, line)) = lines.next() {
        let Some(said) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let mut block = Block::new(&page, index + 1, said);
        for (_, line) in lines.by_ref().take_while(|(_, line)| line.trim() != "```") {
            block.text.push_str(line.get(indent..).unwrap_or_default());
            block.text.push('\n');
        }
        found.push(block);
    }
    found
}

/// The calls of the program in the sentences of the book, each with its place. Those with `…`, `|` or brackets are forms, not calls.
pub fn inline() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in book() {
        let mut fenced = false;
        let text = std::fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            fenced ^= line.trim_start().starts_with("```");
            let code = line.split('`').skip(1).step_by(2).filter(|_| !fenced);
            let calls = code
                .filter(|code| code.starts_with("jacquard ") && !code.contains(['…', '|', '[']));
            let place = format!("{}:{}", name(&path), index + 1);
            found.extend(calls.map(|code| (place.clone(), code.to_owned())));
        }
    }
    found
}
