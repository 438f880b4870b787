//! One entry of a JSON file, set or removed in its text: comments, order, numbers and the layout of all the rest stay.

use std::ops::Range;

use serde::Serialize as _;
use serde_json::Value;

/// A JSON file, as text and as value.
#[derive(Debug)]
pub struct Document {
    text: String,
    /// The text with blanks for comments; same offsets.
    bare: String,
    /// `bare` with blanks for trailing commas: plain JSON; same offsets.
    json: String,
    value: Value,
}

/// An object in the text.
struct Object {
    open: usize,
    close: usize,
    members: Vec<Member>,
}

struct Member {
    name: String,
    key: Range<usize>,
    value: Range<usize>,
}

/// What comes in place of a part of the text.
type Edit = (Range<usize>, String);

impl Document {
    /// Reads a text; one of blanks counts as an empty object. Comments and trailing commas only if `lenient`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str, lenient: bool) -> Result<Self, String> {
        // Blanks for a byte order mark, of as many bytes.
        let unmarked = text.replacen('\u{feff}', "   ", usize::from(text.starts_with('\u{feff}')));
        if unmarked.trim().is_empty() {
            return Self::parse("{}\n", lenient);
        }
        let bare = if lenient {
            uncommented(&unmarked)
        } else {
            unmarked
        };
        let json = if lenient {
            without_trailing_commas(&bare)
        } else {
            bare.clone()
        };
        let value: Value = serde_json::from_str(&json).map_err(|e| format!("is no JSON: {e}"))?;
        if !value.is_object() {
            return Err("is no JSON object".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            bare,
            json,
            value,
        })
    }

    /// The entry `name` of the object `section`.
    pub fn entry(&self, section: &str, name: &str) -> Option<&Value> {
        self.value.get(section)?.get(name)
    }

    /// All entries of the object `section`, in order.
    pub fn entries(&self, section: &str) -> impl Iterator<Item = (&str, &Value)> {
        let entries = self.value.get(section).and_then(Value::as_object);
        let entries = entries.into_iter().flatten();
        entries.map(|(name, entry)| (name.as_str(), entry))
    }

    /// The names that stand more than once in the object `section`: only the last of each counts.
    pub fn doubled(&self, section: &str) -> Vec<String> {
        let Ok(Some(inner)) = self.section(&self.root(), section) else {
            return Vec::new();
        };
        let mut names: Vec<String> = inner.members.into_iter().map(|m| m.name).collect();
        names.sort();
        let mut doubled: Vec<String> = names
            .windows(2)
            .filter_map(|pair| match pair {
                [one, other] if one == other => Some(one.clone()),
                _ => None,
            })
            .collect();
        doubled.dedup();
        doubled
    }

    /// The text with this entry.
    ///
    /// # Errors
    /// A section that is no object.
    pub fn with(&self, section: &str, name: &str, entry: &Value) -> Result<String, String> {
        let root = self.root();
        let edits = match self.section(&root, section)? {
            Some(inner) => match inner.last(name) {
                Some(old) => {
                    let indent = self.indent_at(old.key.start);
                    vec![(old.value.clone(), self.rendered(entry, &indent))]
                }
                None => self.insertion(&inner, name, entry),
            },
            None => {
                let mut servers = serde_json::Map::new();
                servers.insert(name.to_owned(), entry.clone());
                self.insertion(&root, section, &Value::Object(servers))
            }
        };
        let mut expected = self.value.clone();
        expected[section][name] = entry.clone();
        self.applied(edits, &expected)
    }

    /// The text without this entry; `None` when it is not there.
    ///
    /// # Errors
    /// A section that is no object.
    pub fn without(&self, section: &str, name: &str) -> Result<Option<String>, String> {
        let root = self.root();
        let Some(inner) = self.section(&root, section)? else {
            return Ok(None);
        };
        let Some(at) = inner.members.iter().position(|m| m.name == name) else {
            return Ok(None);
        };
        let mut expected = self.value.clone();
        if let Some(servers) = expected.get_mut(section).and_then(Value::as_object_mut) {
            servers.shift_remove(name);
        }
        self.applied(self.removal(&inner, at), &expected).map(Some)
    }

    fn root(&self) -> Object {
        object_at(&self.json, self.json.find('{').unwrap_or_default())
    }

    fn section(&self, root: &Object, section: &str) -> Result<Option<Object>, String> {
        match root.last(section) {
            None => Ok(None),
            Some(member) if self.json[member.value.clone()].starts_with('{') => {
                Ok(Some(object_at(&self.json, member.value.start)))
            }
            Some(_) => Err(format!("has a `{section}` that is no object")),
        }
    }

    /// A new last member.
    fn insertion(&self, into: &Object, name: &str, value: &Value) -> Vec<Edit> {
        let newline = self.newline();
        let outer = self.indent_at(into.open);
        let last = into.members.last();
        let own_line = last.filter(|member| {
            let before = self.text[..member.key.start].trim_end_matches([' ', '\t']);
            before.ends_with('\n')
        });
        let indent = match own_line {
            Some(member) => self.indent_at(member.key.start),
            None => format!("{outer}{}", self.unit()),
        };
        // After a comment that follows the last member.
        let end = self.text[..into.close].trim_end().len();
        let key = Value::from(name);
        let mut new = format!("{newline}{indent}{key}: {}", self.rendered(value, &indent));
        // Where the file ends its lists so.
        if last.is_some_and(|last| self.comma_after(last.value.end)) {
            new.push(',');
        }
        if !self.text[end..into.close].contains('\n') {
            new.push_str(newline);
            new.push_str(&outer);
        }
        let mut edits = Vec::new();
        if let Some(last) = last.filter(|last| !self.comma_after(last.value.end)) {
            edits.push((last.value.end..last.value.end, ",".to_owned()));
        }
        edits.push((end..end, new));
        edits
    }

    /// A member goes, with one comma and, if nothing else is on them, its lines.
    fn removal(&self, from: &Object, at: usize) -> Vec<Edit> {
        let member = &from.members[at];
        let mut edits = Vec::new();
        let mut gone = member.key.start..member.value.end;
        if self.comma_after(gone.end) {
            gone.end += self.bare[gone.end..].find(',').map_or(0, |comma| comma + 1);
        } else if let Some(before) = at.checked_sub(1).and_then(|i| from.members.get(i)) {
            let after = before.value.end;
            if let Some(comma) = self.bare[after..gone.start].find(',') {
                edits.push((after + comma..after + comma + 1, String::new()));
            }
        }
        let line = self.text[..gone.start].trim_end_matches([' ', '\t']).len();
        let rest = &self.text[gone.end..];
        let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let starts_line = self.text[..line].ends_with('\n');
        match rest[blank..].find('\n') {
            Some(end) if starts_line && rest[blank..blank + end].trim().is_empty() => {
                gone = line..gone.end + blank + end + 1;
            }
            _ if at + 1 < from.members.len() => gone.end += blank,
            _ => {}
        }
        edits.push((gone, String::new()));
        edits
    }

    /// Whether a comma follows, perhaps after blanks and comments.
    fn comma_after(&self, at: usize) -> bool {
        self.bare[at..].trim_start().starts_with(',')
    }

    /// The blanks at the beginning of the line of this place.
    fn indent_at(&self, at: usize) -> String {
        let line = self.json[..at].rfind('\n').map_or(0, |end| end + 1);
        let rest = &self.json[line..at];
        rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()].to_owned()
    }

    /// By how much the file indents.
    fn unit(&self) -> String {
        let root = self.root();
        let found = root.members.first().map(|m| self.indent_at(m.key.start));
        found.filter(|i| !i.is_empty()).unwrap_or("  ".to_owned())
    }

    fn newline(&self) -> &'static str {
        if self.text.contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    fn rendered(&self, value: &Value, indent: &str) -> String {
        let text = pretty(value, &self.unit());
        text.replace('\n', &format!("{}{indent}", self.newline()))
    }

    /// Makes the edits, and sees that they did what was meant and nothing else.
    fn applied(&self, mut edits: Vec<Edit>, expected: &Value) -> Result<String, String> {
        edits.sort_by_key(|(range, _)| range.start);
        let mut text = String::new();
        let mut done = 0;
        for (range, new) in edits {
            text.push_str(&self.text[done..range.start]);
            text.push_str(&new);
            done = range.end;
        }
        text.push_str(&self.text[done..]);
        match Self::parse(&text, true) {
            Ok(after) if after.value == *expected => Ok(text),
            _ => Err("is laid out in a way that cannot be changed safely".to_owned()),
        }
    }
}

