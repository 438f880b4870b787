//! Credentials stay out of everything that is shown.

use super::diag::{Label, Report};
use super::source::Source;
use super::suggest;

/// Parts of key names whose values are taken for credentials.
const SECRET_KEYS: &[&str] = &[
    "pass", "pwd", "secret", "token", "nkey", "seed", "cred", "auth", "apikey",
];

/// Covers credentials in a text with `x`, byte for byte, so that places in it stay what they are.
///
/// It works on any text, since a diagnostic shows whole lines of files that may not even parse: the user part of
/// URLs, and what follows a key that sounds like a credential. It would rather cover too much.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    let mut line = Line::default();
    // The line of the key that the text below belongs to, if that key sounds like a credential.
    let mut secret: Option<Line> = None;
    while !rest.is_empty() {
        let (token, after) = rest.split_at(token_end(rest, secret.is_some()));
        line.take(token);
        let key = is_key(token, after);
        if key && secret.as_ref().is_some_and(|s| line.leaves(s)) {
            secret = None;
        }
        if secret.is_some() && !is_punctuation(token) && !is_placeholder(token) {
            masked.push_str(&cover(token));
        } else {
            masked.push_str(&mask_userinfo(token));
        }
        if key && secret.is_none() && sounds_secret(token) {
            secret = Some(line.clone());
        }
        rest = after;
    }
    masked
}

/// Where the reading of a text stands.
#[derive(Clone, Default)]
struct Line {
    number: usize,
    /// Blanks before the first word.
    indent: usize,
    /// Whether an item of a list begins on it.
    item: bool,
    begun: bool,
}

impl Line {
    fn take(&mut self, token: &str) {
        if let Some(at) = token.rfind('\n') {
            self.number += token.matches('\n').count();
            self.indent = token.len() - at - 1;
            self.item = false;
            self.begun = false;
        } else if !token.trim().is_empty() && !self.begun {
            self.begun = true;
            self.item = token == "-";
        }
    }

    /// Whether what stands here no longer belongs to the key on that line: it is on a line of its own, not indented
    /// deeper, and not an item of that key's list.
    fn leaves(&self, key: &Line) -> bool {
        self.number > key.number && self.indent <= key.indent && (!self.item || key.item)
    }
}

/// Where the token at the start of `text` ends: a run of blanks, a mark, a quoted string, or a run of anything else.
/// A bare value may have blanks in it, so below a secret key it goes on to the end of the line.
fn token_end(text: &str, under_secret: bool) -> usize {
    let end = |stop: fn(char) -> bool| text.find(stop).unwrap_or(text.len());
    match text.chars().next() {
        None => 0,
        Some(c) if c.is_whitespace() => end(|c| !c.is_whitespace()),
        Some('{' | '}' | '[' | ']' | ',' | ':') => 1,
        Some(quote @ ('"' | '\'')) => quoted_end(text, quote),
        Some(_) => {
            let word = text.get(..end(char::is_whitespace)).unwrap_or(text);
            if under_secret && word != "-" && !word.ends_with(':') {
                end(|c| c == '\n')
            } else {
                bare_end(word)
            }
        }
    }
}

/// Where a bare value ends within its word: before a string that a JSON mark leads in, as in `5,"next"`.
fn bare_end(word: &str) -> usize {
    [",\"", "{\"", "[\""]
        .iter()
        .filter_map(|mark| word.find(mark))
        .min()
        .map_or(word.len(), |at| at + 1)
}

/// Where a quoted string ends: at its quote, or at the end of its line where it is not closed. A quote in the middle
/// of a word is one that should have been escaped, not the end.
fn quoted_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if c == quote && next.is_none_or(|n| n.is_whitespace() || ",:]}".contains(n)) => {
                return at + c.len_utf8();
            }
            _ => {}
        }
    }
    text.len()
}

fn is_punctuation(token: &str) -> bool {
    token
        .chars()
        .all(|c| c.is_whitespace() || "{}[],:-".contains(c))
}

/// Whether a token only names where the credential is: `${NAME}` or `${file:path}`.
fn is_placeholder(token: &str) -> bool {
    let bare = token.trim_matches(['"', '\'']);
    let inner = bare.strip_prefix("${").and_then(|b| b.strip_suffix('}'));
    inner.is_some_and(|inner| {
        let path = inner.strip_prefix("file:");
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        path.unwrap_or(inner).chars().all(plain)
    })
}

/// Whether a token is a mapping's key: a colon ends it or comes next.
fn is_key(token: &str, after: &str) -> bool {
    (token.len() > 1 && token.ends_with(':'))
        || (token.ends_with(['"', '\'']) && after.trim_start().starts_with(':'))
}

