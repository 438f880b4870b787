//! The keys of a tool in the order of the language.
//!
//! The entries of the mapping change places as they stand, with the comments right above them. Whatever layout is met, the
//! file must mean the same afterwards, or it stays as it is.

use std::ops::Range;

use serde_json::Value;

use super::{Fix, applied};
use crate::spec::diag::Edit;
use crate::spec::doc::{Doc, join};
use crate::spec::load::spec_schema;
use crate::spec::source::Source;

/// An edit for each tool whose keys stand in another order.
pub(super) fn tools(doc: &Doc) -> Vec<Fix> {
    let section = |name: &str| doc.value.get(name).and_then(Value::as_object);
    let own = section("tools").into_iter().flatten();
    let own = own.map(|(name, tool)| (name, tool, join("/tools", name)));
    let made = section("generate").into_iter().flatten();
    let made = made.filter_map(|(name, generator)| {
        let pointer = join(&join("/generate", name), "tool");
        Some((name, generator.get("tool")?, pointer))
    });
    let schema = spec_schema();
    let keys = schema
        .pointer("/$defs/Tool/properties")
        .and_then(Value::as_object);
    let order: Vec<&str> = keys
        .into_iter()
        .flat_map(|keys| keys.keys().map(String::as_str))
        .collect();
    own.chain(made)
        .filter_map(|(name, tool, pointer)| {
            let edit = ordered(doc, tool, &pointer, &order)?;
            let what = format!("the keys of `{name}` are now in the order of the language");
            Some(Fix { edit, what })
        })
        .collect()
}

fn ordered(doc: &Doc, tool: &Value, pointer: &str, order: &[&str]) -> Option<Edit> {
    let ranks: Vec<usize> = tool
        .as_object()?
        .keys()
        .map(|key| order.iter().position(|known| known == key))
        .collect::<Option<_>>()?;
    if ranks.is_sorted() {
        return None;
    }
    let mut starts = Vec::new();
    for key in tool.as_object()?.keys() {
        starts.push(doc.spot(&join(pointer, key)).key?.start);
    }
    // What an alias stands for is somewhere else.
    if !starts.is_sorted() {
        return None;
    }
    let text = doc.source.text();
    let edit = if text[..*starts.first()?].trim_end().ends_with('{') {
        flow(text, &starts, &ranks)?
    } else {
        block(text, &starts, &ranks)?
    };
    let changed = applied(text, std::iter::once(&edit));
    let after = Doc::parse(Source::new(doc.source.name(), changed)).ok()?;
    (after.value == doc.value).then_some(edit)
}

/// `{a: 1, b: 2}`: what stands between the entries stays where it is.
fn flow(text: &str, starts: &[usize], ranks: &[usize]) -> Option<Edit> {
    let entries: Vec<Range<usize>> = starts
        .iter()
        .map(|start| Some(*start..flow_end(text, *start)?))
        .collect::<Option<_>>()?;
    let mut sorted: Vec<(&usize, &Range<usize>)> = ranks.iter().zip(&entries).collect();
    sorted.sort_by_key(|(rank, _)| **rank);
    let whole = entries.first()?.start..entries.last()?.end;
    let mut changed = String::new();
    let mut at = whole.start;
    for (place, (_, entry)) in entries.iter().zip(sorted) {
        changed.push_str(text.get(at..place.start)?);
        changed.push_str(text.get((*entry).clone())?);
        at = place.end;
    }
    Some(Edit {
        range: whole,
        text: changed,
    })
}

/// Where an entry of a flow mapping ends: before the comma or the brace that follows it.
fn flow_end(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    // The last character that is not blank, and where it ends.
    let mut last = ('{', start);
    let mut escaped = false;
    for (offset, c) in text[start..].char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'')
                if matches!(last.0, '{' | '[' | ',' | ':') || last == (c, start + offset) =>
            {
                quote = Some(c);
            }
            (None, '{' | '[') => depth += 1,
            (None, ',' | '}') if depth == 0 => return Some(last.1),
            (None, '}' | ']') => depth = depth.checked_sub(1)?,
            (None, _) => {}
        }
        if !c.is_whitespace() {
            last = (c, start + offset + c.len_utf8());
        }
    }
    None
}

/// One entry a line or more: an entry is its lines, and the comments right above them.
fn block(text: &str, starts: &[usize], ranks: &[usize]) -> Option<Edit> {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent = starts.first()? - line_start(*starts.first()?);
    let mut bounds = Vec::new();
    for start in starts {
        let line = line_start(*start);
        if start - line != indent || !text[line..*start].trim().is_empty() {
            return None;
        }
        bounds.push(with_comments(text, line, indent));
    }
    let end = block_end(text, *starts.last()?, indent);
    let ends = bounds.iter().skip(1).copied().chain([end]);
    let mut entries: Vec<(usize, &str)> = Vec::new();
    for ((rank, start), end) in ranks.iter().zip(&bounds).zip(ends) {
        entries.push((*rank, text.get(*start..end)?));
    }
    entries.sort_by_key(|(rank, _)| *rank);
    let mut changed = String::new();
    for (_, entry) in entries {
        if !changed.is_empty() && !changed.ends_with('\n') {
            changed.push('\n');
        }
        changed.push_str(entry);
    }
    // Blank lines that stood between entries are not wanted at the end.
    let range = *bounds.first()?..end;
    let words = text[range.clone()].trim_end().len();
    let ending = &text[range.start + words..end];
    changed.truncate(changed.trim_end().len());
    changed.push_str(ending);
    Some(Edit {
        range,
        text: changed,
    })
}

/// The start of a line, or of the first of the comments right above it that are indented as it is.
fn with_comments(text: &str, line: usize, indent: usize) -> usize {
    let mut start = line;
    while let Some(above) = text[..start].strip_suffix('\n') {
        let begin = above.rfind('\n').map_or(0, |end| end + 1);
        let words = above[begin..].trim_start();
        if !words.starts_with('#') || above.len() - begin - words.len() != indent {
            break;
        }
        start = begin;
    }
    start
}

/// The end of the last line of a mapping whose last entry starts here: blank lines and comments that stand further out belong
/// to what follows.
fn block_end(text: &str, start: usize, indent: usize) -> usize {
    let mut at = start;
    let mut end = text.len();
    for (number, line) in text[start..].split_inclusive('\n').enumerate() {
        let words = line.trim_start();
        let outside = line.len() - words.len() < indent;
        if number > 0 && !words.is_empty() && outside && !words.starts_with('#') {
            break;
        }
        at += line.len();
        let is_ours = number == 0 || (!words.is_empty() && line.len() - words.len() >= indent);
        if is_ours {
            end = at;
        }
    }
    end
}
