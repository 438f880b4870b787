//! Between values and the bytes of messages and entries.

use minijinja::value::{Serde, Value, ValueKind};
use serde_json::json;

use super::failure::{Failure, FailureKind};
use crate::bus::{Bytes, Claim, Dead, DeadLetter, Entry, Item, ItemState, Message, Stored};
use crate::catalog::templates::to_json;
use crate::spec::filters::{MAX_TEXT, untoken};

/// A text goes out as it is, anything else as compact JSON.
pub fn encode(value: &Value) -> Result<Bytes, Failure> {
    let bytes = match value.as_str() {
        Some(text) if value.kind() == ValueKind::String => text.as_bytes().to_vec(),
        _ => serde_json::to_vec(&to_json(value)?)
            .map_err(|e| Failure::new(FailureKind::Template, format!("no JSON form: {e}")))?,
    };
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
fn decode(payload: &[u8]) -> (serde_json::Value, String) {
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
    let first = letter.first.as_deref().map(untoken);
    Value::from(Serde(&json!({
        "id": letter.id, "seq": letter.message.seq, "time": letter.message.time, "data": data,
        "text": text, "first": first,
    })))
}

/// An entry of a bucket; `None` is one that is not there.
pub fn entry(key: &str, entry: Option<&Entry>) -> Value {
    let value = match entry {
        Some(entry) => {
            let (value, text) = decode(&entry.value);
            json!({"found": true, "key": entry.key, "value": value, "text": text,
                   "revision": entry.revision, "time": entry.time})
        }
        None => json!({"found": false, "key": key, "value": null, "text": "",
                       "revision": 0, "time": null}),
    };
    Value::from(Serde(&value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
