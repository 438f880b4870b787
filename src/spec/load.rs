//! From files to a pack: check everything, lower into one form.

mod draft;
mod machine;
mod merge;
mod names;

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::check::{self, Findings, Instances, MacroDraft, Resources};
use super::data::{Json, List, Map, Text};
use super::diag::{Code, Diagnostic, Report};
use super::doc::{Doc, join};
use super::files::PackFiles;
use super::model::{Pack, SpecFile, TextKind, example_origin};
use super::schema;
use super::shape::Shape;
use draft::Draft;
use names::{known_to_examples, place, tool_names, used_files, used_templates};

/// The JSON Schema of a spec file, as published in `schemas/spec.schema.json`.
pub fn spec_schema() -> Value {
    schema::of::<SpecFile>("Jacquard spec file")
}

/// The same with its validator, made once for all packs of a process.
static LANGUAGE: LazyLock<(Value, Option<Validator>)> = LazyLock::new(|| {
    let schema = spec_schema();
    let validator = schema::compile(&schema).ok();
    (schema, validator)
});

/// Checks the files of a pack and lowers them into one form.
///
/// The pack is there whenever the report has no errors; warnings do not stand in its way.
pub fn load(files: &PackFiles) -> (Option<Pack>, Report) {
    let mut report = Report::new();
    let (language, validator) = &*LANGUAGE;
    let Some(validator) = validator else {
        report.push(Diagnostic::global(
            Code::BadSchema,
            "the language's own schema does not compile",
        ));
        return (None, report);
    };
    let mut drafts = Vec::new();
    for source in &files.specs {
        match Doc::parse(source.clone()) {
            Err(problems) => report.extend(problems),
            Ok(doc) if doc.value.get("packs").is_some() => report.push(
                Diagnostic::error(
                    Code::UnknownKey,
                    &doc.source,
                    doc.key_range("/packs"),
                    "this is a config, and cannot lie in the folder of a pack",
                )
                .help("a config names the folder, and lies beside it or further up"),
            ),
            Ok(doc) => {
                let mut found = Report::new();
                schema::check_doc(&doc, "", &doc.value, language, validator, &mut found);
                let tainted = found
                    .sorted()
                    .iter()
                    .any(|d| d.severity == super::diag::Severity::Error);
                report.extend(found);
                drafts.push(Draft::new(doc, tainted));
            }
        }
    }
    let mut findings = Findings::new(report);
    let mut pack = Lowering {
        files,
        report: &mut findings,
    }
    .lower(drafts);
    let (report, texts) = findings.into_parts();
    pack.texts = texts;
    (Some(pack).filter(|_| !report.has_errors()), report)
}

struct Lowering<'a> {
    files: &'a PackFiles,
    report: &'a mut Findings,
}

