//! What is fuzzed, and what has to hold. The regression test of the main package includes this very module.

mod specs;

/// A way into the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Files of a pack, a config, a project file.
    Specs,
}

impl Target {
    /// Every target.
    pub const ALL: &[Self] = &[Self::Specs];

    /// The word that stands for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Specs => "specs",
        }
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|target| target.name() == name)
    }

    /// Takes an input.
    ///
    /// # Panics
    /// Where something does not hold that has to.
    pub fn run(self, input: &[u8]) {
        match self {
            Self::Specs => specs::run(input),
        }
    }
}
