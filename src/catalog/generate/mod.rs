//! Tools that are made from lists and documents, by the generators of the packs.

mod library;
mod making;

use std::collections::HashSet;
use std::sync::Arc;

use minijinja::value::{Serde, Value as Jinja};
use serde_json::Value;

pub use library::Library;
use making::Making;

use super::{Catalog, Tool, Tools, twice};
use crate::spec::config::Config;
use crate::spec::data::Text;
use crate::spec::diag::Report;

/// Tools at one place of the list that is served.
#[derive(Debug)]
pub(super) enum Slot {
    /// One that a pack declares.
    Fixed(Arc<Tool>),
    /// Those that a generator has made.
    Made(Made),
}

/// What a generator has made.
#[derive(Debug)]
pub(super) struct Made {
    pack: usize,
    generator: String,
    tools: Vec<Arc<Tool>>,
    /// Whether a tool that cannot be served is left out with a warning.
    skips: bool,
}

impl Catalog {
    /// Makes the tools of a generator: of its list, or of `entries` where it takes these from elsewhere. `config` is
    /// where the path of a missing document may stand.
    pub(super) fn make(
        &self,
        pack: usize,
        name: &str,
        entries: &[Value],
        (library, config): (&Arc<Library>, Option<&Config>),
        report: &mut Report,
    ) -> Option<Made> {
        let generator = self.packs.get(pack)?.pack.generate.get(name)?;
        let making = Making {
            catalog: self,
            pack,
            name,
            generator,
            library,
            config,
            base: self.base_context(pack),
        };
        let (entries, skips) = match making.begin(entries) {
            Ok(begun) => begun,
            Err(problems) => {
                report.extend(problems);
                return None;
            }
        };
        let mut tools = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            match making.tool(index, entry) {
                Ok(tool) => tools.extend(tool.map(Arc::new)),
                Err(problems) if skips => report.extend(problems.into_warnings()),
                Err(problems) => report.extend(problems),
            }
        }
        Some(Made {
            pack,
            generator: name.to_owned(),
            tools,
            skips,
        })
    }

    /// Makes anew the tools of all generators that are `from` a source, of what there is now, and serves them in the place of
    /// those before; all other tools stay. An entry of which no tool can be made is left out, with a warning. Whether the
    /// tools are listed otherwise now, and the warnings.
    ///
    /// Compiles schemas: many of them take their time.
    pub fn regenerate(&self, source: &str, entries: &[Value]) -> (bool, Report) {
        let mut report = Report::new();
        // Held to the end: who comes later swaps later.
        let mut slots = self.slots();
        let library = Library::new(&self.base);
        for slot in slots.iter_mut() {
            let Slot::Made(made) = slot else { continue };
            let generators = &self.packs[made.pack].pack.generate;
            let from = generators
                .get(&made.generator)
                .and_then(|g| g.from.as_ref());
            if from.is_none_or(|from| from != source) {
                continue;
            }
            let reading = (&library, None);
            let again = self.make(made.pack, &made.generator, entries, reading, &mut report);
            if let Some(again) = again {
                *made = again;
            }
        }
        self.note_documents(&library);
        let tools = self.admitted(compose(&slots, true, &mut report), &mut report);
        (self.served.swap(tools), report.into_warnings())
    }
}

/// All tools in their order. One whose name is taken is told and left out; a declared one never gives way to a made one. With
/// `lenient`, or where its generator skips, that is only a warning.
pub(super) fn compose(slots: &[Slot], lenient: bool, report: &mut Report) -> Tools {
    let fixed: HashSet<&str> = slots
        .iter()
        .filter_map(|slot| match slot {
            Slot::Fixed(tool) => Some(tool.name.as_str()),
            Slot::Made(_) => None,
        })
        .collect();
    let mut tools = Tools::default();
    for slot in slots {
        let (list, made) = match slot {
            Slot::Fixed(tool) => (std::slice::from_ref(tool), None),
            Slot::Made(made) => (made.tools.as_slice(), Some(made)),
        };
        for tool in list {
            let before = tools.get(&tool.name).map(|other| other.origin.as_str());
            let later = made.filter(|_| fixed.contains(tool.name.as_str()));
            let other = before.or(later.map(|_| "a pack of this config"));
            match other {
                None => tools.push(Arc::clone(tool)),
                Some(other) => {
                    let mut problem = twice(&tool.name, other, &tool.origin);
                    problem.label.clone_from(&tool.named);
                    let mild = lenient || made.is_some_and(|made| made.skips);
                    report.push(if mild { problem.warning() } else { problem });
                }
            }
        }
    }
    tools
}

/// Names with their values, beside those of a pack.
#[derive(Debug, Clone)]
struct Names {
    base: Jinja,
    given: Vec<(Text, Jinja)>,
}

impl Names {
    fn bind(&mut self, name: impl Into<Text>, value: Jinja) {
        self.given.push((name.into(), value));
    }

    fn context(&self) -> Jinja {
        Jinja::from_object(self.clone())
    }
}

impl minijinja::value::Object for Names {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Jinja> {
        let given = self.given.iter().rev().find(|(n, _)| n == name);
        match given {
            Some((_, value)) => Some(value.clone()),
            None => self.base.get_attr(name).ok().filter(|v| !v.is_undefined()),
        }
    }
}

/// Entries as expressions see them.
fn values(entries: &[Value]) -> Vec<Jinja> {
    entries
        .iter()
        .map(|entry| Jinja::from(Serde(entry)))
        .collect()
}

#[cfg(test)]
mod tests;
