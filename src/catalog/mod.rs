//! The catalog: the checked, compiled set of tools that a gateway serves.
//!
//! Built from packs, their settings and the project's facts. All of it stays as it is built, but for the tools: a catalog
//! swaps the list of them as a whole when it makes some anew.

pub mod bound;
pub mod builtin;
mod configured;
pub mod definition;
pub mod foresee;
pub mod generate;
pub mod lint;
pub mod machine;
mod names;
pub mod packs;
pub mod pins;
mod prompts;
mod served;
mod sources;
pub mod templates;
mod told;
pub mod tool;
pub mod touch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonschema::Validator;
use minijinja::value::{Serde, Value as Jinja};
use serde_json::{Map, Value, json};

use configured::{compiled, find, placed, reads_listed_variables, settings, unknown_settings};
use generate::{Library, Slot};
pub use machine::{FolderPlace, Machine};
use packs::Found;
pub use packs::PackRef;
use pins::{Pins, Standing};
pub use prompts::{Prompt, PromptArgument};
pub use served::{Served, Tools};
pub use sources::Sources;
pub use templates::Templates;
pub use tool::Tool;

use crate::spec::config::Config;
use crate::spec::data::{self, Json};
use crate::spec::defaults::fill_defaults;
use crate::spec::diag::{Code, Diagnostic, Label, Report};
use crate::spec::model;

/// A pack in use: what it declares, and the values its expressions see.
#[derive(Debug)]
pub struct LoadedPack {
    /// The lowered pack.
    pub pack: PackRef,
    /// Its settings, defaults filled in: `config.*`.
    pub settings: Jinja,
    /// What the session may hold, by name.
    pub session: HashMap<String, NamedSchema>,
    /// What `check` knows, by name.
    pub schemas: HashMap<String, NamedSchema>,
    /// The packs it uses, by their index in the catalog.
    pub uses: Vec<usize>,
    /// Whether the config names it: otherwise it is only used by others, and its own tools are not listed.
    pub named: bool,
    /// Under which names its tools are served: `tools.*`.
    pub tools: Jinja,
}

/// A compiled JSON Schema with a name: of a value of the session state, or for `check`.
#[derive(Debug)]
pub struct NamedSchema {
    schema: Value,
    validator: Validator,
}

impl NamedSchema {
    /// A schema that is only known now.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in words.
    pub fn new(schema: Value) -> Result<Self, String> {
        let compiled = crate::spec::schema::compile(&schema).map_err(|error| error.to_string());
        compiled.map(|validator| Self { schema, validator })
    }

    /// Takes out of an object what the schema does not declare.
    pub fn keep_declared(&self, value: &mut Value) {
        let declared = self.schema.get("properties").and_then(Value::as_object);
        if let (Some(object), Some(declared)) = (value.as_object_mut(), declared) {
            object.retain(|name, _| declared.contains_key(name));
        }
    }

    /// The default of the whole.
    pub fn default(&self) -> Option<&Value> {
        self.schema.get("default")
    }

    /// Fills the defaults of an object's fields in.
    pub fn fill_defaults(&self, value: &mut Value) {
        fill_defaults(value, &self.schema);
    }

    /// Checks a value.
    ///
    /// # Errors
    /// Every violation, in words.
    pub fn check(&self, value: &Value) -> Result<(), Vec<String>> {
        let lines = tool::violations(&self.validator, value, &self.schema);
        if lines.is_empty() { Ok(()) } else { Err(lines) }
    }
}

/// The tools that are served, with all they need.
#[derive(Debug)]
pub struct Catalog {
    /// The packs, in the config's order, each followed by those that it alone uses.
    pub packs: Vec<LoadedPack>,
    /// Compiled texts of all packs.
    pub templates: Templates,
    /// The project's facts: `project.*`.
    pub project: Jinja,
    /// The environment variables that the config lists: `env.*`.
    pub env: Jinja,
    /// What a model is told when it connects.
    pub instructions: Option<String>,
    /// The folder that paths are relative to: that of the config.
    pub base: PathBuf,
    /// What the packs say the server can do besides, by name: the experimental capabilities.
    pub experimental: BTreeMap<String, Map<String, Value>>,
    /// What the packs use of this machine.
    pub machine: Machine,
    /// The prompts, in the order of packs and files.
    pub prompts: Vec<Arc<Prompt>>,
    pins: Option<Pinned>,
    served: Served,
    slots: Mutex<Vec<Slot>>,
    /// The documents that tools were made of, or would be if they were there.
    documents: Mutex<BTreeSet<PathBuf>>,
}

