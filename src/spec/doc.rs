//! A YAML or JSON document that remembers where everything stands.
//!
//! One parser reads both (JSON is YAML), so spans, limits and messages are the same. This is the only module
//! that knows the YAML library.

mod refused;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_yaml::Spanned;

use super::diag::{Code, Diagnostic, Edit, Report};
use super::source::Source;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most values in one document, aliases expanded.
const MAX_NODES: usize = 100_000;
/// The deepest nesting.
const MAX_DEPTH: usize = 64;

/// Where a value and its key stand, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The value.
    pub value: Range<usize>,
    /// The key, for a mapping's entry.
    pub key: Option<Range<usize>>,
}

/// A parsed document: the value, and the place of every part of it by JSON pointer.
#[derive(Debug, Clone)]
pub struct Doc {
    /// The file.
    pub source: Source,
    /// What it says.
    pub value: Value,
    spots: HashMap<String, Spot>,
}

impl Doc {
    /// Parses YAML or JSON. An empty document is `null`.
    ///
    /// # Errors
    /// A report with what the parser says: malformed text, a duplicate key, a merge key, or a document beyond the
    /// limits for size, nesting and number of values.
    pub fn parse(source: Source) -> Result<Self, Report> {
        let mut report = Report::new();
        if source.text().len() > MAX_BYTES {
            report.push(
                Diagnostic::error(Code::Syntax, &source, 0..0, "the file is too large")
                    .help(format!("at most {MAX_BYTES} bytes are read")),
            );
            return Err(report);
        }
        match serde_yaml::from_str_with_options::<Option<Spanned<Node>>>(source.text(), options()) {
            Ok(root) => Ok(Self::from_root(source, root)),
            Err(error) => {
                report.push(refused::told(&source, &error));
                Err(report)
            }
        }
    }

    fn from_root(source: Source, root: Option<Spanned<Node>>) -> Self {
        let mut spots = HashMap::new();
        let value = match root {
            None => {
                spots.insert(
                    String::new(),
                    Spot {
                        value: 0..0,
                        key: None,
                    },
                );
                Value::Null
            }
            Some(node) => flatten(&source, node, None, &mut String::new(), &mut spots),
        };
        Self {
            source,
            value,
            spots,
        }
    }

    /// Where the value at a pointer stands; for a pointer that is not in the document, its nearest parent.
    pub fn spot(&self, pointer: &str) -> Spot {
        let mut at = pointer;
        loop {
            if let Some(spot) = self.spots.get(at) {
                return spot.clone();
            }
            match at.rfind('/') {
                Some(cut) => at = &at[..cut],
                None => {
                    return Spot {
                        value: 0..0,
                        key: None,
                    };
                }
            }
        }
    }

    /// Whether there is a value at a pointer.
    pub fn knows(&self, pointer: &str) -> bool {
        self.spots.contains_key(pointer)
    }

    /// The value's bytes.
    pub fn value_range(&self, pointer: &str) -> Range<usize> {
        self.spot(pointer).value
    }

    /// The key's bytes, or the value's where there is no key.
    pub fn key_range(&self, pointer: &str) -> Range<usize> {
        let spot = self.spot(pointer);
        spot.key.unwrap_or(spot.value)
    }

    /// What gives a key of the mapping at a pointer another name. `None` where it is written in a way that hides the name, as
    /// with escapes.
    pub fn renamed_key(&self, pointer: &str, key: &str, name: &str) -> Option<Edit> {
        let range = self.spots.get(&join(pointer, key))?.key.clone()?;
        let written = self.source.text().get(range.clone())?;
        let (before, after) = written.split_once(key)?;
        let quotes = matches!((before, after), ("", "") | ("\"", "\"") | ("'", "'"));
        quotes.then(|| Edit {
            range,
            text: format!("{before}{name}{after}"),
        })
    }

