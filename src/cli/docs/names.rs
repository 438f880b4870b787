//! Names on NATS as people read them: what is filled in later stands in braces.

use std::collections::BTreeMap;

/// A subject, key or name with what is filled in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Address {
    /// The text, with `{parameter}` for each placeholder.
    pub text: String,
    /// What each parameter is made of, as it is written.
    pub parameters: BTreeMap<String, String>,
}

impl Address {
    /// From how it is written in a spec. Wildcards are parameters too.
    pub fn of(written: &str) -> Self {
        let mut address = Self::default();
        let mut rest = written;
        while let Some((at, open)) = next_open(rest) {
            address.literal(&rest[..at]);
            let (inner, after) = closed(&rest[at..], open);
            address.placeholder(inner, open);
            rest = after;
        }
        address.literal(rest);
        address
    }

    /// Both, joined by a dot.
    pub fn then(mut self, other: Address) -> Self {
        if !self.text.is_empty() && !other.text.is_empty() {
            self.text.push('.');
        }
        let mut text = other.text;
        for (name, made) in other.parameters {
            let new = self.parameter(&name, &made);
            text = text.replace(&format!("{{{name}}}"), &format!("{{{new}}}"));
        }
        self.text.push_str(&text);
        self
    }

    /// The same with one more token, filled in by something.
    pub fn with(mut self, name: &str, made: &str) -> Self {
        let name = self.parameter(name, made);
        if !self.text.is_empty() {
            self.text.push('.');
        }
        self.text.push_str(&format!("{{{name}}}"));
        self
    }

    /// The same with wildcards as parameters.
    pub fn without_wildcards(self) -> Self {
        let mut plain = Self {
            parameters: self.parameters,
            text: String::new(),
        };
        for (index, token) in self.text.split('.').enumerate() {
            if index > 0 {
                plain.text.push('.');
            }
            match token {
                "*" => {
                    let name = plain.parameter("token", "any one token");
                    plain.text.push_str(&format!("{{{name}}}"));
                }
                ">" => {
                    let name = plain.parameter("rest", "one or more tokens");
                    plain.text.push_str(&format!("{{{name}}}"));
                }
                token => plain.text.push_str(token),
            }
        }
        plain
    }

    fn literal(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn placeholder(&mut self, inner: &str, open: Open) {
        let (name, made) = match open {
            Open::Expression => (word_of(inner), format!("{{{{ {inner} }}}}")),
            Open::Statement => ("choice".to_owned(), inner.to_owned()),
        };
        let name = self.parameter(&name, &made);
        self.text.push_str(&format!("{{{name}}}"));
    }

    /// A name for a parameter: what is made of the same has the same.
    fn parameter(&mut self, wanted: &str, made: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 1;
        while self
            .parameters
            .get(&name)
            .is_some_and(|other| other != made)
        {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        self.parameters.insert(name.clone(), made.to_owned());
        name
    }
}

/// A text with its placeholders, as people read it.
pub fn shown(written: &str) -> String {
    Address::of(written).text
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Open {
    Expression,
    Statement,
}

fn next_open(text: &str) -> Option<(usize, Open)> {
    let expression = text.find("{{").map(|at| (at, Open::Expression));
    let statement = text.find("{%").map(|at| (at, Open::Statement));
    match (expression, statement) {
        (Some(e), Some(s)) => Some(if e.0 < s.0 { e } else { s }),
        (found, None) | (None, found) => found,
    }
}

/// The inside of what is opened at the beginning, and what comes after. Statements are one whole from the first to the last.
fn closed(text: &str, open: Open) -> (&str, &str) {
    let end = match open {
        Open::Expression => text.find("}}"),
        Open::Statement => text.rfind("%}"),
    };
    let Some(end) = end.map(|at| at + 2) else {
        return (text, "");
    };
    let inner = match open {
        Open::Expression => text[2..end - 2].trim(),
        Open::Statement => &text[..end],
    };
    (inner, &text[end..])
}

/// Names that say nothing of a value, and what stands before the ones that do.
const ROOTS: &[&str] = &[
    "project", "config", "args", "item", "entry", "doc", "message",
];

/// A word for an expression: the last name of the first path in it, `session_id` for `session.id`.
fn word_of(expression: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let start = expression.find(|c: char| c.is_ascii_alphabetic());
    let path = start.map_or("", |at| &expression[at..]);
    let end = path.find(|c: char| !is_word(c) && c != '.');
    let path = path[..end.unwrap_or(path.len())].trim_matches('.');
    let names: Vec<&str> = path.split('.').collect();
    match names.as_slice() {
        [] | [""] => "value".to_owned(),
        [one] => (*one).to_owned(),
        [root, .., last] if ROOTS.contains(root) => (*last).to_owned(),
        [.., before, last] => format!("{before}_{last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_words() {
        for (written, read) in [
            ("{{ project.namespace }}.log.>", "{namespace}.log.>"),
            ("INBOX_{{ guid | replace('-', '_') }}", "INBOX_{guid}"),
            ("a.{{ args.x.name }}.{{ item.name }}", "a.{name}.{name_2}"),
            (
                "a.{{ session.id }}.{{ session.id }}",
                "a.{session_id}.{session_id}",
            ),
            ("{{ 'x' if config.a else 'y' }}", "{x}"),
            ("{{ 1 + 2 }}", "{value}"),
            ("{% if a %}x{% else %}{{ y }}{% endif %}.z", "{choice}.z"),
            ("plain", "plain"),
            ("{{ open", "{value}"),
        ] {
            let shown = Address::of(written).text;
            assert!(shown == read || written == "{{ open", "{written}: {shown}");
        }
    }

    #[test]
    fn what_is_joined_keeps_its_parameters_apart() {
        let stream = Address::of("$KV.{{ project.name }}");
        let key = Address::of("{{ args.name }}.x.*.>");
        let joined = stream.then(key).without_wildcards();
        assert_eq!(joined.text, "$KV.{name}.{name_2}.x.{token}.{rest}");
        let names: Vec<_> = joined.parameters.keys().map(String::as_str).collect();
        assert_eq!(names, ["name", "name_2", "rest", "token"]);
    }
}
