//! What a config lets the packs use of this machine.

use schemars::JsonSchema;
use serde::Deserialize;

/// What packs may use of this machine: nothing but what is named here. A pack that wants more is refused at the start.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowConfig {
    /// Folders whose files may be read, with all folders below: relative to this file, absolute, or under the home folder
    /// (`~/notes`).
    #[serde(default)]
    pub read: Vec<String>,
    /// Folders whose files may be read, written and removed, with all folders below.
    #[serde(default)]
    pub write: Vec<String>,
    /// Programs that may be started, as the packs name them: `git`, or a path.
    #[serde(default)]
    pub run: Vec<String>,
    /// Servers that may be looked at: `host:port` or a URL. `*` allows any.
    #[serde(default)]
    pub connect: Vec<String>,
}
