//! `read_file`: one file of a folder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use super::files::FileForm;
use crate::spec::check::StepCheck;
use crate::spec::data::Text;
use crate::spec::shape::Shape;
use crate::spec::tree::{Size, Template};

/// Reads one file. A file that is not there is no error (`found` is false), unless the step has `else`. Text that is not of the
/// form that `as` names is a failure, which says line and column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// A folder of this pack.
    pub folder: Text,
    /// The file's path in the folder: relative, without `..`, at most 1024 bytes.
    pub path: Template,
    /// What it is: `text` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#as: Option<FileForm>,
    /// The largest file that is read: 1MiB when not given, 16MiB at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
}

impl Grammar for ReadFile {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.folder("folder", &self.folder, false);
        cx.template("path", &self.path);
        if let Some(size) = &self.max_bytes {
            cx.value("max_bytes", &size.0);
        }
        Shape::object([
            ("found", Shape::Bool),
            ("path", Shape::Text),
            ("text", Shape::Text),
            ("data", Shape::Any),
            ("bytes", Shape::Number),
            ("modified", Shape::Text),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
