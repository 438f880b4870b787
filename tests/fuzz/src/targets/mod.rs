//! What is fuzzed, and what has to hold. The regression test of the main package includes this very module.

mod bed;
mod bodies;
mod client;
mod judge;
mod lines;
mod specs;

/// A way into the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Files of a pack, a config, a project file.
    Specs,
    /// Lines of MCP over pipes.
    Lines,
    /// Requests of MCP over HTTP.
    Bodies,
}

impl Target {
    /// Every target.
    pub const ALL: &[Self] = &[Self::Specs, Self::Lines, Self::Bodies];

    /// The word that stands for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Specs => "specs",
            Self::Lines => "lines",
            Self::Bodies => "bodies",
        }
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|target| target.name() == name)
    }

    /// Takes an input.
    ///
    /// # Panics
    /// Where something does not hold that has to.
    pub fn run(self, input: &[u8]) {
        match self {
            Self::Specs => specs::run(input),
            Self::Lines => lines::run(input),
            Self::Bodies => bodies::run(input),
        }
    }
}
