//! Who may use which tool and which prompt: scopes and toolsets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Client;
use crate::catalog::{Prompt, Tools};
use crate::spec::config::Config;
use crate::spec::config::http::fits;
use crate::spec::data::{List, Text};
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::join;

/// What the tools and prompts of a catalog ask of clients.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Access {
    tools: Guarded,
    prompts: Guarded,
    /// The scopes that a client must have in order to connect to a toolset.
    toolsets: BTreeMap<String, Vec<String>>,
    /// The toolset of those who ask for none.
    default: Option<String>,
}

/// Things with names, and who may use each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Guarded {
    /// Of each: the scopes that a client must have. What is not here is nobody's, though it may be served already.
    scopes: HashMap<String, Vec<String>>,
    /// What is in each toolset.
    sets: BTreeMap<String, HashSet<String>>,
}

/// Why a client may not connect where it wants to.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no such toolset.
    UnknownToolset,
    /// It lacks scopes; all that are asked for.
    Scopes(Vec<String>),
}

impl Access {
    /// What a config, the tools and the prompts themselves say. The report holds warnings about patterns that fit none.
    pub fn new(config: &Config, tools: &Tools, prompts: &[Arc<Prompt>]) -> (Self, Report) {
        let mut report = Report::new();
        let named = tools.iter().map(|t| (t.name.as_str(), &t.spec.scopes));
        let mut tools = Guarded::new(named);
        let named = prompts.iter().map(|p| (p.name.as_str(), &p.spec.scopes));
        let mut prompts = Guarded::new(named);
        for (pattern, wanted) in &config.scopes {
            let found = [
                tools.require(pattern, wanted),
                prompts.require(pattern, wanted),
            ];
            if !found.contains(&true) {
                let at = join("/scopes", pattern);
                fits_nothing(config, &at, true, pattern, &mut report);
            }
        }
        let mut toolsets = BTreeMap::new();
        for (name, set) in &config.toolsets {
            for (index, pattern) in set.tools.iter().enumerate() {
                let found = [tools.put(name, pattern), prompts.put(name, pattern)];
                if !found.contains(&true) {
                    let at = set.place(&join("/toolsets", name), index);
                    fits_nothing(config, &at, false, pattern, &mut report);
                }
            }
            toolsets.insert(name.clone(), set.scopes.clone());
        }
        let access = Self {
            tools,
            prompts,
            toolsets,
            default: config.toolset.clone(),
        };
        (access, report)
    }

    /// Whether a client sees and may call a tool. Scopes bind those who log in; where nobody has to, all tools are open.
    pub fn may(&self, client: &Client, tool: &str) -> bool {
        self.tools.open(client, self.toolset(client), tool)
    }

    /// The same of a prompt.
    pub fn may_prompt(&self, client: &Client, prompt: &str) -> bool {
        self.prompts.open(client, self.toolset(client), prompt)
    }

    /// The toolset that a client uses.
    fn toolset<'a>(&'a self, client: &'a Client) -> Option<&'a str> {
        client.toolset.as_deref().or(self.default.as_deref())
    }

    /// Whether a client may connect to the toolset that it asks for.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn enter(&self, client: &Client) -> Result<(), Denied> {
        let Some(name) = self.toolset(client) else {
            return Ok(());
        };
        let scopes = self.toolsets.get(name).ok_or(Denied::UnknownToolset)?;
        if has_all(client, scopes) {
            Ok(())
        } else {
            Err(Denied::Scopes(scopes.clone()))
        }
    }

    /// Every scope that is asked for anywhere, sorted.
    pub fn all_scopes(&self) -> Vec<String> {
        let named = self
            .tools
            .scopes
            .values()
            .chain(self.prompts.scopes.values());
        let all = named.chain(self.toolsets.values()).flatten();
        let mut all: Vec<String> = all.cloned().collect();
        all.sort();
        all.dedup();
        all
    }
}

impl Guarded {
    /// Things with the scopes that they ask for themselves.
    fn new<'a>(named: impl Iterator<Item = (&'a str, &'a List<Text>)>) -> Self {
        let mut guarded = Self::default();
        for (name, wanted) in named {
            let scopes = guarded.scopes.entry(name.to_owned()).or_default();
            wanted.iter().for_each(|scope| require(scopes, scope));
        }
        guarded
    }

    /// Asks for scopes where a name fits; whether one does.
    fn require(&mut self, pattern: &str, wanted: &[String]) -> bool {
        let mut any = false;
        for (_, scopes) in self.scopes.iter_mut().filter(|(n, _)| fits(pattern, n)) {
            any = true;
            wanted.iter().for_each(|scope| require(scopes, scope));
        }
        any
    }

    /// Puts what fits into a toolset; whether anything does.
    fn put(&mut self, toolset: &str, pattern: &str) -> bool {
        let found = self.scopes.keys().filter(|name| fits(pattern, name));
        let found: Vec<String> = found.cloned().collect();
        let any = !found.is_empty();
        self.sets
            .entry(toolset.to_owned())
            .or_default()
            .extend(found);
        any
    }

    fn open(&self, client: &Client, toolset: Option<&str>, name: &str) -> bool {
        let listed = toolset.is_none_or(|set| {
            let set = self.sets.get(set);
            set.is_some_and(|set| set.contains(name))
        });
        let scopes = self.scopes.get(name);
        listed && scopes.is_some_and(|scopes| has_all(client, scopes))
    }
}

