//! Filters between values and the ways in which other programs write them: JSON, base64, base64url, lengths in UTF-16.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use minijinja::value::{Serde, Value};
use minijinja::{Error, ErrorKind};
use serde::Serialize as _;
use serde_json::ser::Formatter;

use super::filters::bounded;

/// `base64`: with padding.
pub(super) fn base64(text: &str) -> Result<String, Error> {
    bounded(base64::encoded_len(text.len(), true))?;
    Ok(STANDARD.encode(text))
}

/// `base64url`: no padding.
pub(super) fn base64url(text: &str) -> Result<String, Error> {
    bounded(base64::encoded_len(text.len(), false))?;
    Ok(URL_SAFE_NO_PAD.encode(text))
}

/// `from_base64url`: absent where it is none.
pub(super) fn from_base64url(text: &Value) -> Value {
    let decoded = text
        .as_str()
        .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    decoded
        .map(|bytes| Value::from(String::from_utf8_lossy(&bytes).into_owned()))
        .unwrap_or_default()
}

/// `utf16_length`
pub(super) fn utf16_length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// `from_json`: the value of a JSON text; absent where it is none.
pub(super) fn from_json(text: &Value) -> Value {
    let parsed = text
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    parsed
        .map(|json: serde_json::Value| Value::from(Serde(&json)))
        .unwrap_or_default()
}

/// `json`: compact, as `JSON.stringify` writes it.
pub(super) fn json(value: &Value) -> Result<String, Error> {
    let mut out = Vec::new();
    value
        .serialize(&mut serde_json::Serializer::with_formatter(
            &mut out, Script,
        ))
        .map_err(|e| {
            Error::new(ErrorKind::InvalidOperation, "value has no JSON form").with_source(e)
        })?;
    bounded(Some(out.len()))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Compact JSON with numbers as JavaScript writes them: `1` for 1.0, `1e+21`, `1e-7`.
struct Script;

impl Formatter for Script {
    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        let size = value.abs();
        if size == 0.0 {
            out.write_all(b"0")
        } else if (1e-6..1e21).contains(&size) {
            write!(out, "{value}")
        } else if size >= 1e21 {
            out.write_all(format!("{value:e}").replace('e', "e+").as_bytes())
        } else {
            write!(out, "{value:e}")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn base64url_goes_there_and_back() {
        for (text, expected) in [
            ("bob", "Ym9i"),
            ("#eng", "I2VuZw"),
            ("日本 語", "5pel5pysIOiqng"),
            ("a>b?c~~", "YT5iP2N-fg"),
            ("", ""),
        ] {
            assert_eq!(base64url(text).unwrap(), expected);
            let back = from_base64url(&Value::from(expected));
            assert_eq!(back.as_str(), Some(text));
        }
        assert_eq!(
            from_base64url(&Value::from("_w")).as_str(),
            Some("\u{fffd}")
        );
        for other in ["a", "Ym9i=", "a+b/", "ä", "Ym 9i"] {
            assert!(
                from_base64url(&Value::from(other)).is_undefined(),
                "{other}"
            );
        }
        assert!(from_base64url(&Value::from(1)).is_undefined());
    }

    #[test]
    fn base64_is_padded() {
        for (text, expected) in [
            ("<svg/>", "PHN2Zy8+"),
            ("é?", "w6k/"),
            ("a", "YQ=="),
            ("", ""),
        ] {
            assert_eq!(base64(text).unwrap(), expected);
        }
    }

    #[test]
    fn lengths_are_those_of_javascript() {
        assert_eq!(utf16_length("aé😀"), 4);
    }

    #[test]
    fn json_is_written_as_javascript_writes_it() {
        let given = r#"{"b":"<a href='x'>\u0001\n\u2028\"","a":[1.0,-0.0,1.5,1e21,1.5e300,1e-7,123456789012.25,null,true]}"#;
        let value: serde_json::Value = serde_json::from_str(given).unwrap();
        assert_eq!(
            json(&Value::from(Serde(&value))).unwrap(),
            "{\"b\":\"<a href='x'>\\u0001\\n\u{2028}\\\"\",\
             \"a\":[1,0,1.5,1e+21,1.5e+300,1e-7,123456789012.25,null,true]}"
        );
    }

    #[test]
    fn json_texts_are_read_and_others_are_absent() {
        let value = from_json(&Value::from(r#"{"b": [1, null], "a": 2}"#));
        assert_eq!(
            serde_json::to_string(&value).unwrap(),
            r#"{"b":[1,null],"a":2}"#
        );
        for absent in [
            Value::from("{"),
            Value::from(""),
            Value::from(1),
            Value::UNDEFINED,
        ] {
            assert!(from_json(&absent).is_undefined());
        }
    }
}
