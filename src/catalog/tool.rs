//! A tool ready to be listed and called: its schemas rendered for this project and compiled.

use std::sync::Arc;

use jsonschema::Validator;
use minijinja::value::Value as Jinja;
use serde_json::{Map, Value};

use super::face::Face;
use super::templates::{Templates, to_json};
use crate::spec::check::close;
use crate::spec::data::{self, Text};
use crate::spec::defaults::fill_in;
use crate::spec::diag::{Code, Diagnostic, Label, Report};
use crate::spec::env::is_omit;
use crate::spec::model::{self, PackFile};
use crate::spec::schema;
use crate::spec::suggest;
use crate::spec::tree::{Template, Tree};

/// A tool of the catalog.
#[derive(Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Index of its pack in the catalog.
    pub pack: usize,
    /// Where it is declared.
    pub origin: String,
    /// The name people read.
    pub title: Option<String>,
    /// What a model reads to decide when to use it.
    pub description: String,
    /// What clients are told beside that.
    pub face: Face,
    /// Under which names the tools of its pack are served: `tools.*`.
    pub tools: Jinja,
    /// Names that its steps and its reply see beside the others, with their values.
    pub given: Vec<(Text, Jinja)>,
    /// Where what it is made of came from, if it comes and goes.
    pub source: Option<Text>,
    /// Where a config names what it is made of, if one does.
    pub named: Option<Label>,
    /// The spec.
    pub spec: model::Tool,
    /// The input schema as clients see it.
    pub input: Arc<Map<String, Value>>,
    /// The output schema as clients see it.
    pub output: Option<Arc<Map<String, Value>>>,
    input_validator: Validator,
    output_validator: Option<Validator>,
}

impl Tool {
    /// Renders the texts of a tool, and renders and compiles its schemas. `files` are those of its pack.
    ///
    /// # Errors
    /// A report naming the tool whose schema or text is not valid for this project.
    pub fn build(
        name: &str,
        pack: usize,
        origin: &str,
        spec: &model::Tool,
        (templates, files): (&Templates, &data::Map<PackFile>),
        context: &Jinja,
    ) -> Result<Self, Report> {
        let refuse = |code: Code, what: &str, why: String| {
            let mut report = Report::new();
            report.push(Diagnostic::global(
                code,
                format!("the {what} of the tool `{name}` ({origin}) cannot be used: {why}"),
            ));
            report
        };
        let fail =
            |what: &str, why: String| refuse(Code::BadSchema, &format!("{what} schema"), why);
        let text = |what: &str, template: &Template| {
            templates
                .text(template, context)
                .map_err(|e| refuse(Code::Template, what, e.to_string()))
        };
        let told = |what: &str, tree: &Tree| -> Result<Option<Value>, Report> {
            let value = templates.tree_or_omit(tree, context);
            let value = value.map_err(|e| fail(what, e.to_string()))?;
            if is_omit(&value) {
                return Ok(None);
            }
            let value = to_json(&value).map_err(|e| fail(what, e.to_string()))?;
            match value.get("type").and_then(Value::as_str) {
                Some("object") => Ok(Some(value)),
                _ => Err(fail(what, "it is not of `type: object`".to_owned())),
            }
        };
        let input = match &spec.input {
            Some(tree) => told("input", tree)?,
            None => None,
        };
        let mut input = input.unwrap_or_else(|| serde_json::json!({"type": "object"}));
        if spec.closed != Some(false) {
            close(&mut input);
        }
        let output = match &spec.output {
            Some(tree) => told("output", tree)?,
            None => None,
        };
        let compile = |what: &str, value: &Value| {
            schema::compile(value).map_err(|error| fail(what, words(value, &error)))
        };
        let input_validator = compile("input", &input)?;
        let output_validator = output
            .as_ref()
            .map(|value| compile("output", value))
            .transpose()?;
        Ok(Self {
            name: name.to_owned(),
            pack,
            origin: origin.to_owned(),
            named: None,
            title: spec.title.as_ref().map(|t| text("title", t)).transpose()?,
            description: text("description", &spec.description)?,
            face: Face::build(&spec.face(), files, templates, context)
                .map_err(|e| refuse(Code::Template, "face (`meta`, `icons`)", e.to_string()))?,
            tools: context.get_attr("tools").unwrap_or_default(),
            given: Vec::new(),
            source: None,
            spec: spec.clone(),
            input: Arc::new(object(input)),
            output: output.map(|value| Arc::new(object(value))),
            input_validator,
            output_validator,
        })
    }

    /// Fills defaults in and checks the arguments.
    ///
    /// # Errors
    /// Every violation, in words: which argument, what was expected, what came.
    pub fn arguments(&self, given: Option<Map<String, Value>>) -> Result<Value, Vec<String>> {
        let mut arguments = given.unwrap_or_default();
        if self.spec.coerce == Some(true) {
            coerce(&mut arguments, &self.input);
        }
        fill_in(&mut arguments, &self.input);
        let arguments = Value::Object(arguments);
        if self.input_validator.is_valid(&arguments) {
            return Ok(arguments);
        }
        // Only words about violations need the schema as a value: copying it costs more than the check.
        let schema = Value::Object((*self.input).clone());
        Err(violations(&self.input_validator, &arguments, &schema))
    }

