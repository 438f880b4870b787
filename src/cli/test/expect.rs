//! What was expected, held against what came.

use serde_json::Value;

use super::words::Words;
use crate::bus::Message;
use crate::engine::payload::decode;
use crate::engine::{Push, Reply};
use crate::gateway::content;
use crate::spec::model::{Expect, Said, Told};

/// Something that is not as it was expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// Of what.
    pub what: String,
    /// What was expected; nothing where `came` says it all.
    pub expected: Option<String>,
    /// What came instead.
    pub came: String,
}

impl Wrong {
    fn new(what: impl Into<String>, expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            expected: Some(expected.into()),
            came: came.into(),
        }
    }

    /// Something that went wrong before anything could be expected.
    pub(super) fn plain(what: impl Into<String>, came: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            expected: None,
            came: came.into(),
        }
    }
}

/// What is wrong with a reply.
pub(super) fn reply(expect: &Expect, words: &mut Words, reply: &Reply) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let text = &reply.text;
    match (expect.error.unwrap_or(false), reply.is_error) {
        (true, false) => wrong.push(Wrong::new("the reply", "a failure", text)),
        (false, true) => wrong.push(Wrong::new("the reply", "no failure", text)),
        _ => {}
    }
    let mut of_text = |wrong: &mut Vec<Wrong>| -> Result<(), String> {
        if let Some(expected) = &expect.text {
            let expected = words.text(expected)?;
            if expected != *text {
                wrong.push(Wrong::new("the text", expected, text));
            }
        }
        for part in expect.contains.iter().flat_map(|parts| parts.0.iter()) {
            let part = words.text(part)?;
            if !text.contains(&part) {
                wrong.push(Wrong::new("a part of the text", part, text));
            }
        }
        for part in expect.lacks.iter().flat_map(|parts| parts.0.iter()) {
            let part = words.text(part)?;
            if text.contains(&part) {
                let expected = format!("a text without {part:?}");
                wrong.push(Wrong::new("the text", expected, text));
            }
        }
        if let Some(pattern) = &expect.matches {
            let regex = regex::Regex::new(pattern).map_err(|e| e.to_string())?;
            if !regex.is_match(text) {
                let expected = format!("a text that matches {pattern}");
                wrong.push(Wrong::new("the text", expected, text));
            }
        }
        if let Some(expected) = &expect.structured {
            let expected = words.value(expected)?;
            let came = reply.structured.as_ref().unwrap_or(&Value::Null);
            missing(&expected, came, "structured", wrong);
        }
        if let Some(expected) = &expect.content {
            let expected = words.value(expected)?;
            let came = serde_json::to_value(content::of_reply(reply.clone()))
                .map_err(|e| e.to_string())?;
            missing(&expected, &came, "content", wrong);
        }
        Ok(())
    };
    if let Err(error) = of_text(&mut wrong) {
        wrong.push(Wrong::plain("what is expected", error));
    }
    wrong
}

/// What is wrong with what a client was asked.
pub(super) fn asked(expect: &Expect, asked: &[String]) -> Option<Wrong> {
    let expected = expect.asked.as_ref()?;
    let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    let shown = |names: String| {
        if names.is_empty() {
            "nothing".to_owned()
        } else {
            names
        }
    };
    (expected != asked).then(|| {
        let (expected, came) = (shown(expected.join(", ")), shown(asked.join(", ")));
        Wrong::new("what the client is asked", expected, came)
    })
}

/// A message that is expected, with its texts as they are now.
#[derive(Debug)]
pub(super) struct Awaited {
    /// Where it is to come; may have wildcards.
    pub(super) subject: String,
    payload: Option<Value>,
    headers: Vec<(String, String)>,
}

impl Awaited {
    /// Works its texts out.
    pub(super) fn new(said: &Said, words: &mut Words) -> Result<Self, String> {
        let headers = said.headers.iter();
        Ok(Self {
            subject: words.text(&said.subject)?,
            payload: said.payload.as_ref().map(|p| words.value(p)).transpose()?,
            headers: headers
                .map(|(name, text)| Ok((name.to_owned(), words.text(text)?)))
                .collect::<Result<_, String>>()?,
        })
    }

    /// Where a message that came lacks something.
    fn wrong(&self, message: &Message) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        if let Some(expected) = &self.payload {
            let (data, text) = decode(&message.payload);
            let whole = match expected {
                Value::String(_) => Value::String(text),
                _ => data,
            };
            missing(expected, &whole, "payload", &mut wrong);
        }
        for (name, expected) in &self.headers {
            let mut found = message.headers.iter().filter(|(n, _)| n == name);
            if !found.any(|(_, value)| value == expected) {
                let came = message.headers.iter().find(|(n, _)| n == name);
                let came = came.map_or("no such header", |(_, value)| value.as_str());
                wrong.push(Wrong::new(format!("headers.{name}"), expected, came));
            }
        }
        wrong
    }
}

