//! `use`: runs a macro.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::suggest;
use crate::spec::tree::Tree;

/// Runs the steps of a macro of the pack, and yields its `result`. What fails in them fails this step, in the words of the
/// step in the macro.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// The name of a macro under `macros`.
    pub r#macro: Text,
    /// The values of all its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
}

impl Use {
    /// The parameters that it gives values for.
    pub fn given(&self) -> impl Iterator<Item = (&str, &Tree)> {
        self.with.iter().flat_map(Map::iter)
    }
}

impl Grammar for Use {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        for (name, tree) in self.given() {
            cx.inside("with").value(name, tree);
        }
        let Some((params, result)) = cx.macro_named("macro", &self.r#macro) else {
            return Shape::Any;
        };
        let given: BTreeSet<&str> = self.given().map(|(name, _)| name).collect();
        let wanted: BTreeSet<&str> = params.iter().map(String::as_str).collect();
        for name in wanted.difference(&given) {
            cx.needs(&format!("the macro `{}` needs `{name}` in `with`", self.r#macro), &format!("write `with: {{{name}: …}}`"));
        }
        for name in given.difference(&wanted) {
            cx.needs(&format!("the macro `{}` has no parameter `{name}`", self.r#macro), &suggest::help(name, params.iter().map(String::as_str)));
        }
        result
    }
}
