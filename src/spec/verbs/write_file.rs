//! `write_file`: one file of a folder, as a whole.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Text;
use crate::spec::shape::Shape;
use crate::spec::tree::{Flag, Template};

/// Writes one file as a whole: whoever reads it finds the old text or the new one. Its permissions are kept. Folders in the path
/// are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// A folder of this pack, declared with `write: true`.
    pub folder: Text,
    /// The file's path in the folder: relative, without `..`, at most 1024 bytes.
    pub path: Template,
    /// Its text.
    pub text: Template,
    /// Whether a file that is not there is made: true when not given. With false, that it is not there is an answer
    /// (`not_found`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<Flag>,
    /// Whether a file that is there is written anew: true when not given. With false, that it is there is an answer
    /// (`already_exists`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrite: Option<Flag>,
}

impl Grammar for WriteFile {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.folder("folder", &self.folder, true);
        cx.template("path", &self.path);
        cx.template("text", &self.text);
        for (key, flag) in [("create", &self.create), ("overwrite", &self.overwrite)] {
            if let Some(flag) = flag {
                cx.value(key, &flag.0);
            }
        }
        Shape::object([
            ("path", Shape::Text),
            ("bytes", Shape::Number),
            ("created", Shape::Bool),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
