//! What a NATS name comes to as far as it is known before a call: a token that only a call knows is `*`.

use std::collections::BTreeSet;

use minijinja::value::Value;

use super::Templates;
use crate::spec::expr::paths;
use crate::spec::tree::{Token, Tree, sole_expression};

/// Stands for a value that is one token, or a part of one.
const ONE: char = '\u{1}';
/// Stands for a value that is one token or several.
const MANY: char = '\u{2}';

/// Functions whose value is another one each time.
const VARY: &[&str] = &["uuid(", "now(", "now_ms(", "serial("];

/// The names whose values are known.
#[derive(Clone)]
pub struct Known<'a> {
    templates: &'a Templates,
    names: BTreeSet<String>,
    context: Value,
}

impl<'a> Known<'a> {
    /// All names of this context, and no others.
    pub fn new(templates: &'a Templates, context: Value) -> Self {
        let names = context.try_iter().into_iter().flatten();
        Self {
            templates,
            names: names.map(|name| name.to_string()).collect(),
            context,
        }
    }

    /// Another name: with its value, or hiding one of which nothing is known.
    #[must_use]
    pub fn with(&self, name: &str, value: Option<Value>) -> Self {
        let mut known = self.clone();
        match value {
            Some(value) => {
                known.names.insert(name.to_owned());
                let own = Value::from_pairs([(name, value)]);
                known.context = minijinja::context!(..own, ..known.context);
            }
            None => {
                known.names.remove(name);
            }
        }
        known
    }

    /// The names and their values.
    pub fn context(&self) -> &Value {
        &self.context
    }

    /// A NATS name, with wildcards for what is not known.
    pub fn token(&self, token: &Token) -> String {
        self.pattern(&token.0)
    }

    /// The value of a tree, if all that it uses is known.
    pub fn value(&self, tree: &Tree) -> Option<Value> {
        let known = match tree {
            Tree::Literal(_) => true,
            Tree::Expr(text) => self.knows(sole_expression(text).unwrap_or(text)),
            Tree::Template(text) => parts(text).iter().all(|part| match part {
                Part::Plain(_) => true,
                Part::Placeholder(code) => self.knows(code),
                Part::Statement => false,
            }),
            Tree::List(_) | Tree::Map(_) => false,
        };
        let value = known.then(|| self.templates.tree(tree, &self.context));
        value.and_then(Result::ok)
    }

    /// Whole subjects that one expression (`{{ … }}`) yields, if it is known.
    pub fn list(&self, text: &str) -> Option<Vec<String>> {
        let code = sole_expression(text)?;
        if !self.knows(code) {
            return None;
        }
        let tree = Tree::Expr(text.to_owned().into());
        let list = self.templates.tree(&tree, &self.context).ok()?;
        Some(list.try_iter().ok()?.map(|item| item.to_string()).collect())
    }

    fn knows(&self, code: &str) -> bool {
        let varies = VARY.iter().any(|call| code.contains(call));
        let mut used = paths(code).into_iter();
        !varies
            && used.all(|path| {
                let name = path.split('.').next().unwrap_or_default();
                self.names.contains(name)
            })
    }

    fn pattern(&self, text: &str) -> String {
        let mut marked = String::new();
        for part in parts(text) {
            match part {
                Part::Plain(plain) => marked.push_str(plain),
                Part::Placeholder(code) => {
                    let whole = format!("{{{{{code}}}}}");
                    let value = self
                        .knows(code)
                        .then(|| self.templates.one_token(&whole, &self.context));
                    match value.and_then(Result::ok) {
                        Some(value) => marked.push_str(&value),
                        None if code.contains("subject_tokens") => marked.push(MANY),
                        None => marked.push(ONE),
                    }
                }
                Part::Statement => marked.push(MANY),
            }
        }
        wildcards(&marked)
    }
}

/// Tokens that are not known become wildcards.
fn wildcards(marked: &str) -> String {
    let mut tokens = Vec::new();
    for token in marked.split('.') {
        if token.contains(MANY) {
            tokens.push(">");
            break;
        }
        tokens.push(if token.contains(ONE) { "*" } else { token });
    }
    tokens.join(".")
}

enum Part<'a> {
    Plain(&'a str),
    /// What stands between the braces.
    Placeholder(&'a str),
    /// `{% … %}`, and all that follows: what it comes to is not foreseen.
    Statement,
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{").or_else(|| rest.find("{%")) {
        if rest.contains("{%") {
            found.push(Part::Statement);
            return found;
        }
        let (plain, inside) = rest.split_at(open);
        let inside = inside.get(2..).unwrap_or_default();
        let Some((code, after)) = inside.split_once("}}") else {
            break;
        };
        found.push(Part::Plain(plain));
        found.push(Part::Placeholder(code));
        rest = after;
    }
    found.push(Part::Plain(rest));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> String {
        let templates = Templates::new();
        let context =
            minijinja::context!(project => minijinja::context!(namespace => "dev", no => "a.b"));
        Known::new(&templates, context).pattern(text)
    }

    #[test]
    fn what_only_a_call_knows_is_a_wildcard() {
        for (text, expected) in [
            ("a.b", "a.b"),
            ("{{ project.namespace }}.tasks.{{ args.to }}", "dev.tasks.*"),
            ("{{ project.namespace }}_{{ args.to }}.x", "*.x"),
            ("a.{{ args.to | subject_tokens }}.z", "a.>"),
            ("a.{{ 'x' if args.to else project.namespace }}", "a.*"),
            ("a.{{ project.no }}", "a.*"),
            ("a.{{ project.no | subject_tokens }}.c", "a.a.b.c"),
            ("a.{{ project.missing }}.c", "a.*.c"),
            ("{% if args.x %}a{% endif %}.c", ">"),
            ("{{ 'lit' }}.{{ uuid() }}", "lit.*"),
        ] {
            assert_eq!(pattern(text), expected, "{text}");
        }
    }
}
