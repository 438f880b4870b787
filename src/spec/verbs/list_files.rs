//! `list_files`: the files of a folder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use super::files::{FileForm, MAX_FILES, listed_shape};
use crate::spec::check::StepCheck;
use crate::spec::data::Text;
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Flag, Size, Tree, Whole};

/// Lists the files of a folder, sorted by path. A folder that does not exist has none. Symbolic links that lead out of the folder
/// and names that end in `~` are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListFiles {
    /// A folder of this pack.
    pub folder: Text,
    /// A shell-style pattern of the file's name, or a list of patterns of which one must fit: `*.yaml`. With `recursive`, of
    /// its name or its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Tree>,
    /// Whether the folders in it are looked through as well: false when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recursive: Option<Flag>,
    /// Reads each file too: `text`, and `data` for `yaml` and `json`. What is wrong with a file is its `error`, and fails nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<FileForm>,
    /// The largest file that is read: 1MiB when not given, 16MiB at the most. All files of a list have 16MiB together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
    /// The most files: 1 to 1000, 1000 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Whole>,
    /// Only files for which this holds; the file is called `item`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// What to keep of each file (called `item`), instead of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
}

impl Grammar for ListFiles {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.folder("folder", &self.folder, false);
        if let Some(pattern) = &self.pattern {
            cx.value("pattern", pattern);
        }
        if let Some(recursive) = &self.recursive {
            cx.value("recursive", &recursive.0);
        }
        if let Some(size) = &self.max_bytes {
            cx.value("max_bytes", &size.0);
        }
        if let Some(limit) = &self.limit {
            cx.whole("limit", limit, 1..=MAX_FILES as u64);
        }
        let item = listed_shape(self.read.is_some());
        let kept = cx.kept(self.r#where.as_ref(), self.select.as_ref(), item);
        Shape::object([
            ("items", kept.list()),
            ("count", Shape::Number),
            ("truncated", Shape::Bool),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
