//! One generator at work: from an entry to its tool.

use std::path::Path;
use std::sync::Arc;

use minijinja::context;
use minijinja::value::{Serde, Value as Jinja};
use serde_json::Value;

use super::library::{Book, Library, texts};
use super::{Names, values};
use crate::catalog::templates::to_json;
use crate::catalog::{Catalog, Tool};
use crate::spec::check::{TOOL_NAME, is_tool_name};
use crate::spec::config::Config;
use crate::spec::diag::{Code, Diagnostic, Label, Report};
use crate::spec::doc::{Doc, join};
use crate::spec::env::is_omit;
use crate::spec::model::Generator;
use crate::spec::schema;

/// The most tools that one generator makes.
const MAX_ENTRIES: usize = 1_000;
/// The longest part of an entry that is shown, in characters.
const MAX_SHOWN: usize = 80;

/// A generator, and what it works with.
pub(super) struct Making<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) pack: usize,
    pub(super) name: &'a str,
    pub(super) generator: &'a Generator,
    pub(super) library: &'a Arc<Library>,
    /// The config, whose file may name the documents.
    pub(super) config: Option<&'a Config>,
    /// The names that all of the pack sees.
    pub(super) base: Jinja,
}

/// An entry on its way to a tool.
struct Entry {
    /// Which one it is, in words.
    who: String,
    /// Where the file of the config says it, if it does.
    named: Option<Label>,
    names: Names,
    document: Option<Arc<Doc>>,
}

