//! `jacquard schema`

use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;

use super::{fail, say};
use crate::project::project_schema;
use crate::spec::config::config_schema;
use crate::spec::load::spec_schema;

/// The kinds of files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A spec file of a pack
    Spec,
    /// A config
    Config,
    /// A project file, `.loominal-config.json`
    Project,
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Kind::Spec => spec_schema(),
            Kind::Config => config_schema(),
            Kind::Project => project_schema(),
        }
    }
}

pub fn run(kind: Kind) -> ExitCode {
    match serde_json::to_string_pretty(&kind.schema()) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The published schemas are what the program would print. To refresh them:
    /// `for k in spec config project; do cargo run -- schema $k > schemas/$k.schema.json; done`
    #[test]
    fn published_schemas_are_fresh() {
        for kind in Kind::value_variants() {
            let name = kind.to_possible_value().unwrap().get_name().to_owned();
            let path = format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
            let published = std::fs::read_to_string(&path).unwrap_or_default();
            let fresh = serde_json::to_string_pretty(&kind.schema()).unwrap();
            assert!(
                published.trim_end() == fresh,
                "schemas/{name}.schema.json is stale; refresh it with \
                 `cargo run -- schema {name} > schemas/{name}.schema.json`"
            );
        }
    }
}
