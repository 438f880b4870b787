//! What the verbs about files share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::shape::Shape;

/// The most files of one list.
pub const MAX_FILES: usize = 1_000;
/// The largest file that is read, in bytes: 16 MiB.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// What a file is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileForm {
    /// Text alone: `data` is null.
    Text,
    /// YAML, of which JSON is a part: `data` is its value.
    Yaml,
    /// JSON: `data` is its value.
    Json,
    /// Bytes: `data` is their base64, and `text` is null.
    Base64,
}

/// A file of a list as expressions see it; with `read`, its content as well.
pub(super) fn listed_shape(read: bool) -> Shape {
    let mut fields = vec![
        ("path", Shape::Text),
        ("name", Shape::Text),
        ("bytes", Shape::Number),
        ("modified", Shape::Text),
    ];
    if read {
        fields.extend([
            ("text", Shape::Text),
            ("data", Shape::Any),
            ("error", Shape::Text),
        ]);
    }
    Shape::object(fields)
}