impl Making<'_> {
    /// The entries, and whether one that cannot be used is skipped.
    pub(super) fn begin(&self, entries: &[Value]) -> Result<(Vec<Jinja>, bool), Report> {
        let templates = &self.catalog.templates;
        let on_error = match &self.generator.on_error {
            None => "fail".to_owned(),
            Some(text) => templates
                .text(text, &self.base)
                .map_err(|e| self.refuse(format!("`on_error`: {e}")))?,
        };
        let skips = match on_error.as_str() {
            "fail" => false,
            "skip" => true,
            other => {
                let text = format!("`on_error` is `{other}`; it is `fail` or `skip`");
                return Err(self.refuse(text));
            }
        };
        let entries = match &self.generator.each {
            None => values(entries),
            Some(each) => {
                let list = templates.eval(each, &self.base);
                let items = list.and_then(|list| Ok(list.try_iter()?.collect()));
                items.map_err(|e| self.refuse(format!("`each`: {e}")))?
            }
        };
        if entries.len() > MAX_ENTRIES {
            let text = format!("its list has more than {MAX_ENTRIES} elements");
            return Err(self.refuse(text));
        }
        Ok((entries, skips))
    }

    /// The tool of an entry, unless `when` says that there is none.
    pub(super) fn tool(&self, index: usize, value: Jinja) -> Result<Option<Tool>, Report> {
        let json = to_json(&value).ok();
        let shown = json
            .as_ref()
            .map_or_else(|| value.to_string(), Value::to_string);
        let shown: String = shown.chars().take(MAX_SHOWN).collect();
        let mut entry = Entry {
            who: format!("entry {} ({shown})", index + 1),
            named: json.and_then(|entry| self.in_config(|said| says(said, &entry))),
            names: Names {
                base: self.base.clone(),
                given: Vec::new(),
            },
            document: None,
        };
        entry.names.bind("entry", value);
        self.read(&mut entry)?;
        let given = entry.names.given.len();
        entry.names.bind("document", self.library.function());
        let name = self.named(&mut entry)?;
        // Reading files is for the making; calls see only what came of it.
        entry.names.given.remove(given);
        match name {
            Some(name) => self.build(&name, entry).map(Some),
            None => Ok(None),
        }
    }

    /// Reads the document of an entry, and says what it and its place are.
    fn read(&self, entry: &mut Entry) -> Result<(), Report> {
        let Some(tree) = &self.generator.document else {
            return Ok(());
        };
        let context = entry.names.context();
        let paths = self.catalog.templates.tree(tree, &context);
        let paths = paths.map_err(|e| self.wrong(entry, "`document`", &e.to_string()))?;
        let Some(paths) = texts(&paths) else {
            let text = "it is no path, and no list of paths";
            return Err(self.wrong(entry, "`document`", text));
        };
        let (path, doc) = self.first(entry, &paths)?;
        entry.document = Some(Arc::clone(&doc));
        let value = self.fitting(&doc)?;
        let folder = Path::new(&path).parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let place = context!(
            file => path.as_str(),
            folder => folder.to_string_lossy(),
            base => self.library.base().to_string_lossy(),
        );
        entry.names.bind("doc", Jinja::from(Serde(&value)));
        entry.names.bind("place", place);
        Ok(())
    }

    /// The first document that exists.
    fn first(&self, entry: &Entry, paths: &[String]) -> Result<(String, Arc<Doc>), Report> {
        for path in paths {
            match self.library.open(path) {
                Book::Missing => {}
                Book::Sound(doc) => return Ok((path.clone(), doc)),
                Book::Broken(report) => {
                    let named = self.in_config(|said| said == path.as_str());
                    return Err(match named {
                        Some(label) => report.or_at(&label),
                        None => report,
                    });
                }
            }
        }
        if paths.is_empty() {
            return Err(self.wrong(entry, "`document`", "it names no file"));
        }
        let text = format!("there is no document {}", paths.join(", "));
        let help = format!(
            "`{}` makes a tool of it ({}); paths are relative to {}",
            self.name,
            entry.who,
            self.library.base().display()
        );
        let named = self.in_config(|said| paths.iter().any(|path| said == path.as_str()));
        let mut diagnostic = Diagnostic::global(Code::Io, text);
        diagnostic.label = named;
        Err(diagnostic.help(help).into())
    }

    /// Where the file of the config has such a value: under the settings of the pack, or where the file as a whole is the
    /// settings of the pack.
    fn in_config(&self, fits: impl Fn(&Value) -> bool) -> Option<Label> {
        let config = self.config?;
        let doc = config.doc.as_deref()?;
        let pack = self.catalog.packs[self.pack].pack.name.as_ref();
        let given = Value::Object(config.settings.get(pack)?.clone());
        let at = find(&given, &fits)?;
        let inside = format!("{}{at}", join("/settings", pack));
        let at = [inside, at].into_iter().find(|at| doc.knows(at))?;
        Some(Label::new(&doc.source, doc.value_range(&at)))
    }

    /// What a document says, with the defaults of its schema, if it fits that.
    fn fitting(&self, doc: &Doc) -> Result<Value, Report> {
        let mut value = doc.value.clone();
        let schemas = &self.catalog.packs[self.pack].schemas;
        let named = self
            .generator
            .schema
            .as_ref()
            .and_then(|name| schemas.get(&**name));
        if let Some(named) = named {
            named.fill_defaults(&mut value);
            let mut report = Report::new();
            let (form, validator) = (&named.schema, &named.validator);
            schema::check_doc(doc, "", &value, form, validator, &mut report);
            if report.has_errors() {
                return Err(report);
            }
        }
        Ok(value)
    }

    /// Works `let` out, and the name of the tool unless there is none.
    fn named(&self, entry: &mut Entry) -> Result<Option<String>, Report> {
        let templates = &self.catalog.templates;
        for (name, tree) in self.generator.r#let.iter() {
            let value = templates.tree(tree, &entry.names.context());
            let value = value.map_err(|e| self.failed(entry, &format!("`{name}`"), &e))?;
            entry.names.bind(name.to_owned(), value);
        }
        let context = entry.names.context();
        if let Some(when) = &self.generator.when {
            let holds = templates.test(when, &context);
            if !holds.map_err(|e| self.failed(entry, "`when`", &e))? {
                return Ok(None);
            }
        }
        let name = templates.text(&self.generator.name, &context);
        let name = name.map_err(|e| self.failed(entry, "`name`", &e))?;
        if is_tool_name(&name) {
            return Ok(Some(name));
        }
        let shown: String = name.chars().take(MAX_SHOWN).collect();
        let text = format!("`{shown}` cannot be the name of a tool: {}", TOOL_NAME);
        // Whoever wrote the name is told: the config, or the document.
        let named = self.in_config(|said| said == name.as_str());
        let document = entry.document.as_ref();
        let said = named.or_else(|| said_in(document?, &Value::String(name), ""));
        Err(self.wrong_at(said.or_else(|| entry.place()), entry, "`name`", &text))
    }

    fn build(&self, name: &str, entry: Entry) -> Result<Tool, Report> {
        let context = entry.names.context();
        let document = entry.document.as_ref();
        let origin = match document {
            Some(doc) => format!("{}, of {}", self.origin(), doc.source.name()),
            None => format!("{}, of {}", self.origin(), entry.who),
        };
        let spec = &self.generator.tool;
        let files = &self.catalog.packs[self.pack].pack.files;
        let known = (&self.catalog.templates, files);
        match Tool::build(name, self.pack, &origin, spec, known, &context) {
            Ok(mut tool) => {
                tool.given = entry.names.given;
                tool.named = entry.named;
                tool.source = self.generator.from.clone();
                Ok(tool)
            }
            Err(report) => {
                let said = document.and_then(|doc| self.badly_said(doc, &context));
                Err(match said.or_else(|| entry.place()) {
                    Some(label) => report.or_at(&label),
                    None => report,
                })
            }
        }
    }

    /// Where a document says a schema that is none.
    fn badly_said(&self, doc: &Doc, context: &Jinja) -> Option<Label> {
        let spec = &self.generator.tool;
        let trees = [&spec.input, &spec.output].into_iter().flatten();
        let rendered = |tree| self.catalog.templates.tree_or_omit(tree, context).ok();
        let mut schemas = trees.filter_map(rendered).filter(|value| !is_omit(value));
        schemas.find_map(|value| {
            let value = to_json(&value).ok()?;
            let (problem, _) = schema::problems(&value).into_iter().next()?;
            said_in(doc, &value, &problem)
        })
    }

    fn origin(&self) -> &str {
        let origins = &self.catalog.packs[self.pack].pack.origins;
        origins
            .get(&join("generate", self.name))
            .map_or("", |o| o.as_ref())
    }

    /// The generator cannot work at all.
    fn refuse(&self, why: String) -> Report {
        let text = format!(
            "the generator `{}` ({}) makes no tools: {why}",
            self.name,
            self.origin()
        );
        Diagnostic::global(Code::Template, text).into()
    }

    /// An expression failed: because of a document that it read, or by itself.
    fn failed(&self, entry: &Entry, what: &str, error: &minijinja::Error) -> Report {
        let trouble = self.library.trouble();
        if trouble.has_errors() {
            return trouble;
        }
        self.wrong(entry, what, &error.to_string())
    }

    /// No tool can be made of an entry.
    fn wrong(&self, entry: &Entry, what: &str, why: &str) -> Report {
        self.wrong_at(entry.place(), entry, what, why)
    }

    fn wrong_at(&self, place: Option<Label>, entry: &Entry, what: &str, why: &str) -> Report {
        let text = format!(
            "the generator `{}` ({}) makes no tool of {}: {what}: {why}",
            self.name,
            self.origin(),
            entry.who
        );
        let mut diagnostic = Diagnostic::global(Code::Template, text);
        diagnostic.label = place;
        diagnostic.into()
    }
}

