//! `delete_file`: removes one file of a folder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Text;
use crate::spec::shape::Shape;
use crate::spec::tree::Template;

/// Removes one file. One that is not there is no error (`deleted` is false).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteFile {
    /// A folder of this pack, declared with `write: true`.
    pub folder: Text,
    /// The file's path in the folder: relative, without `..`, at most 1024 bytes.
    pub path: Template,
}

impl Grammar for DeleteFile {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.folder("folder", &self.folder, true);
        cx.template("path", &self.path);
        Shape::object([("path", Shape::Text), ("deleted", Shape::Bool)])
    }
}
