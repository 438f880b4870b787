//! The spec language: what a YAML file may say, and everything that can be known about it before it runs.
//!
//! Pure: no runtime, no network. The build script includes this very module (`#[path = "src/spec/mod.rs"]`) to
//! compile the built-in packs, so that there is one meaning of a spec.

pub mod address;
pub mod check;
pub mod codes;
mod coding;
pub mod config;
pub mod data;
pub mod defaults;
pub mod diag;
pub mod doc;
#[cfg(test)]
mod documents;
pub mod env;
pub mod expr;
pub mod files;
pub mod filters;
pub mod fix;
pub mod foreign;
#[cfg(test)]
mod golden;
pub mod kind;
pub mod lint;
mod lists;
pub mod load;
pub mod mask;
pub mod model;
pub mod pattern;
#[cfg(test)]
mod property;
pub mod schema;
pub mod shape;
pub mod source;
pub mod suggest;
pub mod times;
pub mod token;
pub mod tree;
pub mod uri;
pub mod verbs;
pub mod vocabulary;
