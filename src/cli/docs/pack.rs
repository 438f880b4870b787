//! A pack as it is documented: its declarations, with their texts rendered as far as they can be without a project.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::{Serde, Value as Jinja};
use serde_json::{Map, Value, json};

use super::super::{Source, setup};
use super::markdown::code;
use super::names;
use crate::catalog::packs::{PackRef, Packs, Place};
use crate::catalog::{Catalog, Templates, Tool};
use crate::project::Environment;
use crate::spec::defaults::fill_defaults;
use crate::spec::diag::Report;
use crate::spec::model::{self, Pack};
use crate::spec::tree::{Template, Tree};

/// The project that texts are rendered for: pages must not tell who has made them.
const PROJECT: &str = "project";

/// A pack as it is documented.
#[derive(Debug)]
pub struct Documented {
    /// The pack.
    pub pack: PackRef,
    /// What a model is told of the tools as a whole.
    pub instructions: Option<String>,
    /// Its tools.
    pub tools: Vec<Shown>,
    /// The names that it gives to tools of others.
    pub aliases: Vec<Alias>,
    /// Whether the tools are those of a config, which has chosen among them.
    pub chosen: bool,
}

/// A tool of a pack under another name.
#[derive(Debug)]
pub struct Alias {
    /// The name that it gets.
    pub name: String,
    /// The pack that declares it.
    pub pack: String,
    /// The name under which that pack's page tells it.
    pub heading: String,
}

/// A tool as it is documented.
#[derive(Debug)]
pub struct Shown {
    /// Its name, or how it is made.
    pub name: String,
    /// The name people read.
    pub title: Option<String>,
    /// What a model reads.
    pub description: String,
    /// The schema of its arguments.
    pub input: Map<String, Value>,
    /// The schema of its structured result.
    pub output: Option<Map<String, Value>>,
    /// Its declaration.
    pub spec: model::Tool,
    /// What makes it, if it is one of those that a generator makes: the generator, and where its entries come from.
    pub made: Option<Made>,
    /// The file that declares it, without its extension.
    pub file: String,
}

/// What makes a tool.
#[derive(Debug)]
pub struct Made {
    /// The generator.
    pub by: String,
    /// What it makes one of each of.
    pub of: String,
}

impl Documented {
    /// The name of the pack.
    pub fn name(&self) -> &str {
        &self.pack.name
    }

    /// The name people read.
    pub fn title(&self) -> String {
        let title = self.pack.title.as_ref();
        title.map_or_else(|| self.pack.name.to_string(), ToString::to_string)
    }

    /// How many tools there are, in words.
    pub fn count(&self) -> String {
        let made = self.tools.iter().filter(|tool| tool.made.is_some()).count();
        let fixed = self.tools.len() - made + self.aliases.len();
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        match (fixed, made) {
            (fixed, 0) => plural(fixed, "tool"),
            (0, made) => plural(made, "generator"),
            (fixed, made) => format!("{}, {}", plural(fixed, "tool"), plural(made, "generator")),
        }
    }
}

/// Packs by their names or folders, each with all its tools, and the packs that they use.
///
/// # Errors
/// All that is wrong with them. Warnings come with the packs.
pub fn of_names(names: &[String]) -> Result<(Vec<Documented>, Report), Report> {
    let mut packs = Packs::default();
    let mut report = Report::new();
    for name in names {
        report.extend(packs.add(Place::of(name, Path::new("."))).1);
    }
    if report.has_errors() {
        return Err(report);
    }
    let found = packs.into_found();
    let project = project(Path::new(PROJECT), Some(PROJECT))?;
    let mut templates = Templates::new();
    for one in &found {
        // What does not compile is told as it is written.
        let _ = templates.add(&one.pack.texts);
    }
    let mut all = Vec::new();
    for one in &found {
        let used = one.uses.iter().filter_map(|index| found.get(*index));
        let home = Home {
            templates: &templates,
            context: context(&one.pack, &project),
        };
        let aliases = one.pack.aliases.iter().filter_map(|(alias, target)| {
            let declaring = used
                .clone()
                .find(|pack| pack.pack.tools.get(target).is_some())?;
            Some(Alias {
                name: alias.to_owned(),
                pack: declaring.pack.name.to_string(),
                heading: target.to_string(),
            })
        });
        let tools = one
            .pack
            .tools
            .iter()
            .map(|(name, tool)| home.tool(&one.pack, name, tool));
        let made = one
            .pack
            .generate
            .iter()
            .map(|(name, _)| home.generator(&one.pack, name));
        all.push(Documented {
            instructions: one.pack.instructions.as_ref().map(|text| home.text(text)),
            tools: tools.chain(made.flatten()).collect(),
            aliases: aliases.collect(),
            chosen: false,
            pack: one.pack.clone(),
        });
    }
    Ok((all, report))
}

