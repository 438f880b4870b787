//! What clients are told of a tool, a prompt or a resource beside its name and description.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PromptDecl, ResourceDecl, Tool};
use crate::spec::data::{List, Text};
use crate::spec::tree::{Template, Tree};

/// A small picture that clients may show beside the name: `src` or `file`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IconDecl {
    /// Its address: `https:` or `data:`. May use `project`, `config` and `tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<Template>,
    /// Instead of `src`: the name of a file in the folder `files` of the pack, which clients are given in the list itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Text>,
    /// Its type: that of the file, by its name, when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^image/[A-Za-z0-9.+-]+$"))]
    pub mime: Option<Text>,
    /// Its sizes: each as `48x48`, or `any` of a picture that can be scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = r"^([0-9]+x[0-9]+|any)$")))]
    pub sizes: Option<List<Text>>,
    /// For which background it is made; for any when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<Theme>,
}

/// A background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Theme {
    /// A light one.
    Light,
    /// A dark one.
    Dark,
}

/// The keys that tools, prompts and resources have in common.
#[derive(Debug, Clone, Copy)]
pub struct Face<'a> {
    /// What is passed on as `_meta`.
    pub meta: Option<&'a Tree>,
    /// Small pictures.
    pub icons: &'a [IconDecl],
}

impl<'a> Face<'a> {
    /// Of a declaration's `meta` and `icons`.
    pub fn of(meta: Option<&'a Tree>, icons: Option<&'a List<IconDecl>>) -> Self {
        let icons = icons.map(AsRef::as_ref).unwrap_or_default();
        Self { meta, icons }
    }

    /// The files of the pack that it shows.
    pub fn files(&self) -> impl Iterator<Item = &'a Text> + use<'a> {
        self.icons.iter().filter_map(|icon| icon.file.as_ref())
    }
}

/// What has a face.
macro_rules! has_face {
    ($($of:ty),+) => {
        $(impl $of {
            /// What clients are told of it beside its name and description.
            pub fn face(&self) -> Face<'_> {
                Face::of(self.meta.as_ref(), self.icons.as_ref())
            }
        })+
    };
}

has_face!(Tool, PromptDecl, ResourceDecl);