    /// Where a part of a *string* value stands in the file, given its byte range in the decoded string.
    ///
    /// Quoting, folding and indentation make the two differ, so the part's own text is looked for inside the
    /// value: as many occurrences in as the decoded string has before it.
    pub fn inner_range(&self, pointer: &str, decoded: &str, part: Range<usize>) -> Range<usize> {
        let whole = self.value_range(pointer);
        let (Some(wanted), Some(raw)) = (
            decoded.get(part.clone()),
            self.source.text().get(whole.clone()),
        ) else {
            return whole;
        };
        if wanted.is_empty() {
            return whole;
        }
        let before = decoded
            .match_indices(wanted)
            .take_while(|(at, _)| *at < part.start)
            .count();
        raw.match_indices(wanted)
            .nth(before)
            .map_or(whole.clone(), |(at, found)| {
                whole.start + at..whole.start + at + found.len()
            })
    }

    /// Replaces string values by what `change` makes of them; places stay.
    pub fn map_strings(&mut self, change: &mut impl FnMut(&str, &str) -> Option<Value>) {
        fn walk(
            value: &mut Value,
            pointer: &mut String,
            change: &mut impl FnMut(&str, &str) -> Option<Value>,
        ) {
            match value {
                Value::String(text) => {
                    if let Some(new) = change(pointer, text) {
                        *value = new;
                    }
                }
                Value::Array(items) => {
                    for (index, item) in items.iter_mut().enumerate() {
                        let length = pointer.len();
                        push_pointer(pointer, &index.to_string());
                        walk(item, pointer, change);
                        pointer.truncate(length);
                    }
                }
                Value::Object(map) => {
                    for (key, item) in map.iter_mut() {
                        let length = pointer.len();
                        push_pointer(pointer, key);
                        walk(item, pointer, change);
                        pointer.truncate(length);
                    }
                }
                _ => {}
            }
        }
        walk(&mut self.value, &mut String::new(), change);
    }
}

/// Appends one reference token to a JSON pointer (RFC 6901).
pub fn push_pointer(pointer: &mut String, token: &str) {
    pointer.push('/');
    if token.contains(['~', '/']) {
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
    } else {
        pointer.push_str(token);
    }
}

/// A pointer with one more reference token.
pub fn join(pointer: &str, token: &str) -> String {
    let mut joined = pointer.to_owned();
    push_pointer(&mut joined, token);
    joined
}

fn options() -> serde_yaml::Options {
    let mut options = serde_yaml::Options::default();
    // `on`, `no`, `y` are strings as everybody outside YAML 1.1 expects.
    options.strict_booleans = true;
    options.duplicate_keys = serde_yaml::DuplicateKeyPolicy::Error;
    options.merge_keys = serde_yaml::MergeKeyPolicy::Error;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    if let Some(budget) = &mut options.budget {
        budget.max_nodes = MAX_NODES;
        budget.max_depth = MAX_DEPTH;
        budget.max_documents = 1;
        budget.max_total_scalar_bytes = 2 * MAX_BYTES;
    }
    options
}

fn bytes(source: &Source, location: &serde_yaml::Location) -> Option<Range<usize>> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    Some(source.clamp(start..start + length))
}

/// A parsed value before its places are moved into the map.
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

