//! Between values and the bytes of messages and entries.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Serde, Value, ValueKind};
use serde_json::json;

use super::failure::{Failure, FailureKind};
use crate::bus::{Bucket, Bytes, Claim, Dead, DeadLetter, Entry, Item, ItemState, Message, Stored};
use crate::catalog::templates::to_json;
use crate::spec::filters::MAX_TEXT;
use crate::spec::token;

/// A text goes out as it is, anything else as compact JSON.
pub fn encode(value: &Value) -> Result<Bytes, Failure> {
    match value.as_str() {
        Some(text) if value.kind() == ValueKind::String => bounded(text.as_bytes().to_vec()),
        _ => encode_json(&to_json(value)?),
    }
}

/// Compact JSON.
pub fn encode_json(value: &serde_json::Value) -> Result<Bytes, Failure> {
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Failure::new(FailureKind::Template, format!("no JSON form: {e}")))?;
    bounded(bytes)
}

fn bounded(bytes: Vec<u8>) -> Result<Bytes, Failure> {
    if bytes.len() > MAX_TEXT {
        return Err(Failure::new(
            FailureKind::Bus(crate::bus::ErrorKind::TooLarge),
            format!(
                "the message of {} bytes is larger than {MAX_TEXT} bytes",
                bytes.len()
            ),
        ));
    }
    Ok(bytes.into())
}

/// Bytes as expressions see them: JSON where they are JSON, else the text; and always the text.
pub fn decode(payload: &[u8]) -> (serde_json::Value, String) {
    let text = String::from_utf8_lossy(payload).into_owned();
    let data = serde_json::from_slice(payload).unwrap_or_else(|_| json!(text));
    (data, text)
}

fn headers(list: &[(String, String)]) -> serde_json::Value {
    // NATS allows a name several times; an expression sees the last, as a map does.
    list.iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A stored message.
pub fn stored(message: &Stored) -> Value {
    let (data, text) = decode(&message.payload);
    Value::from(Serde(&json!({
        "seq": message.seq, "time": message.time, "subject": message.subject,
        "data": data, "text": text, "headers": headers(&message.headers),
    })))
}

/// A received message.
pub fn message(message: &Message) -> Value {
    let (data, text) = decode(&message.payload);
    Value::from(Serde(&json!({
        "subject": message.subject, "data": data, "text": text, "headers": headers(&message.headers),
    })))
}

/// A message that was heard in an inbox.
pub fn heard(inbox: &str, message: &Message) -> Value {
    let (data, text) = decode(&message.payload);
    Value::from(Serde(&json!({
        "inbox": inbox, "subject": message.subject, "data": data, "text": text,
        "headers": headers(&message.headers),
    })))
}

/// An item that becomes a dead letter.
pub fn lost(dead: &Dead) -> Value {
    let (data, text) = decode(&dead.message.payload);
    Value::from(Serde(&json!({
        "id": dead.id, "data": data, "text": text, "with": dead.label, "reason": dead.reason,
        "attempts": dead.attempts, "errors": dead.errors, "failed_at": dead.failed_at,
    })))
}

/// An item of a queue that was claimed, with the values of its lane.
pub fn claim(claim: &Claim, with: &serde_json::Value) -> Value {
    let (data, text) = decode(&claim.message.payload);
    Value::from(Serde(&json!({
        "found": true, "token": claim.token, "id": claim.id, "data": data, "text": text,
        "level": claim.level, "attempt": claim.attempt, "attempts": claim.attempts,
        "until": claim.until, "with": with, "errors": claim.errors,
    })))
}

/// An item of a queue that was looked at, with the values of its lane.
pub fn queued(item: &Item, with: &serde_json::Value) -> Value {
    let (data, text) = decode(&item.message.payload);
    let state = match item.state {
        ItemState::Pending => "pending",
        ItemState::Claimed => "claimed",
    };
    Value::from(Serde(&json!({
        "id": item.id, "seq": item.message.seq, "level": item.level, "time": item.message.time,
        "data": data, "text": text, "with": with, "state": state, "holder": item.holder,
        "until": item.until, "attempt": item.attempt, "note": item.note, "errors": item.errors,
    })))
}

/// A dead letter.
pub fn dead(letter: &DeadLetter) -> Value {
    let (data, text) = decode(&letter.message.payload);
    let first = letter.first.as_deref().map(token::decode);
    Value::from(Serde(&json!({
        "id": letter.id, "seq": letter.message.seq, "time": letter.message.time, "data": data,
        "text": text, "first": first,
    })))
}

/// An entry of a bucket; `None` is one that is not there.
pub fn entry(key: &str, entry: Option<&Entry>) -> Value {
    let Some(entry) = entry else {
        return Value::from(Serde(&json!({
            "found": false, "key": key, "value": null, "text": "", "revision": 0, "time": null,
        })));
    };
    Value::from_object(Found {
        key: entry.key.as_str().into(),
        value: fields(decode(&entry.value).0),
        bytes: entry.value.clone(),
        revision: entry.revision,
        time: entry.time.as_str().into(),
    })
}

/// An entry that is there. A list asks thousands of them for their value, so that is found without a hash; the text, which
/// few ask for, is made when it is asked for.
#[derive(Debug)]
struct Found {
    key: Value,
    value: Value,
    bytes: Bytes,
    revision: u64,
    time: Value,
}

/// The value of an entry. An object of usual size finds its fields faster without a hash.
fn fields(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Object(map) if map.len() <= FEW => {
            let fields = map.into_iter();
            let fields = fields.map(|(name, value)| (name, Value::from(Serde(&value))));
            Value::from_object(Fields(fields.collect()))
        }
        value => Value::from(Serde(&value)),
    }
}