/// The packs of a config, with the tools that it serves.
///
/// # Errors
/// All that is wrong with the config and its packs. Warnings come with the packs.
pub fn of_config(source: &Source) -> Result<(Vec<Documented>, Report), Report> {
    let setup = setup::read(source, &Environment::from_process())?;
    let name = setup.config.project.name.as_deref().unwrap_or(PROJECT);
    let project = project(&setup.base, Some(name))?;
    let (catalog, report) = Catalog::build(&setup.config, &setup.base, &project)?;
    let tools = catalog.tools();
    let mut all = Vec::new();
    for (index, loaded) in catalog.packs.iter().enumerate() {
        let pack = &loaded.pack;
        let home = Home {
            templates: &catalog.templates,
            context: catalog.base_context(index),
        };
        let served = tools.iter().filter(|tool| tool.pack == index);
        let later = pack
            .generate
            .iter()
            .filter(|(_, g)| loaded.named && g.from.is_some());
        let later = later.filter_map(|(name, _)| home.generator(pack, name));
        let aliases = pack
            .aliases
            .keys()
            .filter(|_| loaded.named)
            .filter_map(|alias| {
                let tool = tools.get(alias)?;
                Some(Alias {
                    name: alias.to_owned(),
                    pack: catalog.packs.get(tool.pack)?.pack.name.to_string(),
                    heading: alias.to_owned(),
                })
            });
        all.push(Documented {
            instructions: pack.instructions.as_ref().map(|text| home.text(text)),
            tools: served.map(|tool| Shown::of(tool)).chain(later).collect(),
            aliases: aliases.collect(),
            chosen: true,
            pack: pack.clone(),
        });
    }
    Ok((all, report))
}

/// The facts of a project, without what tells one machine from another.
fn project(folder: &Path, name: Option<&str>) -> Result<Value, Report> {
    let mut facts = setup::facts_anywhere(folder, name)?.to_json();
    for (key, value) in [("path", "/project"), ("hostname", "host")] {
        facts[key] = json!(value);
    }
    Ok(facts)
}

/// What texts of a pack are rendered with.
struct Home<'a> {
    templates: &'a Templates,
    context: Jinja,
}

/// What the texts of a pack see where no config says otherwise.
fn context(pack: &Pack, project: &Value) -> Jinja {
    let mut settings = json!({});
    if let Some(schema) = &pack.settings {
        fill_defaults(&mut settings, &schema.to_value());
    }
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for (alias, tool) in pack.aliases.iter() {
        names.insert(tool, alias);
    }
    let own = pack.tools.keys().chain(pack.aliases.keys());
    names.extend(own.map(|name| (name, name)));
    minijinja::context!(
        project => Jinja::from(Serde(project)),
        config => Jinja::from(Serde(&settings)),
        tools => Jinja::from(Serde(&names)),
    )
}

impl Home<'_> {
    fn tool(&self, pack: &Pack, name: &str, spec: &model::Tool) -> Shown {
        let file = file_of(
            pack.origins
                .get(name)
                .map(AsRef::as_ref)
                .unwrap_or_default(),
        );
        let built = Tool::build(
            name,
            0,
            "",
            spec,
            (self.templates, &pack.files),
            &self.context,
        );
        match built {
            Ok(tool) => Shown {
                file,
                ..Shown::of(&tool)
            },
            // It needs settings that have no default, or what is known only when it is made.
            Err(_) => Shown {
                name: name.to_owned(),
                title: spec.title.as_ref().map(|text| self.text(text)),
                description: self.text(&spec.description),
                input: spec.input.as_ref().and_then(written).unwrap_or_default(),
                output: spec.output.as_ref().and_then(written),
                spec: spec.clone(),
                made: None,
                file,
            },
        }
    }

    fn generator(&self, pack: &Pack, name: &str) -> Option<Shown> {
        let generator = pack.generate.get(name)?;
        let of = match (&generator.each, &generator.from) {
            (Some(each), _) => each.0.to_string(),
            (None, from) => from.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let key = format!("generate/{name}");
        let origin = pack
            .origins
            .get(&key)
            .map(AsRef::as_ref)
            .unwrap_or_default();
        let told = self.tool(pack, name, &generator.tool);
        let about = generator.description.as_ref().map(ToString::to_string);
        Some(Shown {
            name: names::shown(&generator.name.0),
            title: told.title.as_deref().map(names::shown),
            description: about.unwrap_or_else(|| names::shown(&told.description)),
            made: Some(Made {
                by: name.to_owned(),
                of,
            }),
            file: file_of(origin),
            ..told
        })
    }

    fn text(&self, template: &Template) -> String {
        let rendered = self.templates.text(template, &self.context);
        rendered.unwrap_or_else(|_| template.0.to_string())
    }
}

impl Shown {
    /// Its heading, which no other tool of the pack has.
    pub fn heading(&self) -> String {
        match &self.made {
            Some(made) => format!("{} (made by {})", code(&self.name), code(&made.by)),
            None => code(&self.name),
        }
    }

    /// A name that no other tool of the pack has, of letters that any format takes.
    pub fn key(&self) -> String {
        match &self.made {
            Some(made) => format!("generate_{}", made.by),
            None => self.name.clone(),
        }
    }

    fn of(tool: &Tool) -> Self {
        Self {
            name: tool.name.clone(),
            title: tool.title.clone(),
            description: tool.description.clone(),
            input: (*tool.input).clone(),
            output: tool.output.as_deref().cloned(),
            spec: tool.spec.clone(),
            made: None,
            file: file_of(&tool.origin),
        }
    }
}

/// A schema as it is written, where it is an object with keys of its own.
fn written(tree: &Tree) -> Option<Map<String, Value>> {
    match serde_json::to_value(tree) {
        Ok(Value::Object(map)) => Some(map),
        _ => None,
    }
}

/// The name of a file, without folders and extension, of an origin `file:line:column`.
fn file_of(origin: &str) -> String {
    let path = origin.rsplitn(3, ':').last().unwrap_or_default();
    let stem = Path::new(path).file_stem();
    stem.unwrap_or_default().to_string_lossy().into_owned()
}
