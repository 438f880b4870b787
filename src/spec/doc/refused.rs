//! The parser's refusals in words: what is wrong, where, and what is probably meant.

use std::ops::Range;

use super::{MAX_DEPTH, MAX_NODES, bytes};
use crate::spec::diag::{Code, Diagnostic};
use crate::spec::source::{Place, Source};

/// What is said of a text that the parser refuses.
pub(super) fn told(source: &Source, error: &serde_yaml::Error) -> Diagnostic {
    let range = error.location().map_or(0..0, |l| {
        bytes(source, &l).unwrap_or_else(|| {
            let at = source.offset(Place {
                line: usize::try_from(l.line()).unwrap_or(1),
                column: usize::try_from(l.column()).unwrap_or(1),
            });
            at..at
        })
    });
    let text = error.without_snippet().to_string();
    // The library ends its one-line form with the place, which the snippet shows already.
    let text = text
        .split(" at line ")
        .next()
        .unwrap_or(&text)
        .trim()
        .to_owned();
    if let Some(key) = text.strip_prefix("duplicate mapping key: ") {
        let key = key.split(',').next().unwrap_or(key);
        return duplicate_key(source, range, key);
    }
    // The parser refuses the second one for its number, as it refuses what is too large.
    if text.contains("budget breached") && source.text()[range.start..].starts_with("---") {
        return Diagnostic::error(
            Code::Syntax,
            source,
            range,
            "a second document begins here, and one is read",
        )
        .help("take the rest out, or put it into a file of its own");
    }
    if text.contains("budget breached") {
        return Diagnostic::error(
            Code::Syntax,
            source,
            range,
            "the document is too large or too deep",
        )
        .help(format!(
            "at most {MAX_NODES} values (aliases expanded) and {MAX_DEPTH} levels are read"
        ));
    }
    let diagnostic = Diagnostic::error(Code::Syntax, source, range.clone(), text);
    // `key: {{ x }}` is a mapping inside a mapping to YAML, and by far the most frequent slip.
    let text = source.text();
    let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    if line.contains(": {{") || line.contains("- {{") {
        return diagnostic.help("a value that begins with `{{` needs quotes: \"{{ … }}\"");
    }
    match syntax_help(&diagnostic.message) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// What is probably meant, for the slips that the parser's own words do not explain.
fn syntax_help(message: &str) -> Option<&'static str> {
    [
        (
            "merge keys",
            "write the keys of the other mapping out: `<<` is not read",
        ),
        ("tab", "indent with blanks: YAML takes no tabs"),
        (
            "mapping values are not allowed",
            "a text that contains `: ` needs quotes",
        ),
        (
            "simple key",
            "is a colon missing behind a key, or a closing quote?",
        ),
        (
            "'-' indicator",
            "the items of a list begin with `- ` in one column",
        ),
        (
            "did not find expected key",
            "the keys of a mapping begin in one column",
        ),
        (
            "quoted scalar",
            "a text that begins with a quote ends with one, and its lines are indented: is the closing quote missing?",
        ),
        ("unclosed bracket", "close it: `}` or `]`, with commas between the values"),
        ("expected key", "the keys of a mapping begin in one column"),
    ]
    .into_iter()
    .find(|(part, _)| message.contains(part))
    .map(|(_, help)| help)
}

/// Names both places: the first one is the same key at the same column, further up.
fn duplicate_key(source: &Source, range: Range<usize>, key: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        Code::Duplicate,
        source,
        range.clone(),
        format!("`{key}` stands twice in this mapping"),
    )
    .help("rename one of them, or take it out");
    let column = source.place(range.start).column;
    let first = source
        .text()
        .match_indices(key)
        .map(|(at, _)| at)
        .take_while(|at| *at < range.start)
        .filter(|at| source.place(*at).column == column)
        .last();
    match first {
        Some(at) => diagnostic.related(source, at..at + key.len(), "first here"),
        None => diagnostic,
    }
}
