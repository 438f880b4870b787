//! `append`: a line of a journal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Text;
use crate::spec::shape::Shape;
use crate::spec::tree::Template;

/// Writes a line at the end of a journal. It never fails for the file's sake: what cannot be written is logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Append {
    /// A journal of this pack.
    pub journal: Text,
    /// The line. Line breaks in it are written as `\n`.
    pub line: Template,
}

impl Grammar for Append {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.journal("journal", &self.journal);
        cx.template("line", &self.line);
        Shape::object([("written", Shape::Bool)])
    }
}