impl Object {
    /// Of several members of one name the last counts, as for every reader of JSON.
    fn last(&self, name: &str) -> Option<&Member> {
        self.members.iter().rev().find(|m| m.name == name)
    }
}

/// As text over several lines.
pub fn pretty(value: &Value, indent: &str) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut out = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    match value.serialize(&mut out) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        // Writing a value to memory does not fail.
        Err(_) => value.to_string(),
    }
}

/// Blanks in place of `//` and `/* */`.
fn uncommented(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let comment = match rest.get(..2) {
            Some("//") => rest.find(['\n', '\r']).or(Some(rest.len())),
            Some("/*") => rest[2..].find("*/").map(|end| end + 4),
            _ => None,
        };
        let length = match (first, comment) {
            ('"', _) => string_end(rest, 0),
            (_, Some(length)) => {
                let blanks = rest[..length].bytes();
                out.extend(blanks.map(|b| {
                    if b == b'\n' || b == b'\r' {
                        b as char
                    } else {
                        ' '
                    }
                }));
                rest = &rest[length..];
                continue;
            }
            _ => first.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

fn without_trailing_commas(bare: &str) -> String {
    let mut out = String::with_capacity(bare.len());
    let mut at = 0;
    while let Some(first) = bare[at..].chars().next() {
        let end = if first == '"' {
            string_end(bare, at)
        } else {
            at + first.len_utf8()
        };
        if first == ',' && bare[end..].trim_start().starts_with(['}', ']']) {
            out.push(' ');
        } else {
            out.push_str(&bare[at..end]);
        }
        at = end;
    }
    out
}

/// The end of the string that begins here; the end of the text when it has none.
fn string_end(text: &str, start: usize) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The object that begins here. The text is JSON.
fn object_at(json: &str, open: usize) -> Object {
    let mut members = Vec::new();
    let mut at = open + 1;
    loop {
        at = skip(json, at, &[',']);
        if !json[at..].starts_with('"') {
            return Object {
                open,
                close: at,
                members,
            };
        }
        let key = at..string_end(json, at);
        let start = skip(json, key.end, &[':']);
        let end = value_end(json, start);
        members.push(Member {
            name: serde_json::from_str(&json[key.clone()]).unwrap_or_default(),
            key,
            value: start..end,
        });
        at = end;
    }
}

/// The first place from here that is neither blank nor one of these.
fn skip(json: &str, from: usize, also: &[char]) -> usize {
    let rest = &json[from..];
    let left = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || also.contains(&c));
    json.len() - left.len()
}

fn value_end(json: &str, start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => {
                at = string_end(json, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return at + 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
