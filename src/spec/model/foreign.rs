//! Files of other programs that are served as if they were configs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::{Map, Text};
use crate::spec::tree::{Expr, Tree};

/// A kind of file of another program: a config that has no `packs` and fits is served by this pack. The file itself is the
/// pack's settings, checked against the schema under `settings`; keys that the schema does not name are left out with a
/// warning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignForm {
    /// What such a file is, as people would say it.
    #[schemars(extend("minLength" = 1))]
    pub description: Text,
    /// An expression over `doc`, the file: it is of this kind if this holds.
    pub when: Expr,
    /// What relative paths in the file are relative to: its folder (`config`, the default) or the `working_directory` of the
    /// gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Paths>,
    /// The rest of the config that the file stands for: keys of a config, but `packs`. `settings` are settings of this pack,
    /// beside the file's own. Sees `doc` (checked, defaults filled in), `program` (the name by which the gateway was
    /// started), `env` and `config_folder`.
    #[serde(default)]
    pub config: Map<Tree>,
}

/// What relative paths are relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Paths {
    /// The folder of the config.
    #[default]
    Config,
    /// The folder in which the gateway runs.
    WorkingDirectory,
}