fn sounds_secret(key: &str) -> bool {
    let plain: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    // A misspelt key holds the same credential.
    let meant = suggest::nearest(&plain, ["password", "token", "secret", "credentials"]);
    meant.is_some() || SECRET_KEYS.iter().any(|part| plain.contains(part))
}

/// Covers `user:password` or a token before the last `@` of a URL. A mail address has no colon and stays.
fn mask_userinfo(token: &str) -> String {
    let Some(at) = token.rfind('@') else {
        return token.to_owned();
    };
    let (before, host) = token.split_at(at);
    let start = match before.find("://") {
        Some(scheme) => scheme + 3,
        None if before.contains(':') => before.len() - before.trim_start_matches(['"', '\'']).len(),
        None => return token.to_owned(),
    };
    let (scheme, userinfo) = before.split_at(start);
    format!("{scheme}{}{host}", cover(userinfo))
}

/// The same number of bytes, nothing to be read; quotes stay, so that the form of the file can still be seen.
fn cover(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let shown = if matches!(c, '"' | '\'') { c } else { 'x' };
            std::iter::repeat_n(shown, c.len_utf8())
        })
        .collect()
}

/// The report with credentials covered: in the source lines that it shows, and in what it says about them.
pub fn masked(report: &Report) -> Report {
    let mut shown = Report::new();
    for diagnostic in report.sorted() {
        let mut diagnostic = diagnostic.clone();
        diagnostic.message = mask(&diagnostic.message);
        for label in diagnostic.label.iter_mut().chain(&mut diagnostic.related) {
            if let Some(value) = cover_source(label) {
                diagnostic.message = diagnostic.message.replace(&value, "…");
            }
        }
        shown.push(diagnostic);
    }
    shown
}

/// Puts the covered text behind a place; answers with the value there when that is a credential.
fn cover_source(label: &mut Label) -> Option<String> {
    let covered = Source::new(label.source.name(), mask(label.source.text()));
    let secret = label.source.text().get(label.range.clone())?;
    let shown = covered.text().get(label.range.clone())?;
    let secret = (secret != shown).then(|| secret.trim_matches(['"', '\'']).to_owned());
    label.source = covered;
    secret.filter(|s| !s.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_covered_and_places_stay() {
        for text in [
            r#"{"natsUrl":"nats://u:hunter2@h:4222","namespace":"x"}"#,
            r#"{"natsUrl": "nats://u:hun\"hunter2@h"}"#,
            "natsUrl: nats://hunter2@h, ",
            "natsUrl: 'tls://u:p'hunter2@h'",
            "natsUrl: \"tls://u:p\"hunter2@h\"",
            "natsUrl: tls://u:p\"hunter2@h",
            r#"{"a":5,"pass":"hunter2"}"#,
            r#"[{"a":5},{"pass":"hunter2"}]"#,
            "natsUrl: u:hunter2@h:4222",
            "natsUrl: \"u:hunter2@h:4222\"",
            "natsUrl: nats://u:a@h,nats://u:hunter2@h",
            "natsUrl: nats://u:ähunter2ß@h",
            r#"{"natsPass" : "hunter2", "a": 1}"#,
            r#"{"nats_password":"see hunter2","a":1}"#,
            "natsPass: see hunter2\nnamespace: x",
            "auth: \"broken hunter2\nnamespace: x",
            "'token': 'hunter2'",
            "apiKey:\n  hunter2",
            "tokens: [\"a\", \"hunter2\"]",
            "tokens:\n  - a\n  - hunter2\nnamespace: x",
            "password: |\n  a\n  hunter2\nnamespace: x",
            "token: hunter2: other",
            "token: ${TOKEN:-hunter2}",
            "token: a${TOKEN}hunter2",
            "{password: abc: hunter2, user: x}",
            "token:\n- a: hunter2\nb: c",
            "token:\n  a:\n    b: hunter2\nc: d",
        ] {
            let masked = mask(text);
            assert!(!masked.contains("hunter2"), "{masked}");
            assert_eq!(masked.len(), text.len(), "{masked}");
        }
        assert_eq!(
            mask(r#"{"natsUrl":"nats://u:p@h","name":"ok"}"#),
            r#"{"natsUrl":"nats://xxx@h","name":"ok"}"#
        );
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "description: ask ann@example.com about it\nname: a\n",
            r#"{"description": "password: rotation plans", "maxMessages": 5}"#,
            "natsUrl: nats://localhost:4222 # @home",
            "password: ${NATS_PASSWORD}\ntoken: \"${file:/run/secrets/nats-token}\"\n",
            "password:\nnamespace: 'x'\n",
            "  ",
            "",
        ] {
            assert_eq!(mask(text), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_keeps_its_places(text in "([a-zß:@/'\"{}\\[\\],\\\\ \n-]|pass|://){0,40}") {
            let masked = mask(&text);
            assert_eq!(masked.len(), text.len());
            assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        }
    }
}
