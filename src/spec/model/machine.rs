//! What steps use of the machine that the gateway runs on: folders and programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::Text;
use crate::spec::tree::Tree;

/// A folder whose files steps and resources use. The config must allow it (`allow`), or the pack is refused at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Its path, relative to the folder of the config; `~/` is the home folder. May use `project` and `config`. With null or
    /// an empty text there is no such folder, and a step that uses it fails.
    pub path: Tree,
    /// Whether files in it are written and removed: false when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<bool>,
    /// Whether it is made when a file is written and it is not there: false when not given. Needs `write`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<bool>,
}

/// A program that the verb `run` starts. The config must allow it (`allow`), or the pack is refused at the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgramDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Its name, to be found in `PATH`, or its path, relative to the folder of the config. May use `project` and `config`. With
    /// null or an empty text there is no such program, and a step that runs it fails.
    pub program: Tree,
}