fn flatten(
    source: &Source,
    node: Spanned<Node>,
    key: Option<Range<usize>>,
    pointer: &mut String,
    spots: &mut HashMap<String, Spot>,
) -> Value {
    let mut value_range = bytes(source, &node.referenced).unwrap_or(0..0);
    let length = pointer.len();
    let mut end = value_range.end;
    let value = match node.value {
        Node::Scalar(value) => value,
        Node::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                push_pointer(pointer, &index.to_string());
                list.push(flatten(source, item, None, pointer, spots));
                end = end.max(spots.get(pointer.as_str()).map_or(0, |s| s.value.end));
                pointer.truncate(length);
            }
            Value::Array(list)
        }
        Node::Map(entries) => {
            let mut map = serde_json::Map::with_capacity(entries.len());
            for (name, item) in entries {
                let key = bytes(source, &name.referenced);
                push_pointer(pointer, &name.value);
                let value = flatten(source, item, key, pointer, spots);
                end = end.max(spots.get(pointer.as_str()).map_or(0, |s| s.value.end));
                map.insert(name.value, value);
                pointer.truncate(length);
            }
            Value::Object(map)
        }
    };
    value_range.end = end.max(value_range.start);
    spots.insert(
        pointer.clone(),
        Spot {
            value: value_range,
            key,
        },
    );
    value
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }
            fn visit_none<E: de::Error>(self) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Null))
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
                Node::deserialize(d)
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Node, E> {
                Ok(Node::Scalar(Value::Bool(v)))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Node, E> {
                Ok(Node::Scalar(Value::from(v)))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Node, E> {
                Ok(Node::Scalar(Value::from(v)))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Node, E> {
                serde_json::Number::from_f64(v)
                    .map(|n| Node::Scalar(Value::Number(n)))
                    .ok_or_else(|| E::custom("infinite numbers and NaN have no JSON form"))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Node, E> {
                Ok(Node::Scalar(Value::String(v.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Node::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn doc(text: &str) -> Doc {
        Doc::parse(Source::new("t.yaml", text)).unwrap()
    }

    fn slice<'a>(doc: &'a Doc, range: &Range<usize>) -> &'a str {
        &doc.source.text()[range.clone()]
    }

    #[test]
    fn every_part_has_its_place() {
        let doc = doc("tools:\n  a:\n    text: \"hé {{ x }}\"\n    n: [1, two]\n");
        let spot = doc.spot("/tools/a/text");
        assert_eq!(slice(&doc, &spot.value), "\"hé {{ x }}\"");
        assert_eq!(slice(&doc, &spot.key.unwrap()), "text");
        assert_eq!(slice(&doc, &doc.value_range("/tools/a/n/1")), "two");
        assert_eq!(doc.value["tools"]["a"]["n"][1], "two");
        let inner = doc.inner_range("/tools/a/text", "hé {{ x }}", 4..11);
        assert_eq!(slice(&doc, &inner), "{{ x }}");
        // A pointer that does not exist answers with its nearest parent.
        assert_eq!(
            doc.value_range("/tools/a/none/1"),
            doc.value_range("/tools/a")
        );
    }

    #[test]
    fn json_is_read_with_the_same_places() {
        let doc = doc("{\"a\": [1, {\"b\": \"x\"}]}");
        assert_eq!(slice(&doc, &doc.value_range("/a/1/b")), "\"x\"");
        assert_eq!(slice(&doc, &doc.key_range("/a/1/b")), "\"b\"");
    }

    #[test]
    fn words_stay_words() {
        let doc = doc("a: no\nb: on\nc: true\nd: 012\ne: ~\nf: 1e3\n");
        assert_eq!(doc.value["a"], "no");
        assert_eq!(doc.value["b"], "on");
        assert_eq!(doc.value["c"], true);
        assert_eq!(doc.value["e"], Value::Null);
        assert_eq!(doc.value["f"], 1000.0);
    }

    #[test]
    fn bombs_and_nonsense_are_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for i in 1..9 {
            let prev = format!("*a{},", i - 1).repeat(9);
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", prev.trim_end_matches(',')));
        }
        for text in [
            bomb.as_str(),
            &"[".repeat(20_000),
            "a: 1\na: 2\n",
            "a: [1\nb: 2",
            "<<: {a: 1}\nb: 2\n",
            "a: .inf",
            "a: !nope x",
            "a: 1\n---\nb: 2\n",
        ] {
            let report = Doc::parse(Source::new("t.yaml", text));
            let head: String = text.chars().take(40).collect();
            assert!(report.is_err_and(|r| r.has_errors()), "accepted: {head}");
        }
    }
}
