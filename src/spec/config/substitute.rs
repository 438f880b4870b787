//! `${NAME}`, `${NAME:-default}` and `${file:path}` in the strings of a config.
//!
//! Each is put in once, after the file was parsed: what a variable or a file holds can add no key and no other `${…}`.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;

use super::Around;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::Doc;
use crate::spec::files::{Unread, read_text};
use crate::spec::tree::is_template;

/// The largest file that a config takes a value from: 64 KiB.
const MAX_FILE: usize = 64 << 10;

/// A value of a config that stands in its environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Filled {
    /// Where it is, as a JSON pointer.
    pub pointer: String,
    /// How it is written in the file.
    pub written: String,
    /// What came.
    pub value: String,
    /// The files that it came from, as they are named.
    pub files: Vec<String>,
}

impl Filled {
    /// A text about the value, which may be a credential, with what is written in the file in its place.
    pub fn cover(&self, text: &str) -> String {
        // What is as short hides nothing, and would be found in every other word.
        if self.value.len() < 3 {
            return text.to_owned();
        }
        text.replace(&self.value, &self.written)
    }
}

/// Without the value: it may be a credential.
impl fmt::Debug for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filled")
            .field("pointer", &self.pointer)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

/// One part of a string.
#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Variable {
        name: String,
        default: Option<String>,
    },
    File(String),
}

impl Part {
    fn into_file(self) -> Option<String> {
        match self {
            Self::File(path) => Some(path),
            Self::Text(_) | Self::Variable { .. } => None,
        }
    }
}

/// Something in a string that cannot be read.
#[derive(Debug, PartialEq)]
struct Unreadable {
    range: Range<usize>,
    message: &'static str,
    help: &'static str,
}

/// Whether a string has something to put in.
pub fn is_substituted(text: &str) -> bool {
    text.contains("${")
}

/// Puts the values in. What came is noted in `filled`.
pub(super) fn substitute(
    doc: &mut Doc,
    around: &Around<'_>,
    filled: &mut Vec<Filled>,
    report: &mut Report,
) {
    let places = doc.clone();
    doc.map_strings(&mut |pointer, text| {
        if !is_substituted(text) {
            return None;
        }
        match parts(text) {
            Err(problem) => {
                let range = places.inner_range(pointer, text, problem.range);
                let told =
                    Diagnostic::error(Code::Template, &places.source, range, problem.message);
                report.push(told.help(problem.help));
                None
            }
            Ok(parts) => {
                let value = written(&parts, pointer, around, &places, report)?;
                filled.push(Filled {
                    pointer: pointer.to_owned(),
                    written: text.to_owned(),
                    value: value.clone(),
                    files: parts.into_iter().filter_map(Part::into_file).collect(),
                });
                Some(Value::String(value))
            }
        }
    });
}

/// The string that the parts make; `None` where something is missing, which is told, or where nothing is to be looked up.
fn written(
    parts: &[Part],
    pointer: &str,
    around: &Around<'_>,
    places: &Doc,
    report: &mut Report,
) -> Option<String> {
    let lookup = around.lookup?;
    let mut whole = Some(String::new());
    for part in parts {
        let found = match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Variable { name, default } => lookup(name)
                .or_else(|| default.clone())
                .ok_or_else(|| unset(name)),
            Part::File(path) => read(path, around.folder),
        };
        match found {
            Ok(text) => {
                if let Some(whole) = &mut whole {
                    whole.push_str(&text);
                }
            }
            Err((what, help)) => {
                let key = pointer.trim_start_matches('/').replace('/', ".");
                let range = places.value_range(pointer);
                let message = format!("`{key}` has no value: {what}");
                let told = Diagnostic::error(Code::Environment, &places.source, range, message);
                report.push(told.help(help));
                whole = None;
            }
        }
    }
    whole
}

