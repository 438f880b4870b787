//! Expressions in a config: the environment fills them in.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Lookup;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::Doc;
use crate::spec::env;
use crate::spec::expr::{self, Form};
use crate::spec::shape::{Scope, Shape};
use crate::spec::tree::{is_template, sole_expression};

/// Puts the values of `{{ env.NAME }}` in.
pub(super) fn expand(doc: &mut Doc, lookup: Option<Lookup<'_>>, report: &mut Report) {
    let places = doc.clone();
    let scope = Scope::new().with("env", Shape::Any);
    let mut omitted = Vec::new();
    doc.map_strings(&mut |pointer, text| {
        if !is_template(text) {
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
            Ok(Some(value)) => Some(value),
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

/// Takes the keys out whose values are expressions.
pub fn without_templates(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, item| !item.as_str().is_some_and(is_template));
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

/// The variables that a text names: `env.X`.
pub(in crate::spec) fn variables(text: &str) -> Vec<String> {
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
