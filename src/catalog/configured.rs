//! What a config says of packs: which are loaded, their settings, and the variables that they may read.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use minijinja::value::{Serde, Value as Jinja};
use serde_json::{Map, Value, json};

use super::packs::{Found, Packs, Place};
use super::pins::Pins;
use super::{NamedSchema, Pinned, Sources, tool};
use crate::spec::config::{Config, Filled};
use crate::spec::data::{self, Json};
use crate::spec::defaults::fill_defaults;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::join;
use crate::spec::env;
use crate::spec::mask::masked;
use crate::spec::model::{Pack, TextKind};
use crate::spec::schema;
use crate::spec::suggest;

/// The packs of a config with those that they use, and which of them the config names.
pub(super) fn find(
    config: &Config,
    base: &Path,
    sources: &mut Sources,
    report: &mut Report,
) -> (Vec<Found>, Vec<usize>) {
    let mut packs = Packs::default();
    let mut named = Vec::new();
    for (index, name) in config.packs.iter().enumerate() {
        let at = format!("/packs/{index}");
        let (found, problems) = packs.add(Place::of(name, base));
        for problem in problems.sorted() {
            report.push(placed(problem.clone(), config, &at));
        }
        let written = config.packs.iter().take(index).any(|other| other == name);
        if written || found.is_some_and(|found| named.contains(&found)) {
            let text = format!("the pack `{name}` is named twice");
            let twice = Diagnostic::global(Code::Duplicate, text).help("take one of them out");
            report.push(placed(twice, config, &at));
        } else {
            named.extend(found);
        }
    }
    for folder in packs.folders() {
        sources.add_pack(folder);
    }
    sources
        .files
        .extend(config.files().map(|file| base.join(file)));
    (packs.into_found(), named)
}

/// The diagnostic at a place of the config, if it has none of its own.
pub(super) fn placed(diagnostic: Diagnostic, config: &Config, pointer: &str) -> Diagnostic {
    match &config.doc {
        Some(doc) if diagnostic.label.is_none() => {
            let range = doc.value_range(pointer);
            let at = Diagnostic::error(diagnostic.code, &doc.source, range, String::new());
            Diagnostic {
                label: at.label,
                ..diagnostic
            }
        }
        _ => diagnostic,
    }
}

pub(super) fn unknown_settings(config: &Config, packs: &[Found], report: &mut Report) {
    // A pack that could not be read has told no name.
    if report.has_errors() {
        return;
    }
    for name in config.settings.keys() {
        if !packs.iter().any(|p| p.pack.name == *name) {
            let unknown = Diagnostic::global(
                Code::UnknownResource,
                format!("`settings` names the pack `{name}`, which this config does not load"),
            )
            .help(suggest::help(
                name,
                packs.iter().map(|p| p.pack.name.as_ref()),
            ));
            report.push(placed(unknown, config, &join("/settings", name)));
        }
    }
}

/// What the config's file of approved tools says. That it cannot be read is an error.
pub(super) fn pinned(config: &Config, base: &Path, report: &mut Report) -> Option<Pinned> {
    let file = config.pin.clone()?;
    let pins = Pins::read(&base.join(&file), &file).map_err(|problems| {
        for problem in problems.sorted() {
            let told = placed(problem.clone(), config, "/pin");
            let help = "it is made with `jacquard tools --config … --approve`";
            report.push(if told.help.is_none() {
                told.help(help)
            } else {
                told
            });
        }
    });
    let pins = pins.ok()?;
    let empty = Diagnostic::global(Code::NotApproved, "");
    let label = placed(empty, config, "/pin").label;
    Some(Pinned { pins, file, label })
}

/// The environment is read by packs only where the config says so. Whether all of it is allowed.
pub(super) fn reads_listed_variables(
    config: &Config,
    packs: &[Found],
    named: &[usize],
    report: &mut Report,
) -> bool {
    let mut all = true;
    for (index, found) in packs.iter().enumerate() {
        let texts = found.pack.texts.iter();
        let names = texts.flat_map(|(kind, text)| variables(*kind, text));
        let unlisted: BTreeSet<String> = names.filter(|n| !config.variables.has(n)).collect();
        for name in unlisted {
            let text = format!(
                "the pack `{}` reads the environment variable `{name}`, which this config does not list",
                found.pack.name
            );
            let problem = Diagnostic::global(Code::NotAllowed, text)
                .help(format!("if it may: `env: [{name}]`"));
            let at = named.iter().position(|n| *n == index);
            let at = at.map_or_else(|| "/packs".to_owned(), |at| format!("/packs/{at}"));
            report.push(placed(problem, config, &at));
            all = false;
        }
    }
    all
}

/// The environment variables that a text of a pack names.
fn variables(kind: TextKind, text: &str) -> Vec<String> {
    if !text.contains("env") {
        return Vec::new();
    }
    let engine = env::environment();
    let names = match kind {
        TextKind::Value | TextKind::Text | TextKind::Token => {
            let template = engine.template_from_str(text);
            template.map(|t| t.undeclared_variables(true))
        }
        TextKind::Expr | TextKind::Condition | TextKind::Filter | TextKind::Key => {
            let expression = engine.compile_expression(text);
            expression.map(|e| e.undeclared_variables(true))
        }
    };
    // What does not compile is reported where it is used.
    let names = names.unwrap_or_default().into_iter();
    let variable = |name: String| {
        let rest = name.strip_prefix("env.")?;
        rest.split('.').next().map(str::to_owned)
    };
    names.filter_map(variable).collect()
}