    /// Checks a structured result.
    ///
    /// # Errors
    /// Every violation, in words.
    pub fn check_output(&self, result: &Value) -> Result<(), Vec<String>> {
        match (&self.output_validator, &self.output) {
            (Some(validator), Some(schema)) if !validator.is_valid(result) => {
                let schema = Value::Object((**schema).clone());
                Err(violations(validator, result, &schema))
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with a schema that does not compile, and where in it.
fn words(schema: &Value, error: &jsonschema::ValidationError<'_>) -> String {
    match schema::problems(schema).into_iter().next() {
        Some((pointer, what)) if !pointer.is_empty() => format!("`{}`: {what}", dotted(&pointer)),
        Some((_, what)) => what,
        None => error.to_string(),
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The most violations that one answer lists.
const MAX_VIOLATIONS: usize = 20;

pub(super) fn violations(validator: &Validator, value: &Value, schema: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for error in validator.iter_errors(value).take(MAX_VIOLATIONS) {
        let path = dotted(error.instance_path().as_str());
        for violation in schema::explain(&error, schema)
            .into_iter()
            .take(MAX_VIOLATIONS)
        {
            let what = match &violation.key {
                Some(key) => {
                    let known = schema.get("properties").and_then(Value::as_object);
                    let names = known.into_iter().flat_map(|p| p.keys().map(String::as_str));
                    let names: Vec<&str> = names.collect();
                    let help = suggest::nearest(key, names.iter().copied());
                    let hint = match help {
                        Some(name) => format!(" (did you mean `{name}`?)"),
                        None if names.is_empty() => " (nothing is taken here)".to_owned(),
                        None => format!(" (there are {})", names.join(", ")),
                    };
                    {
                        let shown: String = key.chars().take(100).collect();
                        format!("there is no `{shown}`{hint}")
                    }
                }
                None => {
                    let hint = violation
                        .help
                        .map(|help| format!(" ({help})"))
                        .unwrap_or_default();
                    if path.is_empty() {
                        format!("{}{hint}", violation.message)
                    } else {
                        format!("`{path}`: {}{hint}", violation.message)
                    }
                }
            };
            lines.push(what);
        }
    }
    lines.sort();
    lines.dedup();
    if lines.len() > MAX_VIOLATIONS {
        lines.truncate(MAX_VIOLATIONS);
        lines.push("and more".to_owned());
    }
    lines
}

/// `/filter/0/kind` as people write it: `filter[0].kind`.
fn dotted(pointer: &str) -> String {
    let mut out = String::new();
    for token in pointer.split('/').skip(1) {
        if token.chars().all(|c| c.is_ascii_digit()) && !token.is_empty() {
            out.push_str(&format!("[{token}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&token.replace("~1", "/").replace("~0", "~"));
        }
    }
    out
}

/// Reads texts as the numbers and truth values that the schema wants, where they are written as such.
fn coerce(object: &mut Map<String, Value>, schema: &Map<String, Value>) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, given) in object.iter_mut() {
        let wanted = properties.and_then(|p| p.get(name)?.get("type"));
        let Some(text) = given.as_str() else { continue };
        let read = match wanted.and_then(Value::as_str) {
            Some("integer") => text.parse::<i64>().ok().map(Value::from),
            Some("number") => serde_json::from_str(text).ok().filter(Value::is_number),
            Some("boolean") => text.parse::<bool>().ok().map(Value::from),
            _ => None,
        };
        if let Some(read) = read {
            *given = read;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::data::Json;
    use serde_json::json;

    fn tool(input: Value) -> Tool {
        let mut spec: model::Tool = serde_json::from_value(json!({
            "description": "x", "reply": {"text": "x"}
        }))
        .unwrap();
        spec.input = Some(Tree::from(Json::from(input)));
        Tool::build(
            "t",
            0,
            "t.yaml:1:1",
            &spec,
            (&Templates::new(), &data::Map::default()),
            &Jinja::UNDEFINED,
        )
        .unwrap()
    }

    #[test]
    fn texts_are_taken_for_numbers_only_where_a_tool_says_so() {
        let mut tool = tool(json!({"type": "object", "properties": {
            "n": {"type": "integer"}, "b": {"type": "boolean"}, "s": {"type": "string"}}}));
        let given = json!({"n": "5", "b": "true", "s": "5"});
        assert!(tool.arguments(given.as_object().cloned()).is_err());
        tool.spec.coerce = Some(true);
        assert_eq!(
            tool.arguments(given.as_object().cloned()).unwrap(),
            json!({"n": 5, "b": true, "s": "5"})
        );
        assert!(
            tool.arguments(json!({"n": "5x"}).as_object().cloned())
                .is_err()
        );
    }

    #[test]
    fn arguments_are_completed_and_every_violation_is_told() {
        let tool = tool(json!({
            "type": "object", "required": ["channel"],
            "properties": {
                "channel": {"type": "string"}, "limit": {"type": "integer", "default": 50},
                "filter": {"type": "object", "properties": {"kinds": {"type": "array", "items": {"enum": ["a"]}}}}
            }
        }));
        let given = |v: Value| v.as_object().cloned();
        assert_eq!(
            tool.arguments(given(json!({"channel": "x"}))).unwrap(),
            json!({"channel": "x", "limit": 50})
        );
        let wrong = given(json!({"chanel": 1, "limit": "5", "filter": {"kinds": ["b"]}}));
        assert_eq!(
            tool.arguments(wrong).unwrap_err(),
            [
                "`channel` is missing",
                "`filter.kinds[0]`: the string \"b\" is not one of: a (did you mean `a`?)",
                "`limit`: expected a whole number, got the string \"5\"",
                "there is no `chanel` (did you mean `channel`?)",
            ]
        );
        assert!(tool.arguments(None).is_err());
    }
}
