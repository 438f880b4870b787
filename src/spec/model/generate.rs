//! Tools that are made from documents, or from what there is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tool;
use crate::spec::data::{Map, Text};
use crate::spec::tree::{Expr, Span, Template, Tree};

/// What [`Generator::from`] may name: the endpoints of the NATS services that are there.
pub const MICRO: &str = "micro";

/// Tools made from a list: one for each element, which is called `entry`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// An expression over `project`, `config` and `tools` that yields the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Expr>,
    /// Instead of `each`: where the elements come from while the gateway runs. The tools come and go with them. `micro`: an
    /// element for each endpoint of the NATS services that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Text>,
    /// With `from`: how often it is looked whether they have changed: 5s when not given, 1s to 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// The path of a YAML or JSON file, relative to the config's folder: its content is called `doc`. Of a list of paths, the
    /// first that exists is read. May use `entry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Tree>,
    /// The schema under `schemas` that the document must fit; its defaults are filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Text>,
    /// What becomes of an element that no tool can be made of: `fail` (the default) stops the start of the gateway, `skip`
    /// leaves the tool out with a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<Template>,
    /// Names for values, worked out in order when the tools are made. May use `entry`, `doc`, `place` and
    /// `document('path')`.
    #[serde(default)]
    pub r#let: Map<Tree>,
    /// A condition over the same names: no tool where it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// The name of the tool.
    pub name: Template,
    /// The tool. All of it sees `entry`, `doc`, `place` and the names of `let`.
    pub tool: Tool,
}