/// The schemas of a section, compiled.
pub(super) fn compiled(
    pack: &str,
    what: &str,
    schemas: &data::Map<Json>,
    report: &mut Report,
) -> HashMap<String, NamedSchema> {
    let mut names = HashMap::new();
    for (name, json) in schemas.iter() {
        let schema = json.to_value();
        match schema::compile(&schema) {
            Ok(validator) => {
                names.insert(name.to_owned(), NamedSchema { schema, validator });
            }
            Err(error) => report.push(Diagnostic::global(
                Code::BadSchema,
                format!("{what} `{name}` of the pack `{pack}`: {error}"),
            )),
        }
    }
    names
}

/// The settings of a pack, checked and with defaults.
pub(super) fn settings(pack: &Pack, config: &Config, report: &mut Report) -> Jinja {
    let empty = Map::new();
    let given = config.settings.get(pack.name.as_ref()).unwrap_or(&empty);
    let mut schema = pack
        .settings
        .as_ref()
        .map_or_else(|| json!({"type": "object"}), |s| s.to_value());
    crate::spec::check::close(&mut schema);
    let mut values = Value::Object(given.clone());
    fill_defaults(&mut values, &schema);
    match schema::compile(&schema) {
        Ok(validator) => {
            let at = join("/settings", &pack.name);
            let here = |f: &Filled| f.pointer.strip_prefix(&at).map(str::to_owned);
            let places: Vec<String> = config.filled.iter().filter_map(here).collect();
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            schema::retype(&mut values, &validator, &places);
            let cover = |text: String| config.filled.iter().fold(text, |text, f| f.cover(&text));
            // What the command line has set stands in no file.
            let from_line = config.set.iter().any(|set| set.starts_with(&at));
            let doc = config
                .doc
                .as_ref()
                .filter(|doc| doc.knows(&at) && !from_line);
            let mut found = Report::new();
            if let Some(doc) = doc {
                schema::check_doc(doc, &at, &values, &schema, &validator, &mut found);
            }
            let all = tool::violations(&validator, &values, &schema);
            // What no place of the file says comes from the command line.
            for line in all.iter().filter(|_| found.is_empty()) {
                let text = cover(format!("settings of the pack `{}`: {line}", pack.name));
                let help = "`jacquard docs` tells the settings of a pack";
                report.push(Diagnostic::global(Code::Schema, text).help(help));
            }
            for problem in masked(&found).sorted() {
                let mut problem = problem.clone();
                problem.message = cover(problem.message);
                report.push(problem);
            }
        }
        Err(error) => report.push(Diagnostic::global(
            Code::BadSchema,
            format!("settings schema of the pack `{}`: {error}", pack.name),
        )),
    }
    Jinja::from(Serde(&values))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::catalog::Catalog;
    use crate::spec::config;
    use crate::spec::source::Source;

    fn build(folder: &Path, text: &str) -> Result<Catalog, Report> {
        let lookup = |name: &str| match name {
            "PORT" => Some("8080".to_owned()),
            "REGION" => Some("eu".to_owned()),
            _ => None,
        };
        let (config, report) = config::load(Source::new("c.yaml", text), Some(&lookup));
        let config = config.ok_or(report)?;
        Catalog::build(&config, folder, &json!({})).map(|built| built.0)
    }

    fn folder(pack: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("p")).unwrap();
        std::fs::write(folder.path().join("p/p.yaml"), pack).unwrap();
        folder
    }

    #[test]
    fn a_pack_reads_only_variables_that_the_config_lists() {
        let folder = folder(
            "tools:\n  t: {description: \"in {{ env.REGION }}\", reply: {text: \"{{ env.REGION | upper }}\"}}\n",
        );
        let at = folder.path();
        let tool = build(at, "packs: [./p]\nenv: [REGION]\n").unwrap();
        assert_eq!(tool.tool("t").unwrap().description, "in eu");
        let told = build(at, "packs: [./p]\n").unwrap_err().render(false);
        assert!(
            told.contains(
                "error[not-allowed]: the pack `p` reads the environment variable `REGION`"
            ),
            "{told}"
        );
        assert!(
            told.contains("c.yaml:1:9") && told.contains("`env: [REGION]`"),
            "{told}"
        );
        let unset = build(at, "packs: [./p]\nenv: [REGION, NOPE]\n").unwrap_err();
        let told = unset.render(false);
        assert!(
            told.contains("error[environment]") && told.contains("c.yaml:2:15"),
            "{told}"
        );
    }

    #[test]
    fn settings_from_the_environment_have_the_type_that_the_pack_declares() {
        let folder = folder(
            "settings: {type: object, properties: {port: {type: integer}, name: {type: string}}}\ntools:\n  t: {description: \"{{ config.port + 1 }} {{ config.name }}\", reply: {text: x}}\n",
        );
        let text = |port: &str| {
            format!("packs: [./p]\nsettings: {{p: {{port: \"{port}\", name: \"${{PORT}}\"}}}}\n")
        };
        let catalog = build(folder.path(), &text("${PORT}")).unwrap();
        assert_eq!(catalog.tool("t").unwrap().description, "8081 8080");
        // What is written out has the type it is written with.
        assert!(build(folder.path(), &text("8080")).is_err());
        let told = build(folder.path(), &text("${REGION:-x}"))
            .unwrap_err()
            .render(false);
        assert!(told.contains("expected a whole number"), "{told}");
    }
}
