//! Under which name a tool is served: `tools.*` in expressions.
//!
//! A pack says `tools.save` for its tool `save`. Where another pack serves that tool as `note_save`, that is what it means.

use std::collections::BTreeMap;

use minijinja::value::{Serde, Value as Jinja};

use super::packs::Found;
use crate::spec::model::Pack;

/// The names of the tools of each pack, as each pack that serves them calls them.
#[derive(Debug)]
pub struct Names {
    /// Of a pack that the config does not name: the first one named that uses it.
    users: Vec<Option<usize>>,
    own: Vec<BTreeMap<String, String>>,
    aliases: Vec<BTreeMap<String, String>>,
}

impl Names {
    /// Of packs, some of which the config names.
    pub fn of(packs: &[Found], named: &[usize]) -> Self {
        let user = |used: usize| {
            let mut users = named.iter().filter(|_| !named.contains(&used));
            users.find(|user| packs.get(**user).is_some_and(|p| p.uses.contains(&used)))
        };
        Self {
            users: (0..packs.len()).map(|used| user(used).copied()).collect(),
            own: packs.iter().map(|found| own(&found.pack)).collect(),
            aliases: packs.iter().map(|found| aliases(&found.pack)).collect(),
        }
    }

    /// The pack that speaks for one which the config does not name: the first one named that uses it.
    pub fn user(&self, pack: usize) -> Option<usize> {
        self.users.get(pack).copied().flatten()
    }

    /// What `tools` is in a pack where nobody calls one of its tools: in a timer, for example.
    pub fn home(&self, pack: usize) -> Jinja {
        self.seen(pack, self.user(pack).unwrap_or(pack))
    }

    /// What `tools` is in the tools of `pack` that the pack `by` serves.
    pub fn seen(&self, pack: usize, by: usize) -> Jinja {
        let mut names = self.own.get(pack).cloned().unwrap_or_default();
        if by != pack
            && let Some(aliases) = self.aliases.get(by)
        {
            for (tool, served) in names.iter_mut() {
                if let Some(alias) = aliases.get(tool) {
                    served.clone_from(alias);
                }
            }
        }
        Jinja::from(Serde(&names))
    }
}

/// The names that a pack itself knows: its tools, its aliases, and the tools that these stand for.
fn own(pack: &Pack) -> BTreeMap<String, String> {
    let mut names = aliases(pack);
    let plain = pack.tools.keys().chain(pack.aliases.keys());
    names.extend(plain.map(|name| (name.to_owned(), name.to_owned())));
    names
}

/// Alias by tool.
fn aliases(pack: &Pack) -> BTreeMap<String, String> {
    let pairs = pack.aliases.iter();
    pairs
        .map(|(alias, tool)| (tool.to_string(), alias.to_owned()))
        .collect()
}
