//! Between values and the bytes of messages and entries.

use minijinja::value::{Serde, Value, ValueKind};
use serde_json::json;

use super::failure::{Failure, FailureKind};
use crate::bus::{Bucket, Bytes, Entry, Message, Stored};
use crate::catalog::templates::to_json;
use crate::spec::filters::MAX_TEXT;

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
