//! Every expression and template of the loaded packs, compiled once.

use std::collections::{HashMap, HashSet};

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior};

use super::bound;
use crate::spec::data::{List, Text};
use crate::spec::env::{TOKEN_SUFFIX, check_root, environment, is_omit};
use crate::spec::expr;
use crate::spec::filters::MAX_TEXT;
use crate::spec::model::TextKind;
use crate::spec::tree::{Expr, Template, Token, Tree, is_template, sole_expression};

/// The name under which a compiled expression leaves its value.
const RESULT: &str = "__value";

/// Compiled texts, found by their source.
///
/// Expressions are compiled as `{% set __value = … %}`: minijinja's own compiled expressions borrow their
/// environment, and a template that sets a name gives the same typed value.
#[derive(Debug)]
pub struct Templates {
    values: Environment<'static>,
    /// As `values`, but what is absent has absent parts.
    keys: Environment<'static>,
    texts: Environment<'static>,
    tokens: Environment<'static>,
    seen: HashSet<(TextKind, Text)>,
    /// What each filter takes from outside its element: two calls filter alike if these are equal.
    inputs: HashMap<Text, Vec<Expr>>,
}

impl Templates {
    /// An empty set.
    pub fn new() -> Self {
        let mut keys = environment();
        keys.set_undefined_behavior(UndefinedBehavior::Chainable);
        Self {
            values: environment(),
            keys,
            texts: environment(),
            tokens: environment(),
            seen: HashSet::new(),
            inputs: HashMap::new(),
        }
    }

    /// Compiles the texts of a pack.
    ///
    /// # Errors
    /// A text that does not parse; packs are checked before, so this means that the checks have a hole.
    pub fn add(&mut self, texts: &List<(TextKind, Text)>) -> Result<(), Error> {
        for (kind, text) in texts.iter() {
            if !self.seen.insert((*kind, text.clone())) {
                continue;
            }
            match kind {
                TextKind::Expr | TextKind::Condition => add_value(&mut self.values, text, text)?,
                TextKind::Key => add_value(&mut self.keys, text, text)?,
                TextKind::Filter => {
                    add_value(&mut self.values, text, text)?;
                    let outside = outside(text);
                    for path in &outside {
                        add_value(&mut self.values, &path.0, &path.0)?;
                    }
                    self.inputs.insert(text.clone(), outside);
                }
                TextKind::Value => {
                    let inner = sole_expression(text).unwrap_or(text);
                    add_value(&mut self.values, text, inner)?;
                }
                TextKind::Text => self
                    .texts
                    .add_template_owned(text.to_string(), text.to_string())?,
                TextKind::Token => self
                    .tokens
                    .add_template_owned(format!("{text}{TOKEN_SUFFIX}"), text.to_string())?,
            }
        }
        Ok(())
    }

    fn value(&self, name: &str, context: &Value) -> Result<Value, Error> {
        value_in(&self.values, name, context)
    }

