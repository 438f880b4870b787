//! Filters of our own: those that Jinja does not have, and those that could make a huge text out of a small one.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};
use sha2::{Digest as _, Sha256};

use super::token;

/// The longest text that one rendering or one filter may yield, in bytes.
pub const MAX_TEXT: usize = 8 * 1024 * 1024;
/// The widest indentation.
const MAX_INDENT: usize = 100;

/// Refuses a text that would be longer than [`MAX_TEXT`].
pub(super) fn bounded(length: Option<usize>) -> Result<(), Error> {
    match length {
        Some(length) if length <= MAX_TEXT => Ok(()),
        _ => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("the text would be longer than {MAX_TEXT} bytes"),
        )),
    }
}

/// `replace(from, to)`
pub(super) fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    if from.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "`replace` needs a text to look for",
        ));
    }
    let grown = text.matches(from).count().checked_mul(to.len());
    bounded(grown.and_then(|grown| grown.checked_add(text.len())))?;
    Ok(text.replace(from, to))
}

/// `join(separator)`
pub(super) fn join(list: &Value, separator: Option<&str>) -> Result<String, Error> {
    let separator = separator.unwrap_or_default();
    let mut joined = String::new();
    for (index, item) in list.try_iter()?.enumerate() {
        if index > 0 {
            joined.push_str(separator);
        }
        match item.as_str() {
            Some(text) => joined.push_str(text),
            None => joined.push_str(&item.to_string()),
        }
        bounded(Some(joined.len()))?;
    }
    Ok(joined)
}

/// `indent(width)`: all lines but the first, and no blank ones.
pub(super) fn indent(text: &str, width: Option<usize>) -> Result<String, Error> {
    let width = width.unwrap_or(4);
    if width > MAX_INDENT {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("`indent` takes a width of at most {MAX_INDENT}"),
        ));
    }
    let grown = text.matches('\n').count().checked_mul(width);
    bounded(grown.and_then(|grown| grown.checked_add(text.len())))?;
    let space = " ".repeat(width);
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
            if !line.trim().is_empty() {
                out.push_str(&space);
            }
        }
        out.push_str(line);
    }
    Ok(out)
}

/// The last part of a stream name as Warp makes it (warp: stream `<namespace>_<CHANNEL>`).
pub(crate) fn stream_token(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// `slug`: runs of blanks and `_` as one hyphen, letters in lower case, everything but letters, digits and hyphens left out.
pub(super) fn slug(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c == '_');
    let kept = words.filter(|word| !word.is_empty()).map(|word| {
        let plain = word.chars().map(|c| c.to_ascii_lowercase());
        plain
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
            .collect::<String>()
    });
    kept.filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

/// `cell`: a text that stays within its cell of a Markdown table.
pub(super) fn cell(value: &Value) -> Result<String, Error> {
    let text = value.to_string();
    bounded(text.len().checked_mul(2))?;
    Ok(text.replace('|', "\\|").replace(['\n', '\r'], " "))
}

/// `with_field(name, value)`
pub(super) fn with_field(object: &Value, name: &str, value: Value) -> Result<Value, Error> {
    if object.kind() != ValueKind::Map {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "`with_field` needs an object",
        ));
    }
    let mut pairs = Vec::new();
    let mut value = Some(value);
    for key in object.try_iter()? {
        let old = object.get_item(&key)?;
        let same = key.as_str() == Some(name);
        pairs.push((
            key,
            if same {
                value.take().unwrap_or(old)
            } else {
                old
            },
        ));
    }
    if let Some(value) = value {
        pairs.push((Value::from(name), value));
    }
    Ok(Value::from_pairs(pairs))
}

/// `sha256`: lower-case hexadecimal digits.
pub(super) fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

/// `uuid_from`: the first 32 digits of a hash as a UUID that looks like a random one (version 4, RFC 9562).
pub(super) fn uuid_from(digits: &str) -> Result<String, Error> {
    let first = digits
        .get(..32)
        .filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = first.and_then(|first| u128::from_str_radix(first, 16).ok());
    number
        .map(|number| {
            uuid::Builder::from_random_bytes(number.to_be_bytes())
                .into_uuid()
                .to_string()
        })
        .ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                "`uuid_from` needs a text of at least 32 hexadecimal digits, such as `x | sha256`",
            )
        })
}

/// `token`: any text as one token of a subject or key (see [`token::encode`]).
///
/// # Errors
/// The empty text, which no token stands for; one whose token could be longer than [`MAX_TEXT`].
pub fn token(text: &str) -> Result<String, Error> {
    if text.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "an empty text cannot be a token of a NATS subject or key",
        ));
    }
    bounded(text.len().checked_mul(token::GROWTH))?;
    Ok(token::encode(text))
}

/// `fixed(decimals)`
pub(super) fn fixed(number: f64, decimals: u8) -> String {
    format!("{number:.*}", usize::from(decimals.min(17)))
}

/// `thousands`
pub(super) fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    if number < 0 {
        out.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use minijinja::value::Serde;

    #[test]
    fn small_inputs_cannot_make_huge_texts() {
        let (many, long) = ("x".repeat(10_000), "y".repeat(10_000));
        assert!(replace(&many, "x", &long).is_err());
        assert_eq!(replace("a-b", "-", "+").unwrap(), "a+b");
        assert!(replace("a", "", "b").is_err());
        let list = Value::from(vec!["x"; 10_000]);
        assert!(join(&list, Some(&long)).is_err());
        assert_eq!(join(&Value::from(vec![1, 2]), Some(", ")).unwrap(), "1, 2");
        assert!(indent("a\nb", Some(1_000_000)).is_err());
        assert_eq!(indent("a\nb\n\nc", Some(2)).unwrap(), "a\n  b\n\n  c");
    }

    #[test]
    fn a_token_is_not_empty_and_not_huge() {
        assert_eq!(token("c++").unwrap(), "c=2B=2B");
        assert!(token("").is_err());
        assert!(token(&"x".repeat(MAX_TEXT / 2)).is_err());
    }

    #[test]
    fn names_and_cells() {
        assert_eq!(slug("Code  Reviewer_2!"), "code-reviewer-2");
        assert_eq!(slug("übung a"), "bung-a");
        assert_eq!(slug(" !? "), "");
        assert_eq!(cell(&Value::from("a|b\nc")).unwrap(), "a\\|b c");
        let object = Value::from(Serde(&serde_json::json!({"b": 1, "a": 2})));
        let text = |v: Value| serde_json::to_string(&v).unwrap();
        let set = |name| with_field(&object, name, Value::from(9)).unwrap();
        assert_eq!(text(set("b")), r#"{"b":9,"a":2}"#);
        assert_eq!(text(set("c")), r#"{"b":1,"a":2,"c":9}"#);
        assert!(with_field(&Value::from(1), "a", Value::from(1)).is_err());
    }

    #[test]
    fn hashes_and_the_ids_made_of_them() {
        let hash = sha256("jacquard");
        assert_eq!(hash.len(), 64);
        assert_eq!(
            sha256(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            uuid_from(&sha256("")).unwrap(),
            "e3b0c442-98fc-4c14-9afb-f4c8996fb924"
        );
        assert_eq!(
            uuid_from(&"f".repeat(32)).unwrap(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        for bad in [
            "",
            &"f".repeat(31),
            &"g".repeat(32),
            &"é".repeat(32),
            "+0000000000000000000000000000000",
        ] {
            assert!(uuid_from(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(-12), "-12");
        assert_eq!(thousands(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(fixed(2.0, 2), "2.00");
        assert_eq!(stream_token("code-review"), "CODE_REVIEW");
    }
}
