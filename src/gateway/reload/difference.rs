//! What is other than before.

use std::fmt;

use crate::catalog::{Catalog, Tool};
use crate::gateway::serving::Serving;

/// The most names in one part of a line of the log.
const NAMES: usize = 20;

/// What is other than before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Names of tools.
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    /// Those that are listed otherwise, or do something else.
    pub(super) changed: Vec<String>,
    /// Names of packs that are other, or set otherwise.
    pub(super) packs: Vec<String>,
    /// Whether clients see other tools than before.
    pub(super) offer: bool,
    /// Whether they see other resources.
    pub(super) resources: bool,
    /// Whether they see other prompts.
    pub(super) prompts: bool,
}

impl Difference {
    pub(super) fn between(before: &Serving, now: &Serving) -> Self {
        let (old, new) = (before.engine.catalog(), now.engine.catalog());
        let (old_tools, new_tools) = (old.tools(), new.tools());
        let mut difference = Self {
            packs: packs(old, new),
            offer: **before.offer.load() != **now.offer.load(),
            prompts: old.prompts != new.prompts,
            resources: !before.resources.same(&now.resources),
            ..Self::default()
        };
        for tool in new_tools.iter() {
            match old_tools.get(&tool.name) {
                None => difference.added.push(tool.name.clone()),
                Some(other) if same(other, tool) => {}
                Some(_) => difference.changed.push(tool.name.clone()),
            }
        }
        let gone = |tool: &&str| new_tools.get(tool).is_none();
        let removed = old_tools.names().filter(gone);
        difference.removed = removed.map(str::to_owned).collect();
        difference
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("added", &self.added),
            ("removed", &self.removed),
            ("changed", &self.changed),
        ];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let mut parts: Vec<String> = parts.map(|(word, names)| part(word, names)).collect();
        if parts.is_empty() {
            parts.push("no tool is other than before".to_owned());
            if !self.packs.is_empty() {
                parts.push(part("changed packs:", &self.packs));
            }
        }
        if self.resources {
            parts.push("the resources are others".to_owned());
        }
        if self.prompts {
            parts.push("the prompts are others".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}

fn part(word: &str, names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES).map(String::as_str).collect();
    let more = match names.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{word} {}{more}", shown.join(", "))
}

/// Whether a tool is listed as before and does the same, as far as it itself says what it does.
fn same(one: &Tool, other: &Tool) -> bool {
    one.title == other.title
        && one.description == other.description
        && one.input == other.input
        && one.output == other.output
        && one.spec == other.spec
        && one.given == other.given
}

/// The packs that are not as they were.
fn packs(old: &Catalog, new: &Catalog) -> Vec<String> {
    let same = |one: &crate::catalog::LoadedPack| {
        let mut others = old.packs.iter();
        let other = others.find(|other| other.pack.name == one.pack.name);
        other.is_some_and(|other| {
            other.pack == one.pack && other.settings == one.settings && other.named == one.named
        })
    };
    let name = |loaded: &crate::catalog::LoadedPack| loaded.pack.name.to_string();
    let changed = new.packs.iter().filter(|one| !same(one)).map(name);
    let gone = |one: &&crate::catalog::LoadedPack| {
        let mut others = new.packs.iter();
        !others.any(|other| other.pack.name == one.pack.name)
    };
    changed
        .chain(old.packs.iter().filter(gone).map(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_what_is_other() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let difference = Difference {
            added: names(&["a", "b"]),
            changed: names(&["c"]),
            packs: names(&["mine"]),
            offer: true,
            ..Difference::default()
        };
        assert_eq!(difference.to_string(), "added a, b; changed c");
        let difference = Difference {
            packs: names(&["mine"]),
            ..Difference::default()
        };
        let line = "no tool is other than before; changed packs: mine";
        assert_eq!(difference.to_string(), line);
        assert!(!difference.is_empty() && Difference::default().is_empty());
        let many = Difference {
            removed: (0..NAMES + 2).map(|n| format!("t{n}")).collect(),
            ..Difference::default()
        };
        assert!(many.to_string().ends_with("t19 and 2 more"), "{many}");
    }
}
