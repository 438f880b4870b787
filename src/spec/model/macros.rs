//! Steps with a name, that tools and others share.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::{List, Text};
use crate::spec::tree::Tree;
use crate::spec::verbs::Step;

/// Steps with a name, run by the verb `use`. They see their parameters, `session`, `project`, `config`, `tools` and `call`, and
/// nothing of the steps around the `use`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Macro {
    /// The names of its parameters; each `use` gives all of them.
    #[serde(default)]
    pub params: List<Text>,
    /// What it does.
    pub steps: List<Step>,
    /// What the `use` yields; null when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Tree>,
}
