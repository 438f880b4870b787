//! `set`: changes what the session remembers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Map;
use crate::spec::shape::Shape;
use crate::spec::tree::Tree;

/// Names of the session state and their new values; `omit` forgets a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Set(pub Map<Tree>);

impl Grammar for Set {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        for (name, tree) in self.0.iter() {
            cx.session_name(name);
            cx.value(name, tree);
        }
        Shape::Any
    }

    fn proves(&self) -> Vec<String> {
        let forgets = |tree: &Tree| match tree {
            Tree::Expr(text) => text.contains("omit"),
            _ => false,
        };
        self.0
            .iter()
            .filter(|(_, tree)| !forgets(tree))
            .map(|(name, _)| format!("session.{name}"))
            .collect()
    }

    fn repeats(&self) -> bool {
        true
    }
}
