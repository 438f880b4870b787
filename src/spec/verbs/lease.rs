//! `lease`: the first key that no living holder has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, entry_shape};
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Template, Token, Tree};

/// Takes the first of several keys that nobody holds: one that is not there, one that this holder has already, or one
/// whose holder does not listen any more on its `alive` subject. One round trip for a free key, three for one that is
/// held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The keys in the order of preference: a list of at most 100 texts.
    pub keys: Tree,
    /// Who takes it. Stored as the field `holder` of the value.
    pub holder: Template,
    /// What is stored: a JSON object.
    pub value: Tree,
    /// The subject on which the holder of an entry (called `item`) answers requests for as long as it lives.
    pub alive: Token,
}

impl Grammar for Lease {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.bucket("bucket", &self.bucket, self.with.as_ref());
        if matches!(cx.value("keys", &self.keys), Shape::Text | Shape::Number | Shape::Bool | Shape::Object(_)) {
            cx.needs("`keys` of `lease` must be a list of texts", "make a list of it: `[one, two]`");
        }
        cx.template("holder", &self.holder);
        if matches!(cx.value("value", &self.value), Shape::Text | Shape::Number | Shape::Bool | Shape::List(_)) {
            cx.needs("`value` of `lease` must be an object", "write `{field: …}`");
        }
        cx.token_over("alive", &self.alive, entry_shape());
        Shape::object([
            ("key", Shape::Text),
            ("index", Shape::Number),
            ("revision", Shape::Number),
            ("taken_over", Shape::Bool),
        ])
    }
}