    /// The keys that an expression finds in a message: a text or a number, or each of a list of them. What is absent, or
    /// anything else, is passed over.
    ///
    /// # Errors
    /// Whatever else the expression runs into.
    pub fn keys(&self, expr: &Expr, context: &Value) -> Result<Vec<String>, Error> {
        let found = value_in(&self.keys, &expr.0, context)?;
        let is_key = |value: &Value| match value.kind() {
            ValueKind::String | ValueKind::Number => Some(value.to_string()),
            _ => None,
        };
        match found.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                Ok(found.try_iter()?.filter_map(|v| is_key(&v)).collect())
            }
            _ => Ok(is_key(&found).into_iter().collect()),
        }
    }

    /// The value of an expression.
    ///
    /// # Errors
    /// Whatever the expression runs into; an absent value is an error that names the expression.
    pub fn eval(&self, expr: &Expr, context: &Value) -> Result<Value, Error> {
        defined(self.value(&expr.0, context)?, &expr.0)
    }

    /// Whether a condition holds. One that needs a value which is absent does not, as in SQL.
    ///
    /// # Errors
    /// Whatever else the expression runs into.
    pub fn test(&self, expr: &Expr, context: &Value) -> Result<bool, Error> {
        holds(self.value(&expr.0, context))
    }

    /// A condition that is to be asked of many elements.
    ///
    /// # Errors
    /// One that does not parse.
    pub fn filter(&self, expr: &Expr) -> Result<Filter<'_>, Error> {
        let compiled = self.values.compile_expression_owned(expr.0.to_string())?;
        Ok(Filter(compiled))
    }

    /// Whether a template says why something failed.
    pub fn mentions_error(&self, template: &Template) -> bool {
        self.texts
            .get_template(&template.0)
            .is_ok_and(|t| t.undeclared_variables(false).contains("error"))
    }

    /// What a filter takes from outside its element, with the values it has now.
    ///
    /// # Errors
    /// Whatever the expressions run into.
    pub fn filter_inputs(&self, filter: &Expr, context: &Value) -> Result<Vec<Value>, Error> {
        let inputs = self.inputs.get(&filter.0);
        inputs
            .into_iter()
            .flatten()
            .map(|expr| self.value(&expr.0, context))
            .collect()
    }

    /// A text.
    ///
    /// # Errors
    /// Whatever the template runs into, and a result beyond [`MAX_TEXT`].
    pub fn text(&self, template: &Template, context: &Value) -> Result<String, Error> {
        self.render(&template.0, context)
    }

    fn render(&self, text: &str, context: &Value) -> Result<String, Error> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let mut out = Bounded(Vec::new());
        self.texts
            .get_template(text)?
            .render_captured_to(context, &mut out)?;
        String::from_utf8(out.0)
            .map_err(|e| Error::new(ErrorKind::BadSerialization, "not a text").with_source(e))
    }

    /// The text of a template file, by its source.
    ///
    /// # Errors
    /// As [`Templates::text`].
    pub fn file(&self, source: &str, context: &Value) -> Result<String, Error> {
        self.render(source, context)
    }

    /// A NATS name.
    ///
    /// # Errors
    /// A placeholder that is not one token (see `check_token`), or whatever the template runs into.
    pub fn token(&self, token: &Token, context: &Value) -> Result<String, Error> {
        if !is_template(&token.0) {
            return Ok(token.0.to_string());
        }
        let name = format!("{}{TOKEN_SUFFIX}", token.0);
        let rendered = self.tokens.get_template(&name)?.render(context)?;
        check_root(&rendered)?;
        Ok(rendered)
    }

    /// As [`Templates::token`], of a part of a name that was not compiled before.
    ///
    /// # Errors
    /// As [`Templates::token`].
    pub fn one_token(&self, text: &str, context: &Value) -> Result<String, Error> {
        self.tokens
            .render_named_str(&format!("part{TOKEN_SUFFIX}"), text, context)
    }

    /// A value with expressions in it, as minijinja's own kind of value.
    ///
    /// # Errors
    /// As [`Templates::eval`]. `omit` anywhere but under a key or in a list is an error.
    pub fn tree(&self, tree: &Tree, context: &Value) -> Result<Value, Error> {
        let value = self.tree_or_omit(tree, context)?;
        if is_omit(&value) {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "`omit` can only stand for a key or an element",
            ));
        }
        Ok(value)
    }

    /// As [`Templates::tree`], and `omit` is allowed.
    ///
    /// # Errors
    /// As [`Templates::eval`].
    pub fn tree_or_omit(&self, tree: &Tree, context: &Value) -> Result<Value, Error> {
        let value = self.compose(tree, context)?;
        if matches!(tree, Tree::List(_) | Tree::Map(_)) {
            // Its parts were checked one by one; together they may be too much.
            bound::check(&value)?;
        }
        Ok(value)
    }

    fn compose(&self, tree: &Tree, context: &Value) -> Result<Value, Error> {
        match tree {
            Tree::Literal(json) => Ok(Value::from(minijinja::value::Serde(json))),
            Tree::Expr(text) => defined(self.value(text, context)?, text),
            Tree::Template(text) => self.render(text, context).map(Value::from),
            Tree::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items.iter() {
                    let value = self.compose(item, context)?;
                    if !is_omit(&value) {
                        list.push(value);
                    }
                }
                Ok(Value::from(list))
            }
            Tree::Map(map) => {
                let mut entries: Vec<(String, Value)> = Vec::with_capacity(map.0.len());
                for (key, item) in map.iter() {
                    let value = self.compose(item, context)?;
                    if !is_omit(&value) {
                        entries.push((key.to_owned(), value));
                    }
                }
                Ok(Value::from_pairs(entries))
            }
        }
    }

    /// A value with expressions in it, as JSON.
    ///
    /// # Errors
    /// As [`Templates::tree`].
    pub fn json(&self, tree: &Tree, context: &Value) -> Result<serde_json::Value, Error> {
        to_json(&self.tree(tree, context)?)
    }
}

