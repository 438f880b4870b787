//! Client rules over what is served: names, texts and schemas as clients get them. Warnings, as in [`crate::spec::lint`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::packs::{Place, shown};
use super::{Catalog, Tool};
use crate::spec::config::Config;
use crate::spec::diag::{Code, Diagnostic, Label, Report};
use crate::spec::files::read_folder;
use crate::spec::lint::{self, Finding, allowed};
use crate::spec::tree::{Tree, parse_seconds, parse_span};

/// The name that clients give the server where a config has none: that of `jacquard install`.
const SERVER: &str = "jacquard";

/// What clients will stumble over in the files of a pack's folder, beside what loading it has found (`loaded`), without
/// what the files allow.
pub fn folder(folder: &Path, loaded: Report) -> Report {
    match read_folder(folder, &shown(folder)) {
        Ok(files) => lint::pack(&files, loaded),
        // Loading has said so.
        Err(_) => loaded,
    }
}

/// The folders of packs that a config names.
fn folders(config: &Config, base: &Path) -> Vec<PathBuf> {
    let places = config.packs.iter().map(|name| Place::of(name, base));
    let folders = places.filter_map(|place| match place {
        Place::Folder(folder) => Some(folder),
        Place::Builtin(_) => None,
    });
    folders.collect()
}

/// What clients will stumble over in what a config serves, beside what
/// building the catalog has found (`built`), and in these files, without what they and the config allow.
pub fn config(catalog: &Catalog, config: &Config, built: Report) -> Report {
    let mut report = built;
    let server = config.name.as_deref().unwrap_or(SERVER);
    let tools = catalog.tools();
    let mut takes = 0;
    let mut long = Vec::new();
    for tool in tools.iter() {
        let (listed, found) = look(catalog, tool);
        takes += lint::tokens(&listed);
        for finding in found {
            let subject = format!("the tool `{}` ({})", tool.name, tool.origin);
            report.push(told(finding, &subject, place(catalog, config, tool)));
        }
        if lint::name_length(server, &tool.name) > lint::LONGEST_NAME {
            long.push(tool.name.as_str());
        }
    }
    if let Some(finding) = lint::name_budget(server, &long) {
        let pointer = if config.name.is_some() {
            "/name"
        } else {
            "/packs"
        };
        report.push(told(
            finding,
            "with the name of the server,",
            at(config, pointer),
        ));
    }
    if let Some(finding) = lint::catalog(takes, tools.len()) {
        report.push(told(
            finding,
            "the tools of this config",
            at(config, "/packs"),
        ));
    }
    if let Some(found) = instructions(catalog, config) {
        report.push(found);
    }
    for folder in folders(config, &catalog.base) {
        report = self::folder(&folder, report);
    }
    match &config.doc {
        Some(doc) => allowed(&config.lint.allow, doc, report, |_| true),
        None => report,
    }
}

/// A tool as clients get it, and what is found about it that its spec alone does not tell.
fn look(catalog: &Catalog, tool: &Tool) -> (Value, Vec<Finding>) {
    let shown = json!({
        "name": tool.name, "title": tool.title, "description": tool.description,
        "input": *tool.input, "output": tool.output,
    });
    let pack = &catalog.packs[tool.pack].pack;
    let context = catalog.base_context(tool.pack);
    let spans = |tree: &Tree| {
        let value = catalog.templates.tree(tree, &context).ok()?;
        match value.as_str() {
            Some(text) => parse_span(text),
            None => parse_seconds(f64::try_from(value).ok()?),
        }
    };
    let mut found = lint::listed(&shown);
    found.extend(lint::waits(&tool.spec, &pack.macros, &spans));
    if tool.given.is_empty() {
        let spec = serde_json::to_value(&tool.spec).unwrap_or_default();
        let known: BTreeSet<Code> = lint::tool(&spec, &pack.macros)
            .iter()
            .map(|f| f.code)
            .collect();
        found.retain(|finding| !known.contains(&finding.code));
    } else {
        // Its name was not known before.
        found.extend(lint::name(&tool.name));
    }
    (shown, found)
}

/// Instructions that only together, or with their values, are too long.
fn instructions(catalog: &Catalog, config: &Config) -> Option<Diagnostic> {
    let finding = lint::instructions(catalog.instructions.as_deref()?)?;
    let own = config.instructions.is_some();
    let alone = catalog.packs.iter().any(|loaded| {
        let text = loaded.pack.instructions.as_ref();
        text.is_some_and(|text| lint::instructions(&text.0).is_some())
    });
    if alone && !own {
        return None;
    }
    let (subject, pointer) = match own {
        true => ("the text of `instructions`", "/instructions"),
        false => (
            "the text that the `instructions` of the packs make together",
            "/packs",
        ),
    };
    Some(told(finding, subject, at(config, pointer)))
}

/// Where a config names what a tool is made of: it, or its pack.
fn place(catalog: &Catalog, config: &Config, tool: &Tool) -> Option<Label> {
    if tool.named.is_some() {
        return tool.named.clone();
    }
    let named = catalog.packs.iter().filter(|loaded| loaded.named);
    let mut owners = named.enumerate().filter(|(_, loaded)| {
        let pack = &loaded.pack;
        pack.name == catalog.packs[tool.pack].pack.name || pack.origins.get(&tool.name).is_some()
    });
    let index = owners.next().map(|(index, _)| index);
    at(
        config,
        &index.map_or("/packs".to_owned(), |index| format!("/packs/{index}")),
    )
}

fn at(config: &Config, pointer: &str) -> Option<Label> {
    let doc = config.doc.as_ref()?;
    let range = match pointer.rsplit_once('/') {
        Some(("/packs", _)) | Some(("", "instructions" | "name")) => doc.value_range(pointer),
        _ => doc.key_range(pointer),
    };
    Some(Label::new(&doc.source, range))
}

fn told(finding: Finding, subject: &str, label: Option<Label>) -> Diagnostic {
    let text = format!("{subject} {}", finding.message);
    let told = Diagnostic::global(finding.code, text)
        .help(finding.help)
        .warning();
    Diagnostic { label, ..told }
}
