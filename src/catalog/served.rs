//! The tools that are served: a list that is swapped as a whole when some of them are made anew.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Tool;

/// The tools of one moment, in the order of packs and files.
#[derive(Debug, Default)]
pub struct Tools {
    list: Vec<Arc<Tool>>,
    by_name: HashMap<String, usize>,
    withheld: Vec<Arc<Tool>>,
    fingerprint: Arc<str>,
}

impl Tools {
    /// Adds a tool at the end, in place of none: its name must be new.
    pub(super) fn push(&mut self, tool: impl Into<Arc<Tool>>) {
        let tool = tool.into();
        self.by_name.insert(tool.name.clone(), self.list.len());
        self.list.push(tool);
    }

    /// The same, without those that do not pass: these are withheld.
    pub(super) fn passing(self, mut passes: impl FnMut(&Tool) -> bool) -> Self {
        let mut tools = Self::default();
        for tool in self.list {
            if passes(&tool) {
                tools.push(tool);
            } else {
                tools.withheld.push(tool);
            }
        }
        tools
    }

    /// The tools that there would be, and that nobody may see or call because they are not approved.
    pub fn withheld(&self) -> &[Arc<Tool>] {
        &self.withheld
    }

    /// A tool by its name.
    pub fn get(&self, name: &str) -> Option<&Arc<Tool>> {
        self.by_name.get(name).and_then(|i| self.list.get(*i))
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Tool>> + Clone {
        self.list.iter()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.list.iter().map(|tool| tool.name.as_str())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Eight hex digits that are others when the tools are listed otherwise, and the same in every gateway that lists them so.
    pub fn fingerprint(&self) -> &Arc<str> {
        &self.fingerprint
    }

    fn sealed(mut self) -> Self {
        let mut hash = Sha256::new();
        for tool in &self.list {
            let shown = json!([
                tool.name,
                tool.title,
                tool.description,
                *tool.input,
                tool.output.as_deref()
            ]);
            hash.update(shown.to_string());
        }
        let digest = hash.finalize();
        let digits = digest.iter().take(4).map(|byte| format!("{byte:02x}"));
        self.fingerprint = digits.collect::<String>().into();
        self
    }
}

/// Where the tools of now are found. Copies show the same.
#[derive(Debug, Clone, Default)]
pub struct Served(Arc<ArcSwap<Tools>>);

impl Served {
    /// The tools of now. Who asks again may get others.
    pub fn now(&self) -> Arc<Tools> {
        self.0.load_full()
    }

    /// The fingerprint of the tools of now.
    pub fn fingerprint(&self) -> Arc<str> {
        Arc::clone(self.0.load().fingerprint())
    }

    /// Puts other tools in the place of those that are served. Whether they are listed otherwise.
    pub(super) fn swap(&self, tools: Tools) -> bool {
        let tools = tools.sealed();
        let fingerprint = Arc::clone(&tools.fingerprint);
        self.0.swap(Arc::new(tools)).fingerprint != fingerprint
    }
}
