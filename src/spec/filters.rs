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
    fn numbers_for_people() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(-12), "-12");
        assert_eq!(thousands(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!(fixed(2.0, 2), "2.00");
        assert_eq!(stream_token("code-review"), "CODE_REVIEW");
    }
}
