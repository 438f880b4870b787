//! What a config says of the ways by which tools are offered besides MCP.

use schemars::JsonSchema;
use serde::Deserialize;

/// By what else than MCP the tools can be called.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExposeConfig {
    /// As a NATS service: each tool is an endpoint, so that a plain NATS request can call it.
    #[serde(default)]
    pub micro: Option<MicroConfig>,
}

/// The NATS service that the tools are offered as. Whoever may send to its subjects can call them.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MicroConfig {
    /// The name of the service: `jacquard` when not given. Gateways with the same name share the requests.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,128}$"))]
    pub name: Option<String>,
    /// What the subjects begin with, before the name of the tool: the name of the service when not given.
    #[serde(default)]
    #[schemars(
        regex(pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"),
        length(max = 512)
    )]
    pub prefix: Option<String>,
    /// The version of the service, such as `1.2.0`: that of this program when not given.
    #[serde(default)]
    #[schemars(regex(
        pattern = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
    ))]
    pub version: Option<String>,
    /// The tools, by their names; `*` stands for any text. All when not given.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Whether tools that ask for scopes are offered, too. A request over NATS carries none.
    #[serde(default)]
    pub scoped: bool,
}

impl MicroConfig {
    /// The name of the service.
    pub fn service(&self) -> &str {
        self.name.as_deref().unwrap_or("jacquard")
    }
}