/// What was approved, and where the config says so.
#[derive(Debug)]
struct Pinned {
    pins: Pins,
    file: String,
    label: Option<Label>,
}

impl Catalog {
    /// Builds the catalog of a config. Folders in it are relative to `base`; `project` holds the facts that expressions
    /// call `project`.
    ///
    /// # Errors
    /// All that is wrong with the packs, their settings, or their combination. Warnings come with the catalog.
    pub fn build(config: &Config, base: &Path, project: &Value) -> Result<(Self, Report), Report> {
        Self::build_from(config, base, project, &mut Sources::default())
    }

    /// The same, and notes what is read for it, whatever comes of it.
    ///
    /// # Errors
    /// As [`Catalog::build`].
    pub fn build_from(
        config: &Config,
        base: &Path,
        project: &Value,
        sources: &mut Sources,
    ) -> Result<(Self, Report), Report> {
        let mut report = config.warnings.clone();
        let (packs, named) = find(config, base, sources, &mut report);
        unknown_settings(config, &packs, &mut report);
        if !reads_listed_variables(config, &packs, &named, &mut report) {
            // Every text that names one would be told again.
            return Err(report);
        }
        let names = names::Names::of(&packs, &named);
        let packs = loaded(packs, &named, &names, config, &mut report);
        let mut catalog = Self {
            packs,
            templates: Templates::new(),
            project: Jinja::from(Serde(project)),
            env: config.variables.to_value(),
            instructions: None,
            base: base.to_owned(),
            experimental: BTreeMap::new(),
            machine: Machine::default(),
            pins: configured::pinned(config, base, &mut report),
            prompts: Vec::new(),
            served: Served::default(),
            slots: Mutex::default(),
            documents: Mutex::default(),
        };
        let slots = catalog.compile(&names, config, &mut report);
        sources.files.extend(catalog.documents());
        let tools = generate::compose(&slots, false, &mut report);
        catalog.served.swap(catalog.admitted(tools, &mut report));
        catalog.slots = Mutex::new(slots);
        if !report.has_errors() {
            catalog.machine = Machine::of(&catalog, config, &mut report);
            catalog.prompts = prompts::of(&catalog, &mut report);
        }
        catalog.experimental = told::experimental(&catalog.packs);
        catalog.instructions = match &config.instructions {
            Some(text) => Some(text.clone()),
            None => catalog.pack_instructions(&names, &mut report),
        };
        if report.has_errors() {
            return Err(report);
        }
        Ok((catalog, report))
    }

    /// The tools that are served now, in the order of packs and files.
    pub fn tools(&self) -> Arc<Tools> {
        self.served.now()
    }

    /// A tool that is served now, by its name.
    pub fn tool(&self, name: &str) -> Option<Arc<Tool>> {
        self.served.now().get(name).cloned()
    }

    /// The fingerprint of a tool of this catalog, as it is declared: the same for every project, and for every config that gives
    /// it the same document.
    pub fn fingerprint(&self, tool: &Tool) -> String {
        definition::fingerprint(&definition::definition(self, tool))
    }

    /// A fingerprint of all tools: another one where a tool is new, gone or other.
    pub fn whole_fingerprint(&self) -> String {
        let tools = self.tools();
        let mut all: Vec<(&str, String)> = tools
            .iter()
            .map(|tool| (tool.name.as_str(), self.fingerprint(tool)))
            .collect();
        all.sort();
        definition::fingerprint(&json!(all))
    }

