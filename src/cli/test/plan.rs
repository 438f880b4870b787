//! Which examples there are to run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::builtin as built;
use crate::catalog::packs::{Found, Packs, Place, builtin, shown};
use crate::cli::{setup, validate};
use crate::gateway::base_of;
use crate::project::Environment;
use crate::spec::data::{List, Map, Text};
use crate::spec::diag::Report;
use crate::spec::files::read_source;
use crate::spec::model::{DEFAULT_FIXTURE, Example, Fixture, Given, Pack, example_origin};

/// What is served while an example runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// One pack: the name of a built-in one, or its absolute folder.
    Pack(String),
    /// The packs of this config, with its settings.
    Config(PathBuf),
}

/// An example, and what it needs.
#[derive(Debug, Clone)]
pub struct Case {
    /// The pack that serves it.
    pub pack: String,
    /// The tool by its served name; `generate/NAME` where it is one that a generator makes.
    pub tool: String,
    /// Whether a generator makes the tool.
    pub made: bool,
    /// What it shows.
    pub title: String,
    /// Where it stands: `file:line:column`.
    pub origin: String,
    /// The pack that declares it.
    pub home: String,
    /// Names by which tools are served, where these are others than those that the example says.
    pub served: Arc<BTreeMap<String, String>>,
    /// What it says.
    pub example: Example,
    /// What it stands on.
    pub fixture: Fixture,
    /// What is served.
    pub base: Base,
}

impl Case {
    /// How people read it.
    pub fn name(&self) -> String {
        format!("{} / {}: {}", self.pack, self.tool, self.title)
    }
}

/// What is to be run.
#[derive(Debug, Default)]
pub struct Plan {
    /// The examples, by pack and file.
    pub cases: Vec<Case>,
    /// Tools that have none.
    pub bare: Vec<String>,
}

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Refusal {
    /// The files are wrong.
    Report(Report),
    /// What was asked for is not there.
    Words(String),
}

impl From<Report> for Refusal {
    fn from(report: Report) -> Self {
        Self::Report(report)
    }
}

/// The examples of what is named: folders and files of packs, configs, names of built-in packs. Without anything, those of
/// the working directory.
///
/// # Errors
/// See [`Refusal`].
pub fn gather(
    paths: &[PathBuf],
    config: Option<&Path>,
    env: &Environment,
) -> Result<Plan, Refusal> {
    let mut bases = Vec::new();
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() && config.is_none() {
        &here
    } else {
        paths
    };
    for path in paths {
        bases.extend(named(path)?);
    }
    bases.extend(config.map(|path| Base::Config(path.to_owned())));
    let mut plan = Plan::default();
    let mut seen = Vec::new();
    for base in bases {
        if !seen.contains(&base) {
            add(&base, env, &mut plan)?;
            seen.push(base);
        }
    }
    Ok(plan)
}

/// What a path means.
fn named(path: &Path) -> Result<Vec<Base>, Refusal> {
    let name = path.to_string_lossy();
    if !path.exists() {
        return match builtin(&name) {
            Some(_) => Ok(vec![Base::Pack(name.into_owned())]),
            None => {
                let known: Vec<&str> = built::PACKS.iter().map(|p| p.name.as_ref()).collect();
                Err(Refusal::Words(format!(
                    "{name} does not exist, and is no built-in pack either; those are {}",
                    known.join(", ")
                )))
            }
        };
    }
    let (folders, configs, report) = validate::found(path);
    if report.has_errors() {
        return Err(report.into());
    }
    // Configs of a folder serve its packs, whose examples run by themselves.
    if folders.is_empty() || (path.is_file() && !configs.is_empty()) {
        return Ok(configs.into_iter().map(Base::Config).collect());
    }
    Ok(folders
        .into_iter()
        .map(|folder| Base::Pack(Place::named(&folder)))
        .collect())
}

/// Adds the examples of what is served.
fn add(base: &Base, env: &Environment, plan: &mut Plan) -> Result<(), Refusal> {
    let mut packs = Packs::default();
    let mut report = Report::new();
    let mut named = Vec::new();
    match base {
        Base::Pack(name) => {
            let (index, problems) = packs.add(Place::of(name, Path::new("")));
            report.extend(problems);
            named.extend(index);
        }
        Base::Config(path) => {
            let folder = base_of(path);
            let source = read_source(path, &shown(path))?;
            let lookup = |name: &str| env.get(name);
            let (config, problems) = setup::load(source, &folder, Some(&lookup), &[]);
            report.extend(problems);
            if let Some(config) = config {
                let folder = config.base(folder);
                for name in &config.packs {
                    let (index, problems) = packs.add(Place::of(name, &folder));
                    report.extend(problems);
                    named.extend(index);
                }
            }
        }
    }
    if report.has_errors() {
        return Err(report.into());
    }
    let found = packs.into_found();
    let base = match base {
        Base::Pack(name) => Base::Pack(absolute(name, Path::new(""))),
        config => config.clone(),
    };
    let named: BTreeSet<usize> = named.into_iter().collect();
    for index in named {
        of_pack(&found, index, &base, plan)?;
    }
    Ok(())
}

