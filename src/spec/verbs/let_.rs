//! `let`: gives names to values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::Map;
use crate::spec::shape::Shape;
use crate::spec::tree::Tree;

/// Names and their values. All values are made before any name is bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Let(pub Map<Tree>);

impl Grammar for Let {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        let fields: Vec<(&str, Shape)> = self
            .0
            .iter()
            .map(|(name, tree)| (name, cx.value(name, tree)))
            .collect();
        Shape::object(fields)
    }

    fn binds(&self, cx: &mut StepCheck<'_>) -> Vec<(String, Shape)> {
        self.0
            .iter()
            .map(|(name, tree)| {
                cx.new_name(name);
                (name.to_owned(), cx.value(name, tree))
            })
            .collect()
    }

    fn repeats(&self) -> bool {
        true
    }
}