fn add_value(
    environment: &mut Environment<'static>,
    name: &str,
    expression: &str,
) -> Result<(), Error> {
    environment.add_template_owned(
        name.to_owned(),
        format!("{{% set {RESULT} = ({expression}) %}}"),
    )
}

fn value_in(environment: &Environment<'_>, name: &str, context: &Value) -> Result<Value, Error> {
    let captured = environment.get_template(name)?.render_captured(context)?;
    let value = captured.state().lookup(RESULT).unwrap_or_default();
    bound::check(&value)?;
    Ok(value)
}

/// A condition or another expression, ready to be asked of many elements.
pub struct Filter<'a>(Expression<'a, 'static>);

impl Filter<'_> {
    /// As [`Templates::test`].
    ///
    /// # Errors
    /// As [`Templates::test`].
    pub fn holds(&self, context: &Value) -> Result<bool, Error> {
        holds(self.0.eval(context))
    }

    /// The value of the expression; undefined where it needs a value that is absent.
    ///
    /// # Errors
    /// Whatever else the expression runs into.
    pub fn value(&self, context: &Value) -> Result<Value, Error> {
        match self.0.eval(context) {
            Err(error) if error.kind() == ErrorKind::UndefinedError => Ok(Value::UNDEFINED),
            value => value,
        }
    }
}

/// A condition that needs a value which is absent does not hold.
fn holds(value: Result<Value, Error>) -> Result<bool, Error> {
    match value {
        Ok(value) => Ok(value.is_true()),
        Err(error) if error.kind() == ErrorKind::UndefinedError => Ok(false),
        Err(error) => Err(error),
    }
}