/// The examples that a pack serves: its own, those of what it makes, and those of the tools that it gives other names.
fn of_pack(found: &[Found], index: usize, base: &Base, plan: &mut Plan) -> Result<(), Refusal> {
    let Some(Found { pack, uses, .. }) = found.get(index) else {
        return Ok(());
    };
    let own = Arc::new(BTreeMap::new());
    let maker = |home: &'_ Pack, tool: &str, made: bool, served: &Arc<BTreeMap<_, _>>| Maker {
        pack: pack.name.to_string(),
        home: home.name.to_string(),
        tool: tool.to_owned(),
        made,
        served: Arc::clone(served),
        base: base.clone(),
    };
    for (name, tool) in pack.tools.iter() {
        if tool.examples.is_empty() {
            plan.bare.push(name.to_owned());
        }
        maker(pack, name, false, &own).cases(pack, name, &tool.examples, plan);
    }
    for (name, generator) in pack.generate.iter() {
        let name = format!("generate/{name}");
        if generator.tool.examples.is_empty() {
            plan.bare.push(name.clone());
        }
        maker(pack, &name, true, &own).cases(pack, &name, &generator.tool.examples, plan);
    }
    let other = pack.aliases.iter();
    let other: BTreeMap<String, String> = other
        .map(|(alias, target)| (target.to_string(), alias.to_owned()))
        .collect();
    let served = Arc::new(other);
    for (alias, target) in pack.aliases.iter() {
        let homes = uses.iter().filter_map(|index| found.get(*index));
        for home in homes {
            if let Some(tool) = home.pack.tools.get(target) {
                let maker = maker(&home.pack, alias, false, &served);
                maker.cases(&home.pack, target, &tool.examples, plan);
            }
        }
    }
    Ok(())
}

/// What the examples of a tool have in common.
struct Maker {
    pack: String,
    home: String,
    tool: String,
    made: bool,
    served: Arc<BTreeMap<String, String>>,
    base: Base,
}

impl Maker {
    fn cases(&self, home: &Pack, owner: &str, examples: &List<Example>, plan: &mut Plan) {
        for (index, example) in examples.iter().enumerate() {
            if !self.can_run(example) {
                continue;
            }
            let origin = home.origins.get(&example_origin(owner, index));
            let title = example.title.as_deref();
            plan.cases.push(Case {
                pack: self.pack.clone(),
                tool: self.tool.clone(),
                made: self.made,
                title: title.map_or_else(|| format!("example {}", index + 1), str::to_owned),
                origin: origin.map(Text::to_string).unwrap_or_default(),
                home: self.home.clone(),
                served: Arc::clone(&self.served),
                example: example.clone(),
                fixture: fixture(&home.fixtures, example),
                base: self.base.clone(),
            });
        }
    }

    /// An example of a tool under another name can only be run if what it calls besides is served too.
    fn can_run(&self, example: &Example) -> bool {
        let mut happenings = example.given.iter().chain(example.then.iter());
        let served = |given: &Given| match &given.tool {
            Some(tool) => self.served.contains_key(tool.as_ref()),
            None => !given.asks(),
        };
        self.pack == self.home || happenings.all(served)
    }
}

fn fixture(fixtures: &Map<Fixture>, example: &Example) -> Fixture {
    let name = example.fixture.as_deref().unwrap_or(DEFAULT_FIXTURE);
    fixtures.get(name).cloned().unwrap_or_default()
}

/// What a config or a command line names, wherever it is read: folders become absolute.
pub(super) fn absolute(name: &str, base: &Path) -> String {
    match Place::of(name, base) {
        Place::Builtin(name) => name,
        Place::Folder(path) => {
            let path = std::path::absolute(&path).unwrap_or(path);
            path.to_string_lossy().into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Tools that no example can make succeed, and why.
    const NEVER: [(&str, &str); 3] = [
        (
            "loom / council.intervene",
            "councils on NATS take no messages from outside: it always refuses",
        ),
        ("loom / session.sync", "it pulls with git"),
        ("loom / session.sync_check", "it asks git"),
    ];

    /// What a tool of a built-in pack has examples of.
    #[derive(Default)]
    struct Shown {
        success: bool,
        failure: bool,
    }

    /// Whoever reads a tool's page, and the tests that run every example, must meet both.
    #[test]
    fn every_built_in_tool_has_an_example_that_succeeds_and_one_that_fails() {
        let names = built::PACKS.iter().map(|p| PathBuf::from(p.name.as_ref()));
        let names: Vec<PathBuf> = names.collect();
        let env = std::iter::empty::<(&str, &str)>().collect();
        let plan = gather(&names, None, &env).unwrap();
        let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
        for pack in built::PACKS {
            let generators = pack.generate.keys().map(|name| format!("generate/{name}"));
            let tools = pack.tools.keys().chain(pack.aliases.keys());
            for tool in tools.map(str::to_owned).chain(generators) {
                shown.insert(format!("{} / {tool}", pack.name), Shown::default());
            }
        }
        for case in &plan.cases {
            let key = format!("{} / {}", case.pack, case.tool);
            let shown = shown.get_mut(&key).unwrap();
            let fails = case.example.expect.error == Some(true);
            shown.failure |= fails;
            shown.success |= !fails;
        }
        for (tool, why) in NEVER {
            let known = shown.get_mut(tool);
            let success = known.map(|shown| std::mem::replace(&mut shown.success, true));
            assert_eq!(success, Some(false), "{tool} need not be listed: {why}");
        }
        let lacking = |what: &str, has: fn(&Shown) -> bool| -> Vec<String> {
            let lacking = shown.iter().filter(|(_, shown)| !has(shown));
            lacking
                .map(|(tool, _)| format!("{tool}: no example {what}"))
                .collect()
        };
        let mut wrong = lacking("succeeds", |shown| shown.success);
        wrong.extend(lacking("fails (`expect: {error: true}`)", |shown| {
            shown.failure
        }));
        assert_eq!(wrong, Vec::<String>::new(), "add them to `examples`");
    }
}
