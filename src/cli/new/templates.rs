//! The templates: YAML files in `templates/new/`, with words such as `__tool__` in the places of names.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::spec::suggest;
use crate::spec::verbs::Verb;

/// What a tool stands on, beside its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Nothing, or a subject that it is told.
    Subject,
    /// A stream of the pack.
    Stream,
    /// A bucket of the pack.
    Bucket,
    /// A queue of the pack.
    Queue,
    /// The machine, or the session.
    Nothing,
}

impl On {
    /// The section of a spec that declares it.
    pub fn section(self) -> Option<&'static str> {
        match self {
            Self::Stream => Some("streams"),
            Self::Bucket => Some("buckets"),
            Self::Queue => Some("queues"),
            Self::Subject | Self::Nothing => None,
        }
    }

    /// The declaration, for a pack that has none.
    pub fn declaration(self) -> &'static str {
        match self {
            Self::Stream => include_str!("../../../templates/new/on/stream.yaml"),
            Self::Bucket => include_str!("../../../templates/new/on/bucket.yaml"),
            Self::Queue => include_str!("../../../templates/new/on/queue.yaml"),
            Self::Subject | Self::Nothing => "",
        }
    }
}

/// A tool with one verb.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// The verb.
    pub verb: &'static str,
    /// What it stands on.
    pub on: On,
    /// The spec file.
    pub text: &'static str,
}

macro_rules! templates {
    ($($verb:literal: $on:ident,)+) => {
        &[$(Template {
            verb: $verb,
            on: On::$on,
            text: include_str!(concat!("../../../templates/new/tool/", $verb, ".yaml")),
        },)+]
    };
}

/// The templates, each for the verb that it is called by.
pub const TEMPLATES: &[Template] = templates! {
    "publish": Subject,
    "request": Subject,
    "read": Stream,
    "take": Stream,
    "subjects": Stream,
    "info": Stream,
    "find": Stream,
    "notify": Subject,
    "ask": Nothing,
    "get": Bucket,
    "put": Bucket,
    "create": Bucket,
    "update": Bucket,
    "modify": Bucket,
    "delete": Bucket,
    "list": Bucket,
    "lease": Bucket,
    "enqueue": Queue,
    "claim": Queue,
    "extend": Queue,
    "complete": Queue,
    "release": Queue,
    "peek": Queue,
    "depth": Queue,
    "dead": Queue,
    "revive": Queue,
    "discard": Queue,
    "set": Nothing,
    "fetch": Nothing,
    "connect": Nothing,
    "sleep": Nothing,
};

/// A message that is kept: `publish` with a stream.
pub const STORED: Template = Template {
    verb: "publish",
    on: On::Stream,
    text: include_str!("../../../templates/new/tool/publish-stored.yaml"),
};

/// The file of a pack that says who it is.
pub const PACK: &str = include_str!("../../../templates/new/pack/pack.yaml");
/// The first tool of a pack.
pub const HELLO: &str = include_str!("../../../templates/new/pack/hello.yaml");
/// A config that serves a pack.
pub const CONFIG: &str = include_str!("../../../templates/new/gateway.yaml");
/// A project file.
pub const PROJECT: &str = include_str!("../../../templates/new/project.json");

/// The template of a verb.
///
/// # Errors
/// There is none, and which there are.
pub fn of_verb(verb: &str) -> Result<&'static Template, String> {
    if let Some(found) = TEMPLATES.iter().find(|t| t.verb == verb) {
        return Ok(found);
    }
    let known: Vec<&str> = TEMPLATES.iter().map(|t| t.verb).collect();
    let known = known.join(", ");
    match Verb::ALL.iter().find(|(name, _)| *name == verb) {
        Some((_, about)) => Err(format!(
            "no tool is made of `{verb}` alone: it {}. Begin with one of {known}, and add a step with `{verb}`",
            about.trim().trim_end_matches('.').to_lowercase()
        )),
        None => {
            let near = suggest::nearest(verb, TEMPLATES.iter().map(|t| t.verb));
            let near = near.map(|name| format!(" (did you mean `{name}`?)"));
            Err(format!(
                "there is no verb `{verb}`{}. Tools are made of {known}",
                near.unwrap_or_default()
            ))
        }
    }
}

/// Puts words into a template. A line with `__token__` stands once for each token, or not at all.
pub fn fill(template: &str, tokens: &[&str], words: &[(&str, &str)]) -> String {
    /// A word to be replaced.
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("__([a-z]+)__").ok());
    let mut lines = String::new();
    for line in template.lines() {
        if line.contains("__token__") {
            for token in tokens {
                lines.push_str(&line.replace("__token__", token));
                lines.push('\n');
            }
        } else {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    let Some(pattern) = WORD.as_ref() else {
        return lines;
    };
    let filled = pattern.replace_all(&lines, |found: &Captures<'_>| {
        let word = words.iter().find(|(name, _)| *name == &found[1]);
        word.map_or_else(|| found[0].to_owned(), |(_, text)| (*text).to_owned())
    });
    filled.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_template_is_of_a_verb_and_uses_it() {
        for template in TEMPLATES.iter().chain([&STORED]) {
            let verb = template.verb;
            assert!(Verb::ALL.iter().any(|(name, _)| *name == verb), "{verb}");
            assert!(template.text.contains(&format!("- {verb}:")), "{verb}");
            // Every word that is to be replaced has something that replaces it.
            let known = [
                "tool", "token", "tokens", "claim", "pack", "on", "name", "dead", "subject",
                "example", "wide", "pattern", "queued",
            ];
            let words = known.map(|word| (word, "x"));
            let filled = fill(template.text, &["a"], &words);
            assert!(!filled.contains("__"), "{verb}: {filled}");
            assert!(
                template.text.contains("title: ") && template.text.contains("error: true"),
                "{verb}"
            );
        }
    }

    #[test]
    fn words_are_replaced_once_and_lines_repeated() {
        let words = [("tool", "__on__"), ("on", "news")];
        assert_eq!(
            fill("a ___on___b __tool__\n", &[], &words),
            "a _news_b __on__\n"
        );
        assert_eq!(
            fill("x\n- __token__\ny\n", &["a", "b"], &words),
            "x\n- a\n- b\ny\n"
        );
        assert_eq!(fill("x\n- __token__\n", &[], &words), "x\n");
    }

    #[test]
    fn a_verb_without_a_template_is_told_apart_from_no_verb() {
        assert!(of_verb("publish").is_ok());
        let told = |verb| of_verb(verb).err().unwrap_or_default();
        assert!(told("require").contains("no tool is made of `require` alone"));
        assert!(told("publsh").contains("did you mean `publish`"));
    }
}
