//! Files of other programs that stand for a config: which they are, what is wrong with them, and the config that a pack makes
//! of one.

mod strip;
#[cfg(test)]
mod tests;

use minijinja::context;
use minijinja::value::{Serde, Value as Jinja};
use serde_json::{Map, Value};

use super::config::set::Setting;
use super::config::{Around, Config, config_schema, finish, given, value_of, variables};
use super::data::Json;
use super::defaults::fill_defaults;
use super::diag::{Code, Diagnostic, Report};
use super::doc::{Doc, join};
use super::env;
use super::model::{ForeignForm, Pack, SECTIONS};
use super::schema::{self, Violation};
use super::source::Source;
use super::suggest;
use super::tree::Tree;

/// A kind of foreign file, with the pack that serves it.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The pack.
    pub pack: &'a Pack,
    /// The name of the form.
    pub name: &'a str,
    /// What the pack says of it.
    pub form: &'a ForeignForm,
}

/// The forms that packs know, in their order.
pub fn forms<'a>(packs: impl IntoIterator<Item = &'a Pack>) -> Vec<Form<'a>> {
    let of = |pack: &'a Pack| {
        let forms = pack.foreign.iter();
        forms.map(move |(name, form)| Form { pack, name, form })
    };
    packs.into_iter().flat_map(of).collect()
}

/// The first form that a file without `packs` fits. A spec of a pack may look like another program's file, and is none.
pub fn fitting<'a>(value: &Value, forms: &[Form<'a>]) -> Option<Form<'a>> {
    let mut forms = forms.iter().copied();
    forms.find(|form| form.fits(value) && !form.is_rather_spec(value))
}

/// Whether a file has a section of a spec.
pub fn is_spec(value: &Value) -> bool {
    SECTIONS.iter().any(|key| value.get(key).is_some())
}

impl Form<'_> {
    fn schema(&self) -> Value {
        let settings = self.pack.settings.as_ref();
        settings.map_or_else(|| serde_json::json!({"type": "object"}), Json::to_value)
    }

    fn fits(&self, value: &Value) -> bool {
        let doc = Jinja::from(Serde(value));
        let engine = env::environment();
        // Where a value that it needs is absent, a condition does not hold.
        let asked = engine
            .compile_expression(&self.form.when.0)
            .and_then(|when| when.eval(context!(doc => doc)));
        asked.is_ok_and(|answer| answer.is_true())
    }

    /// Whether a file has all that such a file needs.
    pub fn is_complete(&self, value: &Value) -> bool {
        let schema = self.schema();
        let required = schema.get("required").and_then(Value::as_array);
        let mut names = required.into_iter().flatten().filter_map(Value::as_str);
        names.all(|name| value.get(name).is_some())
    }

    /// Whether a file that fits is a spec in truth: it has a section that such a file does not have, or tools as specs declare them.
    fn is_rather_spec(&self, value: &Value) -> bool {
        let schema = self.schema();
        let needs = schema.get("required").and_then(Value::as_array);
        if needs.is_some_and(|names| !names.is_empty()) && self.is_complete(value) {
            return false;
        }
        let known = schema.get("properties");
        let own = |key: &&&str| known.and_then(|known| known.get(**key)).is_none();
        let mut sections = SECTIONS.iter().filter(own);
        let tools = value.get("tools").and_then(Value::as_object);
        let mut tools = tools.into_iter().flat_map(Map::values);
        let has = |tool: &Value, key: &str| tool.get(key).is_some();
        let parts = ["input", "output", "steps", "annotations"];
        let declared = |tool: &Value| {
            has(tool, "reply")
                || (has(tool, "description") && parts.iter().any(|key| has(tool, key)))
        };
        sections.any(|key| value.get(key).is_some()) || tools.any(declared)
    }
}

/// The config that a file of this form stands for. Keys that nobody knows are warnings, and everything that does not fit is
/// told at its place.
pub(super) fn read(doc: Doc, form: Form<'_>, around: &Around<'_>) -> (Option<Config>, Report) {
    let schema = form.schema();
    let own = |setting: &&Setting| setting.pack == form.pack.name;
    let mut reading = Reading {
        sets: around.set.iter().filter(own).collect(),
        doc: &doc,
        report: Report::new(),
    };
    let Some((given, mut document)) = reading.document(&schema) else {
        return (None, reading.report);
    };
    let config = reading.rest(form, (&given, &document), around);
    let report = reading.report;
    if report.has_errors() {
        return (None, report);
    }
    let mut config = config;
    if let Some(more) = config.shift_remove("settings") {
        merge(&mut document, more);
    }
    config.insert("packs".into(), Value::from(vec![form.pack.name.as_ref()]));
    let settings = Map::from_iter([(form.pack.name.to_string(), document)]);
    config.insert("settings".into(), Value::Object(settings));
    let (config, report) = checked(Value::Object(config), doc, form, around, report);
    let paths = form.form.paths.unwrap_or_default();
    (config.map(|config| Config { paths, ..config }), report)
}

/// The config, if it is one. What is wrong with it comes of what the pack makes of the file.
fn checked(
    config: Value,
    doc: Doc,
    form: Form<'_>,
    around: &Around<'_>,
    mut report: Report,
) -> (Option<Config>, Report) {
    let language = config_schema();
    match schema::compile(&language) {
        Ok(validator) => {
            for error in validator.iter_errors(&config) {
                let at = error.instance_path().as_str();
                for violation in schema::explain(&error, &language) {
                    report.push(made(&doc, form, at, &violation.message));
                }
            }
        }
        Err(error) => report.push(Diagnostic::global(Code::BadSchema, error.to_string())),
    }
    if report.has_errors() {
        return (None, report);
    }
    finish(config, doc, around, report)
}

