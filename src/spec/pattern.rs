//! Regular expressions: the test `match`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};
use regex::{Regex, RegexBuilder};

use super::config::http::fits;

/// The largest compiled pattern, in bytes.
const MAX_COMPILED: usize = 1 << 20;
/// The most patterns that are kept compiled.
const MAX_KEPT: usize = 1_000;

/// Compiled patterns. Specs have literal ones, so this is as large as the specs are.
static KEPT: LazyLock<RwLock<HashMap<String, Arc<Regex>>>> = LazyLock::new(RwLock::default);

/// Compiles a pattern. Matching takes time linear in the text, whatever the pattern.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn compile(pattern: &str) -> Result<Arc<Regex>, String> {
    let kept = KEPT.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = kept.get(pattern) {
        return Ok(regex.clone());
    }
    drop(kept);
    let regex = RegexBuilder::new(pattern)
        .size_limit(MAX_COMPILED)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            // The parser draws the place under the pattern; its last line says what is wrong.
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            }
        })?;
    let regex = Arc::new(regex);
    let mut kept = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() < MAX_KEPT {
        kept.insert(pattern.to_owned(), regex.clone());
    }
    Ok(regex)
}

/// `is match(pattern)`: whether the pattern matches anywhere in the text; only texts match.
pub(super) fn is_match(value: &Value, pattern: &str) -> Result<bool, Error> {
    let regex = compile(pattern).map_err(|problem| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("the pattern {pattern:?} is no regular expression: {problem}"),
        )
    })?;
    Ok(value.as_str().is_some_and(|text| regex.is_match(text)))
}

/// `is like(pattern)`: whether a text fits a pattern, or one of several, in which `*` stands for any text.
pub(super) fn is_like(value: &Value, patterns: &Value) -> Result<bool, Error> {
    let Some(text) = value.as_str() else {
        return Ok(false);
    };
    if let Some(pattern) = patterns.as_str() {
        return Ok(fits(pattern, text));
    }
    let mut list = patterns.try_iter()?;
    Ok(list.any(|pattern| pattern.as_str().is_some_and(|pattern| fits(pattern, text))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_texts_match() {
        let handle = "^[a-z0-9-]+$";
        assert!(is_match(&Value::from("a-1"), handle).unwrap());
        assert!(!is_match(&Value::from("a b"), handle).unwrap());
        assert!(is_match(&Value::from("a b"), "b").unwrap());
        for other in [Value::from(1), Value::UNDEFINED, Value::from(())] {
            assert!(!is_match(&other, ".*").unwrap());
        }
    }

    #[test]
    fn a_text_is_like_a_pattern_or_one_of_several() {
        let like = |text: &str, patterns: &Value| is_like(&Value::from(text), patterns).unwrap();
        let several = Value::from(vec!["a*", "b"]);
        for (text, fits) in [
            ("a", true),
            ("ab", true),
            ("b", true),
            ("bc", false),
            ("", false),
        ] {
            assert_eq!(like(text, &several), fits, "{text}");
        }
        assert!(like("shop-1", &Value::from("shop-*")));
        assert!(!like("x", &Value::from(Vec::<Value>::new())));
        assert!(!is_like(&Value::from(1), &Value::from("*")).unwrap());
        assert!(is_like(&Value::from("a"), &Value::from(1)).is_err());
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        assert_eq!(compile("a(").unwrap_err(), "unclosed group");
        assert_eq!(compile("(a{1000}){1000}").unwrap_err(), "it is too large");
    }
}
