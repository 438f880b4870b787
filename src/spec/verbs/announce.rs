//! `announce`: tells clients what has changed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Grammar;
use crate::spec::check::StepCheck;
use crate::spec::data::List;
use crate::spec::shape::Shape;
use crate::spec::tree::Template;

/// Tells the clients of this gateway, and of the other gateways of the project, that something has changed which no gateway sees
/// by itself: what steps or other programs have changed. Clients ask again for what they need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// The list of tools.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tools: bool,
    /// The list of prompts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prompts: bool,
    /// The list of resources.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resources: bool,
    /// What the resources with these addresses say: 100 at the most.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub updated: List<Template>,
}

impl Grammar for Announce {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        if !(self.tools || self.prompts || self.resources || self.updated.iter().next().is_some()) {
            cx.needs(
                "`announce` says what has changed",
                "write `tools: true`, `prompts: true`, `resources: true` or `updated: [ADDRESS]`",
            );
        }
        for (index, uri) in self.updated.iter().enumerate() {
            cx.inside("updated").template(&index.to_string(), uri);
        }
        Shape::object([("everywhere", Shape::Bool)])
    }
}