impl Entry {
    /// Where to look for what is wrong with it: in its document, or else in the config.
    fn place(&self) -> Option<Label> {
        let start = |doc: &Arc<Doc>| Label::new(&doc.source, 0..0);
        self.document.as_ref().map(start).or(self.named.clone())
    }
}

/// Where a value has a part that fits, as a JSON pointer.
fn find(value: &Value, fits: &impl Fn(&Value) -> bool) -> Option<String> {
    if fits(value) {
        return Some(String::new());
    }
    match value {
        Value::Array(items) => {
            let mut found = items.iter().enumerate();
            found.find_map(|(i, item)| Some(format!("/{i}{}", find(item, fits)?)))
        }
        Value::Object(fields) => {
            let mut found = fields.iter();
            found.find_map(|(key, item)| Some(format!("{}{}", join("", key), find(item, fits)?)))
        }
        _ => None,
    }
}

/// Whether an entry is what a config says, or comes of it by `unwind`, which takes one element of a list.
fn says(said: &Value, entry: &Value) -> bool {
    let (Value::Object(said), Value::Object(entry)) = (said, entry) else {
        return said == entry;
    };
    let same = |key: &String, part: &Value| {
        said.get(key).is_some_and(|whole| {
            whole == part || whole.as_array().is_some_and(|list| list.contains(part))
        })
    };
    !entry.is_empty() && entry.iter().all(|(key, part)| same(key, part))
}

/// Where a document says the schema that has a problem at this place, or the part of it that has it.
fn said_in(doc: &Doc, schema: &Value, problem: &str) -> Option<Label> {
    let cuts = problem.match_indices('/').map(|(at, _)| at);
    let mut cuts = cuts.chain([problem.len()]);
    cuts.find_map(|cut| {
        let (above, below) = problem.split_at(cut);
        let part = schema.pointer(above)?;
        let at = find(&doc.value, &|said: &Value| said == part)?;
        let range = doc.value_range(&format!("{at}{below}"));
        Some(Label::new(&doc.source, range))
    })
}