    /// The tools without those that nobody has approved, where the config wants that. Each of these is told.
    fn admitted(&self, tools: Tools, report: &mut Report) -> Tools {
        let Some(pinned) = &self.pins else {
            return tools;
        };
        tools.passing(|tool| {
            let standing = pinned.pins.judge(&tool.name, &self.fingerprint(tool));
            let why = match standing {
                Standing::Approved => return true,
                Standing::New => "has not been approved",
                Standing::Changed => "has changed since it was approved",
            };
            let (name, file) = (&tool.name, &pinned.file);
            let text = format!(
                "the tool `{name}` ({}) {why} in {file}: it is not served",
                tool.origin
            );
            let mut told = Diagnostic::global(Code::NotApproved, text).warning();
            told.label.clone_from(&pinned.label);
            report.push(told.help(format!(
                "look at it, then approve it: `jacquard tools --config … --approve {name}`"
            )));
            false
        })
    }

    // Each change of a slot leaves it whole, so a panic while the lock is held spoils nothing.
    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the tools of now are found as long as the catalog is used.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// The names that a pack's expressions may use everywhere.
    pub fn base_context(&self, pack: usize) -> Jinja {
        let tools = self.packs.get(pack).map(|p| p.tools.clone());
        self.context(pack, tools.unwrap_or_default())
    }

    fn context(&self, pack: usize, tools: Jinja) -> Jinja {
        let config = self
            .packs
            .get(pack)
            .map(|p| p.settings.clone())
            .unwrap_or_default();
        let (project, env) = (self.project.clone(), self.env.clone());
        minijinja::context!(project => project, config => config, env => env, tools => tools)
    }

    /// The instructions of the packs that the config names. A pack that has none hands on those of the packs that are
    /// loaded for it alone.
    fn pack_instructions(&self, names: &names::Names, report: &mut Report) -> Option<String> {
        let mut texts = Vec::new();
        for (index, loaded) in self.packs.iter().enumerate() {
            let silent = |user: usize| self.packs[user].pack.instructions.is_none();
            if !loaded.named && !names.user(index).is_some_and(silent) {
                continue;
            }
            let Some(template) = &loaded.pack.instructions else {
                continue;
            };
            match self.templates.text(template, &self.base_context(index)) {
                Ok(text) => texts.push(text),
                Err(error) => report.push(Diagnostic::global(
                    Code::Template,
                    format!(
                        "the instructions of the pack `{}`: {error}",
                        loaded.pack.name
                    ),
                )),
            }
        }
        (!texts.is_empty()).then(|| texts.join("\n\n"))
    }

    /// Compiles the texts of all packs, and makes the tools.
    fn compile(&mut self, names: &names::Names, config: &Config, report: &mut Report) -> Vec<Slot> {
        let mut slots = Vec::new();
        for loaded in &self.packs {
            if let Err(error) = self.templates.add(&loaded.pack.texts) {
                report.push(Diagnostic::global(
                    Code::Template,
                    format!("pack `{}`: {error}", loaded.pack.name),
                ));
                // Nothing that uses a text which is not there can be made.
                return slots;
            }
        }
        let library = Library::new(&self.base);
        for (index, loaded) in self.packs.iter().enumerate().filter(|(_, p)| p.named) {
            let pack = &loaded.pack;
            let context = self.base_context(index);
            for (name, spec) in pack.tools.iter() {
                slots.extend(self.fixed(name, (index, index), spec, &context, report));
            }
            for name in pack.generate.keys() {
                let reading = (&library, Some(config));
                let made = self.make(index, name, &[], reading, report);
                slots.extend(made.map(Slot::Made));
            }
            for (alias, target) in pack.aliases.iter() {
                let found = loaded.uses.iter().find_map(|used| {
                    let spec = self.packs[*used].pack.tools.get(target)?;
                    Some((*used, spec))
                });
                // An alias of nothing is reported where the packs are put together.
                if let Some((used, spec)) = found {
                    let context = self.context(used, names.seen(used, index));
                    slots.extend(self.fixed(alias, (used, index), spec, &context, report));
                }
            }
        }
        self.note_documents(&library);
        slots
    }

    /// A tool of the pack `home` under the name by which the pack `by` serves it, if it is there at all.
    fn fixed(
        &self,
        name: &str,
        (home, by): (usize, usize),
        spec: &model::Tool,
        context: &Jinja,
        report: &mut Report,
    ) -> Option<Slot> {
        let origin = self.packs[by].pack.origins.get(name);
        let origin = origin.map_or("", |o| o.as_ref());
        if let Some(when) = &spec.when {
            match self.templates.test(when, context) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    let text = format!("`when` of the tool `{name}` ({origin}): {error}");
                    report.push(Diagnostic::global(Code::Template, text));
                    return None;
                }
            }
        }
        match Tool::build(name, home, origin, spec, &self.templates, context) {
            Ok(tool) => Some(Slot::Fixed(Arc::new(tool))),
            Err(problems) => {
                report.extend(problems);
                None
            }
        }
    }
}

