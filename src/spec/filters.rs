//! Filters of our own: those that Jinja does not have, and those that could make a huge text out of a small one.

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

/// The longest text that one rendering or one filter may yield, in bytes.
pub const MAX_TEXT: usize = 8 * 1024 * 1024;
/// The widest indentation.
const MAX_INDENT: usize = 100;

/// Refuses a text that would be longer than [`MAX_TEXT`].
fn bounded(length: Option<usize>) -> Result<(), Error> {
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

/// `token`: any text as one token of a subject or key, so that different texts are different tokens whether or not case
/// counts: `a`-`z`, digits, `_` and `-` stay, every other byte of its UTF-8 is `=XX`.
///
/// # Errors
/// The empty text, which no token stands for; one whose token would be longer than [`MAX_TEXT`].
pub fn token(text: &str) -> Result<String, Error> {
    if text.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "an empty text cannot be a token of a NATS subject or key",
        ));
    }
    bounded(text.len().checked_mul(3))?;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => out.push(char::from(byte)),
            _ => out.push_str(&format!("={byte:02X}")),
        }
    }
    Ok(out)
}

/// `untoken`: the text that [`token`] has made a token of; any other text as it is.
pub fn untoken(token: &str) -> String {
    decoded(token)
        .filter(|text| self::token(text).is_ok_and(|again| again == token))
        .unwrap_or_else(|| token.to_owned())
}

fn decoded(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'=' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = rest.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
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
    fn tokens_go_there_and_back() {
        for (text, expected) in [
            ("code-review", "code-review"),
            ("a_1", "a_1"),
            ("A", "=41"),
            ("c++", "c=2B=2B"),
            ("c%%", "c=25=25"),
            ("ü", "=C3=BC"),
            ("a.b *>", "a=2Eb=20=2A=3E"),
            ("=41", "=3D41"),
        ] {
            assert_eq!(token(text).unwrap(), expected);
            assert_eq!(untoken(expected), text);
        }
        assert!(token("").is_err());
        assert!(token(&"x".repeat(MAX_TEXT / 2)).is_err());
        // No tokens: a wrong digit, a byte that would have stayed, a broken end, half a character.
        for other in ["", "A", "=4", "=", "=4g", "=61", "=2b", "=C3", "a.b", "=+1"] {
            assert_eq!(untoken(other), other);
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
