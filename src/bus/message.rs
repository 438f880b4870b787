//! Messages without types of `async_nats`, and the checks on what goes into them.

use super::error::{Error, ErrorKind};
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use std::str::FromStr as _;

/// Cheaply cloned bytes of a message.
pub use tokio_util::bytes::Bytes;

/// A message to be sent.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Literal subject: no wildcards.
    pub subject: String,
    /// Headers in order; a name may come several times.
    pub headers: Vec<(String, String)>,
    /// Body; with the headers at most the server's `max_payload` bytes.
    pub payload: Bytes,
}

impl Outgoing {
    /// A message without headers.
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            subject: subject.into(),
            headers: Vec::new(),
            payload: payload.into(),
        }
    }
}

/// A message that was received.
#[derive(Clone, Debug)]
pub struct Message {
    /// Subject it was sent to.
    pub subject: String,
    /// Where its sender waits for an answer, if it does.
    pub reply: Option<String>,
    /// Headers, sorted by name (NATS keeps no order between names).
    pub headers: Vec<(String, String)>,
    /// Body.
    pub payload: Bytes,
}

impl From<async_nats::Message> for Message {
    fn from(message: async_nats::Message) -> Self {
        Self {
            subject: message.subject.to_string(),
            reply: message.reply.map(|reply| reply.to_string()),
            headers: listed(message.headers.as_ref(), |_| true),
            payload: message.payload,
        }
    }
}

/// The headers whose name `keep` accepts, sorted by name.
pub(super) fn listed(
    headers: Option<&HeaderMap>,
    keep: impl Fn(&str) -> bool,
) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = headers
        .into_iter()
        .flat_map(HeaderMap::iter)
        .filter(|(name, _)| keep(name.as_ref()))
        .flat_map(|(name, values)| {
            values
                .iter()
                .map(move |value| (name.to_string(), value.as_str().to_owned()))
        })
        .collect();
    list.sort_by(|(a, _), (b, _)| a.cmp(b));
    list
}

/// Builds a header map; `None` when there are no headers at all.
pub(super) fn headers(
    list: &[(String, String)],
    extra: &[(&str, &str)],
) -> Result<Option<HeaderMap>, Error> {
    if list.is_empty() && extra.is_empty() {
        return Ok(None);
    }
    let mut map = HeaderMap::new();
    let own = list
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in own.chain(extra.iter().copied()) {
        let bad = || {
            Error::new(
                ErrorKind::InvalidHeader,
                format!(
                    "the message header {name:?} has a name or value that NATS does not carry (no line breaks; a name is ASCII, not empty and without ':')"
                ),
            )
        };
        if name.is_empty() {
            return Err(bad());
        }
        let name = HeaderName::from_str(name).map_err(|error| bad().caused_by(error))?;
        let value = HeaderValue::from_str(value).map_err(|error| bad().caused_by(error))?;
        map.append(name, value);
    }
    Ok(Some(map))
}

/// Checks a subject to publish to: tokens without wildcards, blanks and control characters.
pub(super) fn check_subject(subject: &str) -> Result<(), Error> {
    let good = |token: &str| !matches!(token, "*" | ">");
    if well_formed(subject) && subject.split('.').all(good) {
        return Ok(());
    }
    Err(bad_subject(subject))
}

/// Checks a filter: like a subject, with `*` for one token and `>` at the end.
pub(super) fn check_filter(filter: &str) -> Result<(), Error> {
    let inner = filter.strip_suffix('>').map_or(filter, |rest| {
        if rest.is_empty() {
            "x"
        } else {
            rest.strip_suffix('.').unwrap_or(">")
        }
    });
    if well_formed(filter) && inner.split('.').all(|token| token != ">") {
        return Ok(());
    }
    Err(bad_subject(filter))
}

/// Longest subject, in bytes. A server ends the connection of a client that sends a longer line than its `max_control_line`
/// (4096 when not set), and on that line stand the stream or the answer's subject, too.
const MAX_SUBJECT: usize = 3000;

/// Whether a filter takes a subject: `*` stands for one token, `>` at the end for one or more.
pub(super) fn is_match(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            (wanted, Some(token)) if wanted == "*" || wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

fn well_formed(subject: &str) -> bool {
    if subject.len() > MAX_SUBJECT {
        return false;
    }
    let good = |c: char| !c.is_whitespace() && !c.is_control();
    subject.split('.').all(|token| !token.is_empty()) && subject.chars().all(good)
}

pub(super) fn bad_subject(subject: &str) -> Error {
    if subject.len() > MAX_SUBJECT {
        let begin: String = subject.chars().take(64).collect();
        return Error::new(
            ErrorKind::InvalidSubject,
            format!(
                "a NATS subject may have {MAX_SUBJECT} bytes, not {}: {begin:?} …",
                subject.len()
            ),
        );
    }
    Error::new(
        ErrorKind::InvalidSubject,
        format!(
            "{subject:?} is not a usable NATS subject: tokens are separated by single dots, without blanks, and wildcards stand only in filters"
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_subject_that_would_end_the_connection_is_refused() {
        let subject = |length: usize| format!("a.{}", "b".repeat(length - 2));
        assert!(check_subject(&subject(MAX_SUBJECT)).is_ok());
        let long = subject(MAX_SUBJECT + 1);
        for error in [check_subject(&long), check_filter(&long)] {
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSubject);
            assert!(error.to_string().len() < 300, "{error}");
        }
    }

    #[test]
    fn subjects_and_filters() {
        for good in ["a", "a.b", "a.b-c.é", "a*.b"] {
            assert!(check_subject(good).is_ok(), "{good}");
        }
        for bad in [
            "", ".", "a.", ".a", "a..b", "a b", "a\r\nb", "a.*", "a.>", ">",
        ] {
            assert_eq!(
                check_subject(bad).unwrap_err().kind(),
                ErrorKind::InvalidSubject,
                "{bad}"
            );
        }
        for good in ["a", ">", "*", "a.*", "a.*.b", "a.>", "*.>"] {
            assert!(check_filter(good).is_ok(), "{good}");
        }
        for bad in ["", "a.>.b", ">.a", "a..>", ".>", "a. >"] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_match_as_on_the_server() {
        for (filter, subject, fits) in [
            (">", "a", true),
            (">", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a.b", "a", false),
            ("a.b", "a.b.c", false),
        ] {
            assert_eq!(is_match(filter, subject), fits, "{filter} {subject}");
        }
    }

    #[test]
    fn headers_are_checked() {
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert!(headers(&[], &[]).unwrap().is_none());
        assert_eq!(
            headers(&pair("a", "b"), &[("c", "d")])
                .unwrap()
                .unwrap()
                .len(),
            2
        );
        for (name, value) in [("a", "b\r\nX: y"), ("a\r\nb", "c"), ("a:b", "c"), ("", "c")] {
            let error = headers(&pair(name, value), &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidHeader, "{name:?}");
        }
    }
}