impl Default for Templates {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes at most [`MAX_TEXT`] bytes: a loop over a long list must not fill the memory.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(std::io::Error::other(format!(
                "the text would be longer than {MAX_TEXT} bytes: ask for less at once"
            )));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A value as JSON; an absent value inside a list or object is null.
///
/// # Errors
/// A value that has no JSON form.
pub fn to_json(value: &Value) -> Result<serde_json::Value, Error> {
    serde_json::to_value(value).map_err(|e| {
        Error::new(ErrorKind::BadSerialization, "the value has no JSON form").with_source(e)
    })
}

/// What a filter takes from outside its element.
fn outside(filter: &str) -> Vec<Expr> {
    expr::paths(filter)
        .into_iter()
        .filter(|path| path.split('.').next() != Some("item"))
        .map(|path| Expr(path.into()))
        .collect()
}

fn defined(value: Value, text: &str) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(
            ErrorKind::UndefinedError,
            format!("`{text}` has no value"),
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use minijinja::context;
    use serde_json::json;

    fn templates(texts: &[(TextKind, &'static str)]) -> Templates {
        let mut templates = Templates::new();
        let texts: Vec<(TextKind, Text)> = texts.iter().map(|(k, t)| (*k, (*t).into())).collect();
        templates.add(&texts.into()).unwrap();
        templates
    }

    #[test]
    fn one_expression_keeps_its_type() {
        let tree = Tree::from(crate::spec::data::Json::from(json!({
            "n": "{{ n + 1 }}", "l": ["{{ l }}", "{{ omit }}", 1], "t": "n={{ n }}",
            "gone": "{{ x | default(omit) }}", "null": null, "b": "{{ n > 1 }}", "m": "{{ m }}"
        })));
        let templates = templates(&[
            (TextKind::Value, "{{ n + 1 }}"),
            (TextKind::Value, "{{ l }}"),
            (TextKind::Value, "{{ omit }}"),
            (TextKind::Text, "n={{ n }}"),
            (TextKind::Value, "{{ x | default(omit) }}"),
            (TextKind::Value, "{{ n > 1 }}"),
            (TextKind::Value, "{{ m }}"),
        ]);
        let context = context!(n => 1, l => vec![true], m => context!(z => 1, a => 2));
        assert_eq!(
            serde_json::to_string(&templates.json(&tree, &context).unwrap()).unwrap(),
            r#"{"n":2,"l":[[true],1],"t":"n=1","null":null,"b":false,"m":{"z":1,"a":2}}"#
        );
    }

    #[test]
    fn absent_values_fail_where_a_value_is_needed() {
        let templates = templates(&[
            (TextKind::Expr, "x"),
            (TextKind::Value, "{{ x }}"),
            (TextKind::Condition, "x == 'a' or x > 3"),
        ]);
        let expr = Expr("x".into());
        assert_eq!(
            templates.eval(&expr, &context!()).unwrap_err().kind(),
            ErrorKind::UndefinedError
        );
        assert!(!templates.test(&expr, &context!()).unwrap());
        let compared = Expr("x == 'a' or x > 3".into());
        assert!(!templates.test(&compared, &context!()).unwrap());
        assert!(templates.test(&compared, &context!(x => "a")).unwrap());
        let filter = templates.filter(&compared).unwrap();
        assert!(!filter.holds(&context!()).unwrap());
        assert!(filter.holds(&context!(x => 4)).unwrap());
        assert!(
            templates
                .tree(&Tree::Expr("{{ x }}".into()), &context!())
                .is_err()
        );
    }

    #[test]
    fn a_placeholder_cannot_reach_the_servers_own_subjects() {
        let token = "{{ a }}.x";
        let templates = templates(&[(TextKind::Token, token)]);
        let render = |a: &str| templates.token(&Token(token.into()), &context!(a));
        assert_eq!(render("b").unwrap(), "b.x");
        for root in ["$SYS", "$JS", "$KV", "_INBOX"] {
            assert!(render(root).is_err(), "{root}");
        }
    }

    #[test]
    fn parts_that_fit_may_be_too_much_together() {
        let templates = templates(&[(TextKind::Value, "{{ x }}")]);
        let parts = json!(["{{ x }}", {"again": "{{ x }}"}]);
        let tree = Tree::from(crate::spec::data::Json::from(parts));
        let half = "x".repeat(MAX_TEXT / 2 + 1);
        assert!(templates.tree_or_omit(&tree, &context!(x => half)).is_err());
        assert!(templates.tree_or_omit(&tree, &context!(x => "x")).is_ok());
    }

    #[test]
    fn texts_are_bounded() {
        let text = "{% for i in range(9999) %}{{ a }}{% endfor %}";
        let templates = templates(&[(TextKind::Text, text)]);
        let long = "x".repeat(10_000);
        assert!(
            templates
                .text(&Template(text.into()), &context!(a => long))
                .is_err()
        );
        assert!(
            templates
                .text(&Template(text.into()), &context!(a => "x"))
                .is_ok()
        );
    }
}