/// Whether a client has all of these scopes; one that did not have to log in has every scope.
pub fn has_all(client: &Client, scopes: &[String]) -> bool {
    let Some(principal) = &client.principal else {
        return true;
    };
    scopes.iter().all(|scope| principal.scopes.contains(scope))
}

fn require(scopes: &mut Vec<String>, scope: &str) {
    if !scopes.iter().any(|other| other == scope) {
        scopes.push(scope.to_owned());
    }
}

fn fits_nothing(config: &Config, pointer: &str, key: bool, pattern: &str, report: &mut Report) {
    let Some(doc) = &config.doc else {
        return;
    };
    let range = if key {
        doc.key_range(pointer)
    } else {
        doc.value_range(pointer)
    };
    let text = format!("no tool or prompt has a name like `{pattern}`");
    let found = Diagnostic::error(Code::UnknownResource, &doc.source, range, text);
    report.push(
        found
            .help("`jacquard tools` lists the names; `*` stands for any text")
            .warning(),
    );
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::catalog::Catalog;
    use crate::gateway::Principal;
    use crate::project::{Environment, discover};
    use crate::spec::config::load;
    use crate::spec::source::Source;

    fn access(text: &str) -> (Access, String) {
        let text = format!("packs: [warp]\n{text}");
        let (config, report) = load(Source::new("c.yaml", text), Some(&|_| None));
        let config = config.unwrap_or_else(|| panic!("{report}"));
        let env = Environment::from_iter([("HOME", "/nowhere")]);
        let facts = discover(Some(Path::new("/")), Some("x"), &env).unwrap();
        let (catalog, _) = Catalog::build(&config, Path::new("."), &facts.to_json()).unwrap();
        let (access, report) = Access::new(&config, &catalog.tools(), &catalog.prompts);
        (access, report.render(false))
    }

    fn client(toolset: Option<&str>, scopes: Option<&[&str]>) -> Client {
        Client {
            principal: scopes.map(|scopes| {
                Arc::new(Principal {
                    id: "ann".into(),
                    scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
                    ..Principal::default()
                })
            }),
            toolset: toolset.map(Arc::from),
        }
    }

    #[test]
    fn a_tool_is_open_to_those_with_all_its_scopes_in_its_toolsets() {
        let (access, report) = access(
            "scopes: {'*_send': [write], warp_channels_send: [channels]}\ntoolsets: {see: {tools: ['*_read', '*_status']}, do: {tools: ['*'], scopes: [write]}}\n",
        );
        assert_eq!(report, "");
        let send = "warp_channels_send";
        for (toolset, scopes, tool, expected) in [
            (None, None, send, true),
            (None, Some(&["write", "channels"][..]), send, true),
            (None, Some(&["write"][..]), send, false),
            (None, Some(&[][..]), "warp_channels_read", true),
            (Some("see"), None, send, false),
            (Some("see"), None, "warp_channels_read", true),
            (Some("see"), None, "nothing_read", false),
            (Some("none"), None, send, false),
            // It came since, and what it asks for is not known yet.
            (None, None, "warp_new", false),
            (None, Some(&["write", "channels"][..]), "warp_new", false),
        ] {
            let client = client(toolset, scopes);
            assert_eq!(access.may(&client, tool), expected, "{client:?} {tool}");
        }
        assert_eq!(access.enter(&client(None, Some(&[]))), Ok(()));
        assert_eq!(access.enter(&client(Some("do"), None)), Ok(()));
        assert_eq!(
            access.enter(&client(Some("do"), Some(&["x"]))),
            Err(Denied::Scopes(vec!["write".into()]))
        );
        assert_eq!(
            access.enter(&client(Some("d"), None)),
            Err(Denied::UnknownToolset)
        );
        assert_eq!(access.all_scopes(), ["channels", "write"]);
    }

    #[test]
    fn a_pattern_without_a_tool_is_said() {
        let (_, report) =
            access("scopes: {warp_chanels_send: [w]}\ntoolsets: {a: {tools: [nope]}}\n");
        assert!(report.contains("like `warp_chanels_send`"), "{report}");
        assert!(report.contains("like `nope`"), "{report}");
    }
}
