//! Who may use which tool: scopes and toolsets.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Client;
use crate::catalog::Tools;
use crate::spec::config::Config;
use crate::spec::config::http::fits;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::join;

/// What the tools of a catalog ask of clients.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Of each tool: the scopes that a client must have. A tool that is not here is nobody's, though it may be served already.
    scopes: HashMap<String, Vec<String>>,
    toolsets: BTreeMap<String, Toolset>,
}

#[derive(Debug, PartialEq, Eq)]
struct Toolset {
    tools: HashSet<String>,
    scopes: Vec<String>,
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
    /// What a config and the tools themselves say. The report holds warnings about patterns that fit no tool.
    pub fn new(config: &Config, tools: &Tools) -> (Self, Report) {
        let mut report = Report::new();
        let names: Vec<&str> = tools.names().collect();
        let mut scopes: HashMap<String, Vec<String>> = names
            .iter()
            .map(|n| ((*n).to_owned(), Vec::new()))
            .collect();
        for tool in tools.iter() {
            for scope in tool.spec.scopes.iter() {
                require(&mut scopes, &tool.name, scope);
            }
        }
        for (pattern, wanted) in &config.scopes {
            let found = matching(&names, pattern);
            if found.is_empty() {
                fits_nothing(
                    config,
                    &join("/scopes", pattern),
                    true,
                    pattern,
                    &mut report,
                );
            }
            for name in found {
                for scope in wanted {
                    require(&mut scopes, name, scope);
                }
            }
        }
        let mut toolsets = BTreeMap::new();
        for (name, set) in &config.toolsets {
            let mut tools = HashSet::new();
            for (index, pattern) in set.tools.iter().enumerate() {
                let found = matching(&names, pattern);
                if found.is_empty() {
                    let at = format!("{}/tools/{index}", join("/toolsets", name));
                    fits_nothing(config, &at, false, pattern, &mut report);
                }
                tools.extend(found.into_iter().map(str::to_owned));
            }
            let scopes = set.scopes.clone();
            toolsets.insert(name.clone(), Toolset { tools, scopes });
        }
        (Self { scopes, toolsets }, report)
    }

    /// Whether a client sees and may call a tool. Scopes bind those who log in; where nobody has to, all tools are open.
    pub fn may(&self, client: &Client, tool: &str) -> bool {
        let listed = match &client.toolset {
            None => true,
            Some(name) => self
                .toolsets
                .get(&**name)
                .is_some_and(|set| set.tools.contains(tool)),
        };
        let open = |all: &Vec<String>| has_all(client, all);
        listed && self.scopes.get(tool).is_some_and(open)
    }

    /// Whether a client may connect to the toolset that it asks for.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn enter(&self, client: &Client) -> Result<(), Denied> {
        let Some(name) = &client.toolset else {
            return Ok(());
        };
        let set = self.toolsets.get(&**name).ok_or(Denied::UnknownToolset)?;
        if has_all(client, &set.scopes) {
            Ok(())
        } else {
            Err(Denied::Scopes(set.scopes.clone()))
        }
    }

    /// Every scope that is asked for anywhere, sorted.
    pub fn all_scopes(&self) -> Vec<String> {
        let sets = self.toolsets.values().flat_map(|set| &set.scopes);
        let mut all: Vec<String> = self
            .scopes
            .values()
            .flatten()
            .chain(sets)
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Whether a client has all of these scopes; one that did not have to log in has every scope.
pub fn has_all(client: &Client, scopes: &[String]) -> bool {
    let Some(principal) = &client.principal else {
        return true;
    };
    scopes.iter().all(|scope| principal.scopes.contains(scope))
}

fn matching<'a>(names: &[&'a str], pattern: &str) -> Vec<&'a str> {
    let fitting = names.iter().filter(|name| fits(pattern, name));
    fitting.copied().collect()
}

fn require(scopes: &mut HashMap<String, Vec<String>>, tool: &str, scope: &str) {
    let wanted = scopes.entry(tool.to_owned()).or_default();
    if !wanted.iter().any(|other| other == scope) {
        wanted.push(scope.to_owned());
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
    let text = format!("no tool has a name like `{pattern}`");
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
    use std::sync::Arc;

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
        let (access, report) = Access::new(&config, &catalog.tools());
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