/// The packs with what the config says of them.
fn loaded(
    packs: Vec<Found>,
    named: &[usize],
    names: &names::Names,
    config: &Config,
    report: &mut Report,
) -> Vec<LoadedPack> {
    let load = |(index, found): (usize, Found)| {
        let pack = found.pack;
        let settings = settings(&pack, config, report);
        let mut compile =
            |what: &str, schemas: &data::Map<Json>| compiled(&pack.name, what, schemas, report);
        let session = compile("session value", &pack.session);
        let schemas = compile("schema", &pack.schemas);
        LoadedPack {
            pack,
            settings,
            session,
            schemas,
            uses: found.uses,
            named: named.contains(&index),
            tools: names.home(index),
        }
    };
    packs.into_iter().enumerate().map(load).collect()
}

/// Two tools have the same name.
fn twice(name: &str, first: &str, second: &str) -> Diagnostic {
    let text = format!("the tool `{name}` is declared twice: {first} and {second}");
    Diagnostic::global(Code::Duplicate, text)
        .help("give one of them another name, or leave one out")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spec::files::read_folder;
    use crate::spec::load::load;

    fn project() -> Value {
        json!({"path": "/p", "id": "0", "namespace": "ns", "hostname": "h", "user": "u",
               "channels": [{"name": "a-b", "description": "d", "maxMessages": 1, "maxBytes": 1, "maxAge": "1h"}]})
    }

    fn config(yaml: &str) -> Config {
        let source = crate::spec::source::Source::new("c.yaml", yaml);
        crate::spec::config::load(source, None).0.unwrap()
    }

    #[test]
    fn generated_packs_equal_those_loaded_from_the_same_files() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs");
        let mut names: Vec<String> = std::fs::read_dir(&root)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert!(!names.is_empty());
        let builtin: Vec<&str> = builtin::PACKS.iter().map(|p| p.name.as_ref()).collect();
        assert_eq!(builtin, names);
        let mut tools = 0;
        for name in names {
            let files = read_folder(&root.join(&name), &format!("specs/{name}")).unwrap();
            let (pack, report) = load(&files);
            assert!(report.is_empty(), "{report}");
            let pack = pack.unwrap();
            tools += pack.tools.keys().count();
            assert_eq!(&pack, packs::builtin(&name).unwrap());
        }
        assert_eq!(tools, builtin::BuiltinTool::ALL.len());
    }

    #[test]
    fn schemas_are_rendered_for_the_project() {
        let (catalog, report) =
            Catalog::build(&config("packs: [warp]"), Path::new("."), &project()).unwrap();
        assert!(report.is_empty());
        let tool = catalog.tool("warp_channels_send").unwrap();
        assert_eq!(tool.input["properties"]["channel"]["enum"], json!(["a-b"]));
        assert_eq!(tool.input["additionalProperties"], json!(false));
    }

    #[test]
    fn wrong_combinations_are_told() {
        let build = |yaml: &str| Catalog::build(&config(yaml), Path::new("."), &project());
        let codes = |yaml: &str| -> Vec<Code> {
            build(yaml)
                .unwrap_err()
                .sorted()
                .iter()
                .map(|d| d.code)
                .collect()
        };
        assert_eq!(codes("packs: [wrap]"), [Code::UnknownResource]);
        assert_eq!(codes("packs: [./no]\nsettings: {no: {}}"), [Code::Io]);
        assert!(
            codes("packs: [warp, warp]")
                .iter()
                .all(|c| *c == Code::Duplicate)
        );
        assert_eq!(
            codes("packs: [warp]\nsettings: {warp: {x: 1}}"),
            [Code::UnknownKey]
        );
        assert_eq!(
            codes("packs: [warp]\nsettings: {wrap: {}}"),
            [Code::UnknownResource]
        );
    }
}
