//! `check`: a value against a schema of the pack.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{Template, Tree};

/// Checks a value against one of the pack's `schemas`. The result is the value with the schema's defaults filled in; a
/// value that does not fit is an error of the kind `invalid`, which names everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The value.
    pub value: Tree,
    /// The name of a schema under `schemas`.
    pub schema: Template,
}

impl Grammar for Check {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.value("value", &self.value);
        cx.schema("schema", &self.schema)
    }

    fn repeats(&self) -> bool {
        true
    }
}