/// Fields that are looked through one by one.
const FEW: usize = 32;

/// A JSON object of few fields, in their order.
#[derive(Debug)]
struct Fields(Vec<(String, Value)>);

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let field = self.0.iter().find(|(field, _)| field == name);
        field.map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.0.iter().map(|(name, _)| Value::from(name.as_str()));
        Enumerator::Values(names.collect())
    }
}

impl Object for Found {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        match name {
            "found" => Some(true.into()),
            "key" => Some(self.key.clone()),
            "value" => Some(self.value.clone()),
            "text" => Some(String::from_utf8_lossy(&self.bytes).into_owned().into()),
            "revision" => Some(self.revision.into()),
            "time" => Some(self.time.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["found", "key", "value", "text", "revision", "time"])
    }
}

/// The failure of a step that needs a key which is not there.
pub fn no_key(bucket: &Bucket, key: &str) -> Failure {
    Failure::new(
        FailureKind::NotFound,
        format!("the bucket {} has no key {key}", bucket.spec().name),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_object_is_the_same_with_few_fields_and_with_many() {
        for count in [0, 1, FEW, FEW + 1] {
            let object: serde_json::Map<_, _> = (0..count)
                .rev()
                .map(|n| (format!("f{n}"), json!({"n": [n]})))
                .collect();
            let object = serde_json::Value::Object(object);
            let (ours, plain) = (fields(object.clone()), Value::from(Serde(&object)));
            assert_eq!(ours, plain);
            assert_eq!((ours.kind(), ours.len()), (plain.kind(), plain.len()));
            assert_eq!(ours.is_true(), plain.is_true());
            assert_eq!(ours.get_attr("f0").unwrap(), plain.get_attr("f0").unwrap());
            assert!(ours.get_attr("none").unwrap().is_undefined());
            // In their order.
            assert_eq!(serde_json::to_string(&ours).unwrap(), object.to_string());
        }
    }

    #[test]
    fn an_entry_is_an_object_whether_it_is_there_or_not() {
        let there = Entry {
            key: "k".into(),
            value: "{\"a\":1}".into(),
            revision: 7,
            time: "t".into(),
            operation: crate::bus::Operation::Put,
            memo: Default::default(),
        };
        let json = |entry| serde_json::to_string(&super::entry("k", entry)).unwrap();
        assert_eq!(
            json(Some(&there)),
            r#"{"found":true,"key":"k","value":{"a":1},"text":"{\"a\":1}","revision":7,"time":"t"}"#
        );
        assert_eq!(
            json(None),
            r#"{"found":false,"key":"k","value":null,"text":"","revision":0,"time":null}"#
        );
        let found = super::entry("k", Some(&there));
        assert_eq!(found.kind(), ValueKind::Map);
        assert!(found.get_attr("nope").unwrap().is_undefined());
    }

    #[test]
    fn texts_stay_texts_and_the_rest_is_json() {
        assert_eq!(encode(&Value::from("a \"b\"")).unwrap(), "a \"b\"");
        assert_eq!(encode(&Value::from(5)).unwrap(), "5");
        let map = minijinja::context!(b => 1, a => vec![true]);
        assert_eq!(encode(&map).unwrap(), r#"{"b":1,"a":[true]}"#);
        assert_eq!(decode(b"{\"a\":1}").0, json!({"a": 1}));
        assert_eq!(decode(b"plain"), (json!("plain"), "plain".to_owned()));
        assert_eq!(decode(b"\xff").1, "\u{fffd}");
    }
}
