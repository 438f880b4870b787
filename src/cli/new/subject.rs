//! A subject as it is written on the command line: `home.{room}.light`.

/// A subject whose parts are fixed or given by whoever calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Fixed(String),
    /// An argument of the tool, which is one token.
    Argument(String),
}

/// What stands for an argument in examples.
const SAMPLE: &str = "example";

impl Subject {
    /// Reads `home.{room}.light`. A wildcard is an argument called `topic`; a `{{ … }}` stays as it is.
    ///
    /// # Errors
    /// What no subject has.
    pub fn read(text: &str) -> Result<Self, String> {
        let parts = split(text);
        let mut read: Vec<Part> = Vec::new();
        for part in &parts {
            let argument = match *part {
                "*" | ">" => Some(free("topic", &read)),
                part if part.starts_with("{{") => None,
                part => part
                    .strip_prefix('{')
                    .and_then(|p| p.strip_suffix('}'))
                    .map(str::to_owned),
            };
            match argument {
                Some(name) if is_name(&name) && !has(&read, &name) => {
                    read.push(Part::Argument(name));
                }
                None if fits(part) => read.push(Part::Fixed((*part).to_owned())),
                _ => {
                    return Err(format!(
                        "`{part}` in `{text}`: a subject is words with dots between them, such as home.{{room}}.light, \
                         where each {{name}} is an argument of its own: small letters, digits and _"
                    ));
                }
            }
        }
        Ok(Self(read))
    }

    /// The arguments, in order.
    pub fn arguments(&self) -> Vec<&str> {
        let names = self.0.iter().filter_map(|part| match part {
            Part::Argument(name) => Some(name.as_str()),
            Part::Fixed(_) => None,
        });
        names.collect()
    }

    /// As a step writes it.
    pub fn in_steps(&self) -> String {
        self.with(|name| format!("{{{{ args.{name} }}}}"))
    }

    /// With what stands for the arguments in examples.
    pub fn in_examples(&self) -> String {
        self.with(|_| SAMPLE.to_owned())
    }

    /// With wildcards for the arguments.
    pub fn wide(&self) -> String {
        self.with(|_| "*".to_owned())
    }

    fn with(&self, argument: impl Fn(&str) -> String) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Fixed(text) => text.clone(),
            Part::Argument(name) => argument(name),
        });
        parts.collect::<Vec<_>>().join(".")
    }
}

/// The parts between dots; those inside of `{{ … }}` part nothing.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '.' if depth == 0 => {
                parts.push(text.get(begin..at).unwrap_or_default());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(begin..).unwrap_or_default());
    parts
}

fn has(parts: &[Part], name: &str) -> bool {
    parts
        .iter()
        .any(|part| matches!(part, Part::Argument(other) if other == name))
}

/// The name, or the name with the first number that makes it one of its own.
fn free(name: &str, parts: &[Part]) -> String {
    if !has(parts, name) {
        return name.to_owned();
    }
    let mut number = 2_usize;
    while has(parts, &format!("{name}{number}")) {
        number += 1;
    }
    format!("{name}{number}")
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Whether a part can stand in a subject, between quotes in YAML. The rest is checked when the spec is loaded.
fn fits(part: &str) -> bool {
    let wrong = |c: char| {
        c.is_control() || matches!(c, '"' | '\\' | '*' | '>') || (c == ' ' && !part.contains("{{"))
    };
    !part.is_empty() && !part.contains(wrong) && (part.contains("{{") || !part.contains(['{', '}']))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_are_told_from_what_is_fixed() {
        let subject = Subject::read("home.{room}.light").unwrap();
        assert_eq!(subject.arguments(), ["room"]);
        assert_eq!(subject.in_steps(), "home.{{ args.room }}.light");
        assert_eq!(subject.in_examples(), "home.example.light");
        assert_eq!(subject.wide(), "home.*.light");
        let subject = Subject::read("{{ project.namespace }}.a.*.>").unwrap();
        assert_eq!(subject.arguments(), ["topic", "topic2"]);
        assert_eq!(subject.wide(), "{{ project.namespace }}.a.*.*");
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for text in [
            "",
            "a..b",
            "a b",
            "a.{B}",
            "a.{x}.{x}",
            "a.\"b",
            "a.{x",
            "a.b*",
            "a.x}",
        ] {
            assert!(Subject::read(text).is_err(), "{text}");
        }
    }
}