/// Something wrong with what a form makes of a file: it has no place of its own there.
fn made(doc: &Doc, form: Form<'_>, at: &str, problem: &str) -> Diagnostic {
    let key = at.trim_start_matches('/').replace('/', ".");
    let pack = &form.pack.name;
    let message =
        format!("`{key}` of the config that the pack `{pack}` makes of this file: {problem}");
    Diagnostic::error(Code::Schema, &doc.source, doc.key_range(""), message)
}

/// A foreign file on its way.
struct Reading<'a> {
    doc: &'a Doc,
    /// What the command line sets in it.
    sets: Vec<&'a Setting>,
    report: Report,
}

impl Reading<'_> {
    /// The file's values with what the command line sets, checked: as they are given, and with defaults.
    fn document(&mut self, schema: &Value) -> Option<(Value, Value)> {
        let mut value = self.doc.value.clone();
        if let Some(map) = value.as_object_mut() {
            self.sets.iter().for_each(|setting| setting.put(map));
        }
        for unknown in strip::unknown_keys(&mut value, schema) {
            // What somebody types now is meant; a file may be made for a newer version.
            let typed = self.set_at(&unknown.whole()).is_some();
            let name: String = unknown.key.chars().take(100).collect();
            let known = unknown.known.iter().map(String::as_str);
            let help = suggest::help(&unknown.key, known);
            let violation = Violation {
                code: Code::UnknownKey,
                key: Some(unknown.key),
                // The file is not ours to change.
                meant: None,
                on_parent: false,
                message: format!("unknown key `{name}`: it is left out"),
                help: Some(help),
            };
            let told = self.told(&unknown.at, &violation);
            self.report.push(if typed { told } else { told.warning() });
        }
        match schema::compile(schema) {
            Ok(validator) => {
                for error in validator.iter_errors(&value) {
                    for violation in schema::explain(&error, schema) {
                        let told = self.told(error.instance_path().as_str(), &violation);
                        self.report.push(told);
                    }
                }
            }
            Err(error) => {
                let problem = Diagnostic::global(Code::BadSchema, error.to_string());
                self.report.push(problem);
            }
        }
        if self.report.has_errors() {
            return None;
        }
        let given = value.clone();
        fill_defaults(&mut value, schema);
        Some((given, value))
    }

    /// The setting of the command line that gives the value at a place.
    fn set_at(&self, pointer: &str) -> Option<&Setting> {
        let covers = |setting: &&&Setting| {
            let rest = pointer.strip_prefix(&setting.pointer());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.sets.iter().rev().find(covers).copied()
    }

    /// A violation at its place: in the file, or on the command line.
    fn told(&self, pointer: &str, violation: &Violation) -> Diagnostic {
        let whole = match &violation.key {
            Some(key) => join(pointer, key),
            None => pointer.to_owned(),
        };
        let (source, range) = match self.set_at(&whole) {
            Some(setting) => (
                &Source::new("--set", setting.text.as_str()),
                0..setting.text.len(),
            ),
            None => (&self.doc.source, violation.range(self.doc, pointer)),
        };
        let message = violation.message.as_str();
        let mut diagnostic = Diagnostic::error(violation.code, source, range, message);
        diagnostic.help.clone_from(&violation.help);
        diagnostic
    }

    /// What the form makes of the file: the keys of the config.
    fn rest(
        &mut self,
        form: Form<'_>,
        (given, document): (&Value, &Value),
        around: &Around<'_>,
    ) -> Map<String, Value> {
        let made_of = Making {
            context: context!(
                doc => Jinja::from(Serde(document)),
                given => Jinja::from(Serde(given)),
                program => around.program,
                config_folder => around.folder,
            ),
            around,
        };
        let mut config = Map::new();
        for (key, tree) in form.form.config.iter() {
            match made_of.value(tree, &join("", key)) {
                Ok(Some(value)) => {
                    config.insert(key.to_owned(), value);
                }
                Ok(None) => {}
                Err((at, problem)) => self.report.push(made(self.doc, form, &at, &problem)),
            }
        }
        config
    }
}

/// Works the texts of a form out.
struct Making<'a> {
    context: Jinja,
    around: &'a Around<'a>,
}

impl Making<'_> {
    /// The value of a tree; `None` for `omit`. An error comes with the place in the config.
    fn value(&self, tree: &Tree, at: &str) -> Result<Option<Value>, (String, String)> {
        match tree {
            Tree::Literal(json) => Ok(Some(json.to_value())),
            Tree::Expr(text) | Tree::Template(text) => self
                .text(text)
                .map_err(|error| (at.to_owned(), error.to_string())),
            Tree::List(items) => {
                let mut list = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    list.extend(self.value(item, &join(at, &index.to_string()))?);
                }
                Ok(Some(Value::Array(list)))
            }
            Tree::Map(map) => {
                let mut object = Map::new();
                for (key, item) in map.iter() {
                    if let Some(value) = self.value(item, &join(at, key))? {
                        object.insert(key.to_owned(), value);
                    }
                }
                Ok(Some(Value::Object(object)))
            }
        }
    }

    fn text(&self, text: &str) -> Result<Option<Value>, minijinja::Error> {
        let none = |_: &str| None;
        let variables = variables(text);
        let env = given(text, self.around.lookup.unwrap_or(&none));
        let context = context!(env => Jinja::from(Serde(&env)), ..self.context.clone());
        match value_of(text, &context) {
            // Where a file is only checked, the environment need not be there.
            Err(_) if self.around.lookup.is_none() && !variables.is_empty() => Ok(None),
            value => value,
        }
    }
}

/// Puts values over others; what is a mapping in both keeps the fields that only the one below has.
fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}