impl Lowering<'_> {
    fn lower(&mut self, drafts: Vec<Draft>) -> Pack {
        for draft in &drafts {
            check::verb_counts(&draft.doc, self.report);
        }
        let settings = self.single(&drafts, "settings", |d| d.settings.clone());
        let session = self.merged(&drafts, "session", |d| {
            d.session
                .iter()
                .map(|(n, v)| (n.clone(), Some(v.clone())))
                .collect()
        });
        for draft in &drafts {
            self.check_state_schemas(draft);
            for (name, form) in &draft.foreign {
                if let Some(form) = form {
                    check::check_foreign(&draft.doc, name, form, settings.as_ref(), self.report);
                }
            }
        }
        let base = check::base_scope(settings.as_ref())
            .with("tools", check::tools_shape(tool_names(&drafts)));
        let schemas = self.merged(&drafts, "schemas", |d| d.schemas.clone());
        let mut resources = self.resources(&drafts, &base, &session, &schemas);
        resources.examples = known_to_examples(&drafts);
        self.check_macros(&drafts, &base, &session, &mut resources);
        let around = check::Surroundings {
            base: &base,
            session: &session,
            resources: &resources,
            templates: &self.files.templates,
            files: &self.files.files,
        };
        for draft in &drafts {
            for tool in &draft.tools {
                check::check_tool(&draft.doc, tool, &around, self.report);
            }
            for generator in &draft.generators {
                check::check_generator(&draft.doc, generator, &around, self.report);
            }
            for routine in &draft.routines {
                check::check_routine(&draft.doc, routine, &around, self.report);
            }
        }
        for draft in &drafts {
            for (name, fixture) in &draft.fixtures {
                if let Some(fixture) = fixture {
                    let known = (&base, settings.as_ref());
                    check::check_fixture(&draft.doc, name, fixture, known, self.report);
                }
            }
        }
        self.check_aliases(&drafts);
        self.check_instructions(&drafts, &base);
        let sound = self.pack(&drafts);
        Pack {
            settings,
            session,
            schemas,
            ..sound
        }
    }

    /// What steps may name, checked.
    fn resources(
        &mut self,
        drafts: &[Draft],
        base: &super::shape::Scope,
        session: &Map<Json>,
        schemas: &Map<Json>,
    ) -> Resources {
        let mut resources = Resources {
            session: session.keys().map(str::to_owned).collect(),
            ..Resources::default()
        };
        for (name, json) in schemas.iter() {
            let shape = Shape::from_schema(&json.to_value());
            resources.schemas.insert(name.to_owned(), shape);
        }
        for draft in drafts {
            self.check_resources(draft, base, &mut resources);
        }
        // Queues and tables name streams and buckets, which may stand in another file.
        for draft in drafts {
            self.check_queues(draft, base, &mut resources);
            self.check_tables(draft, base, &mut resources);
            self.check_machine(draft, base, &mut resources);
            self.check_inboxes(draft, base, &mut resources);
            let completions = draft.completions.iter();
            resources
                .completions
                .extend(completions.map(|(name, _)| name.clone()));
        }
        for draft in drafts {
            self.check_served(draft, base, &resources);
        }
        resources
    }

    /// The pack that all files together make, but for what the checks have needed before.
    fn pack(&mut self, drafts: &[Draft]) -> Pack {
        let info = self.single(drafts, "pack", |d| d.pack.clone());
        let foreign = self.merged(drafts, "foreign", |d| d.foreign.clone());
        let streams = self.merged(drafts, "streams", |d| d.streams.clone());
        let buckets = self.merged(drafts, "buckets", |d| d.buckets.clone());
        let queues = self.merged(drafts, "queues", |d| d.queues.clone());
        let tables = self.merged(drafts, "tables", |d| d.tables.clone());
        let journals = self.merged(drafts, "journals", |d| d.journals.clone());
        let macros = self.merged(drafts, "macros", |d| d.whole_macros.clone());
        let folders = self.merged(drafts, "folders", |d| d.folders.clone());
        let programs = self.merged(drafts, "programs", |d| d.programs.clone());
        let served = self.merged(drafts, "resources", |d| d.served.clone());
        let prompts = self.merged(drafts, "prompts", |d| d.prompts.clone());
        let completions = self.merged(drafts, "completions", |d| d.completions.clone());
        let inboxes = self.merged(drafts, "inboxes", |d| d.inboxes.clone());
        let tools = self.merged(drafts, "tools", |d| d.whole.clone());
        let generate = self.merged(drafts, "generate", |d| {
            let generators = d.generators.iter();
            generators
                .map(|g| (g.name.clone(), g.whole.clone()))
                .collect()
        });
        let fixtures = self.merged(drafts, "fixtures", |d| d.fixtures.clone());
        let aliases = self.merged(drafts, "aliases", |d| {
            d.aliases
                .iter()
                .map(|(n, t)| (n.clone(), Some(Text::from(t.clone()))))
                .collect()
        });
        let timers = self.merged(drafts, "timers", |d| d.timers.clone());
        let listeners = self.merged(drafts, "listeners", |d| d.listeners.clone());
        let on = self.single(drafts, "on", |d| d.on.clone());
        let mut pack = Pack {
            name: self.files.name.clone().into(),
            title: None,
            instructions: None,
            uses: List::default(),
            capabilities: Default::default(),
            settings: None,
            foreign,
            session: Map::default(),
            schemas: Map::default(),
            streams,
            buckets,
            queues,
            tables,
            journals,
            folders,
            programs,
            resources: served,
            prompts,
            completions,
            inboxes,
            origins: self.origins(drafts),
            macros,
            tools,
            generate,
            fixtures,
            aliases,
            timers,
            listeners,
            on: on.unwrap_or_default(),
            templates: used_templates(drafts, &self.files.templates),
            files: used_files(drafts, &self.files.files),
            texts: List::default(),
        };
        if let Some(info) = info {
            pack.name = info.name.unwrap_or(pack.name);
            pack.title = info.title;
            pack.instructions = info.instructions;
            pack.uses = info.uses;
            pack.capabilities = info.capabilities;
        }
        pack
    }

    /// Checks macros before everything that uses them, so that what they yield is known.
    fn check_macros(
        &mut self,
        drafts: &[Draft],
        base: &super::shape::Scope,
        session: &Map<Json>,
        resources: &mut Resources,
    ) {
        let all: Vec<(&Doc, &MacroDraft)> = drafts
            .iter()
            .flat_map(|draft| draft.macros.iter().map(|found| (&draft.doc, found)))
            .collect();
        for (_, draft) in &all {
            check::note_macro(draft, resources);
        }
        check::note_announcing(&all, resources);
        let mut results = Vec::new();
        for (doc, draft) in &all {
            let around = check::Surroundings {
                base,
                session,
                resources,
                templates: &self.files.templates,
                files: &self.files.files,
            };
            results.push((
                &draft.name,
                check::check_macro(doc, draft, &around, self.report),
            ));
        }
        for (name, result) in results {
            if let Some((_, known)) = resources.macros.get_mut(name) {
                *known = result;
            }
        }
        check::check_circles(&all, self.report);
    }

    fn check_aliases(&mut self, drafts: &[Draft]) {
        let tools: Vec<&str> = drafts
            .iter()
            .flat_map(|d| d.tools.iter().map(|t| t.name.as_str()))
            .collect();
        let mut seen = Vec::new();
        for draft in drafts {
            check::check_aliases(&draft.doc, &draft.aliases, &seen, &tools, self.report);
            seen.extend(&draft.aliases);
        }
    }

    fn check_instructions(&mut self, drafts: &[Draft], base: &super::shape::Scope) {
        for draft in drafts {
            let text = draft.pack.as_ref().and_then(|p| p.instructions.as_ref());
            if let Some(text) = text {
                let (at, kind) = ("/pack/instructions", TextKind::Text);
                check::check_text(&draft.doc, at, &text.0, kind, base, self.report);
            }
        }
    }

    /// Settings, session schemas and those for `check` must be schemas.
    fn check_state_schemas(&mut self, draft: &Draft) {
        let mut schemas: Vec<(String, &Json)> = draft
            .session
            .iter()
            .map(|(name, schema)| (join("/session", name), schema))
            .collect();
        for (name, _) in &draft.session {
            let article = match name.as_str() {
                "id" => "an `id`",
                "principal" => "a `principal`",
                "claims" => "`claims`",
                _ => continue,
            };
            let (source, at) = (&draft.doc.source, join("/session", name));
            let range = draft.doc.key_range(&at);
            let message = format!("every session has {article} already");
            self.report.push(
                Diagnostic::error(Code::Duplicate, source, range, message)
                    .help("choose another name"),
            );
        }
        if let Some(settings) = &draft.settings {
            schemas.push(("/settings".into(), settings));
        }
        for (name, json) in &draft.schemas {
            if let Some(json) = json {
                let pointer = join("/schemas", name);
                check::check_named(&draft.doc, &pointer, &json.to_value(), self.report);
            }
        }
        for (pointer, json) in schemas {
            check::check_valid(&draft.doc, &pointer, &json.to_value(), self.report);
        }
    }

    fn check_resources(
        &mut self,
        draft: &Draft,
        base: &super::shape::Scope,
        resources: &mut Resources,
    ) {
        for (name, decl) in &draft.streams {
            match decl {
                Some(decl) => {
                    check::check_stream(&draft.doc, name, decl, base, resources, self.report)
                }
                None => {
                    resources
                        .streams
                        .insert(name.clone(), (Instances::Unknown, vec!["x".into()]));
                }
            }
        }
        for (name, decl) in &draft.buckets {
            match decl {
                Some(decl) => {
                    check::check_bucket(&draft.doc, name, decl, base, resources, self.report)
                }
                None => {
                    resources.buckets.insert(name.clone(), Instances::Unknown);
                }
            }
        }
    }

    fn check_queues(
        &mut self,
        draft: &Draft,
        base: &super::shape::Scope,
        resources: &mut Resources,
    ) {
        for (name, decl) in &draft.queues {
            let known = decl.as_ref().map(|decl| {
                check::check_queue(&draft.doc, name, decl, base, resources, self.report)
            });
            resources.queues.insert(name.clone(), known);
        }
    }

    fn check_tables(
        &mut self,
        draft: &Draft,
        base: &super::shape::Scope,
        resources: &mut Resources,
    ) {
        for (name, decl) in &draft.tables {
            let entry = decl.as_ref().map_or(Shape::Any, |decl| {
                check::check_table(&draft.doc, name, decl, base, resources, self.report)
            });
            resources.tables.insert(name.clone(), entry);
        }
        for (name, decl) in &draft.journals {
            if let Some(decl) = decl {
                check::check_journal(&draft.doc, name, decl, base, self.report);
            }
            resources.journals.insert(name.clone());
        }
    }

    fn check_served(&mut self, draft: &Draft, base: &super::shape::Scope, resources: &Resources) {
        for (name, decl) in &draft.served {
            if let Some(decl) = decl {
                let known = (resources, &self.files.files);
                check::check_served(&draft.doc, name, decl, base, known, self.report);
            }
        }
    }

    fn check_inboxes(
        &mut self,
        draft: &Draft,
        base: &super::shape::Scope,
        resources: &mut Resources,
    ) {
        for (name, decl) in &draft.inboxes {
            if let Some(decl) = decl {
                check::check_inbox(&draft.doc, name, decl, base, self.report);
            }
            resources.inboxes.insert(name.clone());
        }
    }

    fn origins(&self, drafts: &[Draft]) -> Map<Text> {
        let mut origins = Map::default();
        for draft in drafts {
            let mut add = |pointer: &str, name: String| {
                origins.push(name, Text::from(place(draft, pointer)));
            };
            for tool in &draft.tools {
                add(&join("/tools", &tool.name), tool.name.clone());
            }
            for (name, _) in &draft.aliases {
                add(&join("/aliases", name), name.clone());
            }
            for (name, _) in &draft.prompts {
                add(&join("/prompts", name), join("prompts", name));
            }
            for generator in &draft.generators {
                let name = join("generate", &generator.name);
                add(&format!("/{name}"), name);
            }
        }
        // After all others: nobody who looks for a tool has to pass them.
        for draft in drafts {
            let tools = draft
                .tools
                .iter()
                .map(|t| (t, t.name.clone(), join("/tools", &t.name)));
            let made = draft.generators.iter().map(|g| {
                let name = join("generate", &g.name);
                let pointer = format!("/{name}/tool");
                (&g.tool, name, pointer)
            });
            for (tool, name, pointer) in tools.chain(made) {
                for index in 0..tool.examples.len() {
                    let at = join(&join(&pointer, "examples"), &index.to_string());
                    let text = place(draft, &at);
                    origins.push(example_origin(&name, index), Text::from(text));
                }
            }
        }
        origins
    }
}