/// Where to listen for messages: each of them is heard once.
pub(super) fn subjects(awaited: &[Awaited]) -> Vec<String> {
    let mut all: Vec<&str> = awaited.iter().map(|a| a.subject.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    let covered = |subject: &&&str| {
        let mut others = all.iter().filter(|other| *other != *subject);
        others.any(|other| subject_fits(other, subject))
    };
    all.iter()
        .filter(|subject| !covered(subject))
        .map(|subject| (*subject).to_owned())
        .collect()
}

/// What of the expected messages is not among those that came; each counts once.
pub(super) fn messages(awaited: &[Awaited], came: &[Message]) -> Vec<Wrong> {
    let mut left: Vec<&Message> = came.iter().collect();
    let mut wrong = Vec::new();
    for expected in awaited {
        let fits = |m: &&Message| subject_fits(&expected.subject, &m.subject);
        let found = left
            .iter()
            .position(|m| fits(m) && expected.wrong(m).is_empty());
        if let Some(index) = found {
            left.remove(index);
            continue;
        }
        let what = format!("a message on {}", expected.subject);
        let near = left.iter().find(|m| fits(m));
        match near {
            None => {
                let payload = expected.payload.as_ref().map(pretty).unwrap_or_default();
                wrong.push(Wrong::new(what, payload, "nothing was published there"));
            }
            Some(near) => {
                let places = expected.wrong(near).into_iter();
                wrong.extend(places.map(|place| Wrong {
                    what: format!("{what}: {}", place.what),
                    ..place
                }));
            }
        }
    }
    wrong
}

/// What of the expected notifications is not among those that came. The indices of those that are.
pub(super) fn notifications(
    expected: &[Told],
    words: &mut Words,
    came: &[Push],
) -> Result<Vec<usize>, Vec<Wrong>> {
    let mut used: Vec<usize> = Vec::new();
    let mut wrong = Vec::new();
    for told in expected {
        let rendered = words.text(&told.method).and_then(|method| {
            let params = told.params.as_ref();
            Ok((method, params.map(|p| words.value(p)).transpose()?))
        });
        let (method, params) = match rendered {
            Ok(rendered) => rendered,
            Err(error) => return Err(vec![Wrong::plain("what is expected", error)]),
        };
        let lacks = |push: &Push| {
            let mut places = Vec::new();
            if let Some(params) = &params {
                let came = push.params.clone().map_or(Value::Null, Value::Object);
                missing(params, &came, "params", &mut places);
            }
            places
        };
        let left = |used: &[usize], index: usize| !used.contains(&index);
        let of_method: Vec<(usize, &Push)> = came
            .iter()
            .enumerate()
            .filter(|(index, push)| left(&used, *index) && push.method == method)
            .collect();
        match of_method.iter().find(|(_, push)| lacks(push).is_empty()) {
            Some((index, _)) => used.push(*index),
            None => {
                let what = format!("a notification {method}");
                let near = of_method.first().map(|(_, push)| lacks(push));
                match near {
                    None => {
                        let heard: Vec<&str> = came.iter().map(|p| p.method.as_str()).collect();
                        let heard = if heard.is_empty() {
                            "the session was told nothing".to_owned()
                        } else {
                            format!("the session was told: {}", heard.join(", "))
                        };
                        let params = params.as_ref().map(pretty).unwrap_or_default();
                        wrong.push(Wrong::new(what, params, heard));
                    }
                    Some(places) => wrong.extend(places.into_iter().map(|place| Wrong {
                        what: format!("{what}: {}", place.what),
                        ..place
                    })),
                }
            }
        }
    }
    if wrong.is_empty() {
        Ok(used)
    } else {
        Err(wrong)
    }
}

/// Where `found` lacks something of `wanted`: objects may have more keys, lists have the same length.
pub(super) fn missing(wanted: &Value, found: &Value, path: &str, wrong: &mut Vec<Wrong>) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (key, value) in wanted {
                let path = format!("{path}.{key}");
                match found.get(key) {
                    Some(found) => missing(value, found, &path, wrong),
                    None => wrong.push(Wrong::new(path, pretty(value), "no such key")),
                }
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                missing(wanted, found, &format!("{path}[{index}]"), wrong);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        _ if wanted == found => {}
        _ => wrong.push(Wrong::new(path, pretty(wanted), pretty(found))),
    }
}

/// As people read it: a text as it is, anything else as JSON.
fn pretty(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_else(|_| other.to_string()),
    }
}

/// Whether a subject is one that a pattern with wildcards means.
fn subject_fits(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for part in pattern.split('.') {
        match (part, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(token)) if part == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(wanted: &Value, found: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        missing(wanted, found, "s", &mut wrong);
        wrong.into_iter().map(|w| w.what).collect()
    }

    #[test]
    fn objects_may_have_more_and_lists_may_not() {
        let found = json!({"a": 1, "b": [{"c": 2, "d": 3}, 4.0], "e": null});
        for fine in [
            json!({}),
            json!({"a": 1.0}),
            json!({"b": [{"c": 2}, 4]}),
            json!({"e": null}),
        ] {
            assert!(places(&fine, &found).is_empty(), "{fine}");
        }
        for (wanted, place) in [
            (json!({"a": "1"}), "s.a"),
            (json!({"b": [{"c": 3}, 4]}), "s.b[0].c"),
            (json!({"b": [{"c": 2}]}), "s.b"),
            (json!({"f": null}), "s.f"),
            (json!([]), "s"),
        ] {
            assert_eq!(places(&wanted, &found), [place], "{wanted}");
        }
    }

    #[test]
    fn wildcards_are_those_of_nats() {
        for (pattern, subject, fits) in [
            ("a.b", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a.b.c", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.b.c", "a.b", false),
        ] {
            assert_eq!(subject_fits(pattern, subject), fits, "{pattern} {subject}");
        }
    }
}