fn unset(name: &str) -> (String, String) {
    (
        format!("the environment variable `{name}` is not set"),
        format!("set it, or write what stands in its place: `${{{name}:-…}}`"),
    )
}

/// The content of a file without the end of its last line, as editors write it.
fn read(path: &str, folder: &str) -> Result<String, (String, String)> {
    let text = read_text(&Path::new(folder).join(path), MAX_FILE).map_err(|unread| {
        let help = match unread {
            Unread::Io(_) => "the path is absolute, or relative to the folder of this file",
            _ => "name a text file that holds the value and nothing else",
        };
        (format!("the file `{path}` {unread}"), help.to_owned())
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Takes a string apart. `$${` stands for `${`.
fn parts(text: &str) -> Result<Vec<Part>, Unreadable> {
    if is_template(text) {
        return Err(Unreadable {
            range: 0..text.len(),
            message: "`${…}` and `{{ … }}` in one value",
            help: "write one of them: `{{ env.NAME }}` is the same variable in an expression, and `$${` a `${` that is meant as it is",
        });
    }
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('$').map(|found| at + found) {
        plain.push_str(&text[at..found]);
        if text[found..].starts_with("$${") {
            plain.push_str("${");
            at = found + 3;
        } else if text[found..].starts_with("${") {
            let end = text[found..].find('}').ok_or(Unreadable {
                range: found..text.len(),
                message: "`${` is not closed",
                help: "write `${NAME}`, or `$${` for a `${` that is meant as it is",
            })?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            let whole = found..found + end + 1;
            parts.push(part(&text[found + 2..found + end], whole)?);
            at = found + end + 1;
        } else {
            plain.push('$');
            at = found + 1;
        }
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

/// What stands between `${` and `}`.
fn part(inner: &str, range: Range<usize>) -> Result<Part, Unreadable> {
    if let Some(path) = inner.strip_prefix("file:") {
        return if path.trim().is_empty() {
            Err(Unreadable {
                range,
                message: "`${file:…}` names no file",
                help: "write its path: `${file:/run/secrets/token}`",
            })
        } else {
            Ok(Part::File(path.to_owned()))
        };
    }
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (inner, None),
    };
    if !is_variable(name) {
        return Err(Unreadable {
            range,
            message: "this is no name of an environment variable",
            help: "write `${NAME}`, `${NAME:-default}` or `${file:path}`; a name has letters, digits and `_`, and no digit first",
        });
    }
    let name = name.to_owned();
    Ok(Part::Variable { name, default })
}

/// Whether a text can name an environment variable.
pub(in crate::spec) fn is_variable(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_string_is_taken_apart() {
        let text = |t: &str| Part::Text(t.to_owned());
        let variable = |name: &str, default: Option<&str>| Part::Variable {
            name: name.to_owned(),
            default: default.map(str::to_owned),
        };
        for (given, expected) in [
            ("${A}", vec![variable("A", None)]),
            ("${A:-}", vec![variable("A", Some(""))]),
            ("${A:-x:-$y}", vec![variable("A", Some("x:-$y"))]),
            (
                "a${_B1}c",
                vec![text("a"), variable("_B1", None), text("c")],
            ),
            ("${file:/a b}", vec![Part::File("/a b".to_owned())]),
            ("$${A} $A $", vec![text("${A} $A $")]),
            ("ä${A}ß", vec![text("ä"), variable("A", None), text("ß")]),
        ] {
            assert_eq!(parts(given).unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn what_cannot_be_read_has_its_place() {
        for (given, range) in [
            ("a ${A", 2..5),
            ("a ${}", 2..5),
            ("${1A}", 0..5),
            ("${A-B}", 0..6),
            ("${file:}", 0..8),
            ("{{ env.A }} ${A}", 0..16),
        ] {
            assert_eq!(parts(given).unwrap_err().range, range, "{given}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "(\\$|\\{|\\}|:-|file:|[A-Zä ]){0,20}") {
            let _ = parts(&text);
        }
    }
}
