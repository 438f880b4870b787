//! Expressions in a config: the environment fills them in.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::substitute::{Filled, is_substituted};
use super::{Around, Lookup};
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::Doc;
use crate::spec::env;
use crate::spec::expr::{self, Form};
use crate::spec::shape::{Scope, Shape};
use crate::spec::tree::{is_template, sole_expression};

/// Puts the values of `{{ env.NAME }}` in. What came is noted in `filled`.
pub(super) fn expand(
    doc: &mut Doc,
    lookup: Option<Lookup<'_>>,
    filled: &mut Vec<Filled>,
    report: &mut Report,
) {
    let places = doc.clone();
    let scope = Scope::new().with("env", Shape::Any);
    let mut omitted = Vec::new();
    doc.map_strings(&mut |pointer, text| {
        let is_put_in = |filled: &Filled| filled.pointer == pointer;
        if !is_template(text) || filled.iter().any(is_put_in) {
            return None;
        }
        let (problems, _) = expr::check(text, Form::Template, &scope);
        for problem in &problems {
            let range = places.inner_range(pointer, text, problem.range.clone());
            report.push(
                Diagnostic::error(problem.code, &places.source, range, problem.message.clone())
                    .help(problem.help.clone()),
            );
        }
        if !problems.is_empty() {
            return None;
        }
        let lookup = lookup?;
        match evaluate(text, lookup) {
            Ok(Some(value)) => {
                filled.extend(value.as_str().map(|came| Filled {
                    pointer: pointer.to_owned(),
                    written: text.to_owned(),
                    value: came.to_owned(),
                    files: Vec::new(),
                }));
                Some(value)
            }
            Ok(None) => {
                omitted.push(pointer.to_owned());
                None
            }
            Err(missing) => {
                report.push(
                    Diagnostic::error(
                        Code::Environment,
                        &places.source,
                        places.value_range(pointer),
                        missing,
                    )
                    .help("set it, or give another value: `{{ env.NAME | default('…') }}`"),
                );
                None
            }
        }
    });
    for pointer in omitted {
        remove(&mut doc.value, &pointer);
    }
}

/// Takes the key out whose value is `omit`. An element of a list becomes null, and is refused for that.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        return;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(_)) => {
            if let Some(element) = value.pointer_mut(pointer) {
                *element = Value::Null;
            }
        }
        _ => {}
    }
}

/// Takes the keys out whose values are expressions, or stand in the environment.
pub fn without_templates(value: &mut Value) {
    let unknown = |text: &str| is_template(text) || is_substituted(text);
    match value {
        Value::Object(map) => {
            map.retain(|_, item| !item.as_str().is_some_and(unknown));
            map.values_mut().for_each(without_templates);
        }
        Value::Array(items) => items.iter_mut().for_each(without_templates),
        _ => {}
    }
}

/// The value of a text; `None` for `omit`.
fn evaluate(text: &str, lookup: Lookup<'_>) -> Result<Option<Value>, String> {
    let variables = given(text, lookup);
    let names = self::variables(text);
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !variables.contains_key(*name))
        .collect();
    let context =
        minijinja::context!(env => minijinja::Value::from(minijinja::value::Serde(&variables)));
    value_of(text, &context).map_err(|error| match missing.as_slice() {
        [] => format!("the value cannot be made: {error}"),
        [name] => format!("the environment variable `{name}` is not set"),
        names => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            format!(
                "the environment variables `{}` are not set",
                names.join("`, `")
            )
        }
    })
}

/// The value of a text with these names in force; `None` for `omit`.
pub(in crate::spec) fn value_of(
    text: &str,
    context: &minijinja::Value,
) -> Result<Option<Value>, minijinja::Error> {
    let engine = env::environment();
    let Some(inner) = sole_expression(text) else {
        let text = engine.render_str(text, context)?;
        return Ok(Some(Value::String(text)));
    };
    let value = engine.compile_expression(inner)?.eval(context)?;
    if value.is_undefined() {
        return Err(minijinja::Error::from(minijinja::ErrorKind::UndefinedError));
    }
    if env::is_omit(&value) {
        return Ok(None);
    }
    serde_json::to_value(&value)
        .map(Some)
        .map_err(|e| minijinja::Error::new(minijinja::ErrorKind::BadSerialization, e.to_string()))
}

/// The environment variables that a text names, as far as they are set.
pub(in crate::spec) fn given(text: &str, lookup: Lookup<'_>) -> BTreeMap<String, String> {
    let names = variables(text).into_iter();
    names
        .filter_map(|name| {
            let value = lookup(&name)?;
            Some((name, value))
        })
        .collect()
}

/// The environment variables that packs may read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The values of these variables. One that is not set is told.
    pub(super) fn read(
        names: &[String],
        doc: &Doc,
        around: &Around<'_>,
        report: &mut Report,
    ) -> Self {
        let mut values = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            let value = match around.lookup {
                Some(lookup) => lookup(name),
                None => Some(name.clone()),
            };
            if value.is_none() {
                let range = doc.value_range(&format!("/env/{index}"));
                let message = format!("the environment variable `{name}` is not set");
                let unset = Diagnostic::error(Code::Environment, &doc.source, range, message);
                report.push(unset.help(
                    "set it, or take it off the list; for a variable that may be absent, declare a setting of the pack and give it `${NAME:-default}` here",
                ));
            }
            values.extend(value.map(|value| (name.clone(), value)));
        }
        Self(values)
    }

    /// Whether packs may read this one.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What expressions call `env`.
    pub fn to_value(&self) -> minijinja::Value {
        minijinja::Value::from(minijinja::value::Serde(&self.0))
    }
}

/// Without the values: some are credentials.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The variables that a text names: `env.X`. It may find names in what is only a text of an expression.
pub fn variables(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("env.") {
        let boundary = rest[..at]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.');
        rest = &rest[at + 4..];
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if boundary && !name.is_empty() && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}
