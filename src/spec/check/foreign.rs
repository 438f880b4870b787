//! Files of other programs: what a pack says of them.

use serde_json::{Map, Value};

use super::{Findings, check_text, check_tree};
use crate::spec::config::{config_schema, without_templates};
use crate::spec::data::Json;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::{Doc, join};
use crate::spec::model::{ForeignForm, TextKind};
use crate::spec::schema;
use crate::spec::shape::{Scope, Shape};
use crate::spec::suggest;

/// Checks a kind of foreign file. `settings` is the pack's schema, which such a file must fit.
pub(crate) fn check_foreign(
    doc: &Doc,
    name: &str,
    form: &ForeignForm,
    settings: Option<&Json>,
    report: &mut Findings,
) {
    let pointer = join("/foreign", name);
    let Some(settings) = settings else {
        let message = "a foreign file is the pack's settings, and this pack declares none";
        let range = doc.key_range(&pointer);
        let diagnostic = Diagnostic::error(Code::Schema, &doc.source, range, message);
        return report.push(diagnostic.help("write the schema of such a file under `settings`"));
    };
    // Its texts are for those who read configs; the catalog of a gateway has no use for them.
    let mut aside = Findings::new(Report::new());
    let scope = Scope::new().with("doc", Shape::Any);
    let (at, kind) = (join(&pointer, "when"), TextKind::Condition);
    check_text(doc, &at, &form.when.0, kind, &scope, &mut aside);
    let scope = Scope::new()
        .with("doc", Shape::from_schema(&settings.to_value()))
        .with("given", Shape::Any)
        .with("program", Shape::Text)
        .with("config_folder", Shape::Text)
        .with("env", Shape::Any);
    let at = join(&pointer, "config");
    for (key, tree) in form.config.iter() {
        check_tree(doc, &join(&at, key), tree, &scope, &mut aside);
    }
    report.report.extend(aside.into_parts().0);
    check_config(doc, &at, settings, report);
}

/// What is written out of the config must be one; what is made of the file is looked at when there is one.
fn check_config(doc: &Doc, at: &str, settings: &Json, report: &mut Findings) {
    let written = doc.value.pointer(at).and_then(Value::as_object);
    let mut config = written.cloned().unwrap_or_default();
    if let Some(more) = config.remove("settings") {
        check_settings(doc, &join(at, "settings"), &more, settings, report);
    }
    if config.shift_remove("packs").is_some() {
        let range = doc.key_range(&join(at, "packs"));
        let message = "the config of a foreign file has this pack, and no others";
        report.push(Diagnostic::error(Code::Schema, &doc.source, range, message));
    }
    config.insert("packs".into(), Value::from(vec!["."]));
    let mut config = Value::Object(config);
    without_templates(&mut config);
    let language = config_schema();
    // It is the language's own: that it compiles is tested.
    if let Ok(validator) = schema::compile(&language) {
        schema::check_doc(doc, at, &config, &language, &validator, &mut report.report);
    }
}

/// The settings beside the file's own are declared too.
fn check_settings(doc: &Doc, at: &str, more: &Value, settings: &Json, report: &mut Findings) {
    let schema = settings.to_value();
    let open = schema.get("additionalProperties");
    let open = open.is_some_and(|more| *more != Value::Bool(false));
    let none = Map::new();
    let known = schema.get("properties").and_then(Value::as_object);
    let known = known.unwrap_or(&none);
    for key in more.as_object().into_iter().flat_map(Map::keys) {
        if !open && !known.contains_key(key) {
            let range = doc.key_range(&join(at, key));
            let message = format!("this pack has no setting `{key}`");
            let help = suggest::help(key, known.keys().map(String::as_str));
            report
                .push(Diagnostic::error(Code::UnknownKey, &doc.source, range, message).help(help));
        }
    }
}
