//! From the command line to what a gateway is started from.

use super::Source;
use crate::gateway::{DEFAULT_CONFIG, Setup, base_of};
use crate::project::{Environment, discover};
use crate::spec::config::{self, Config};
use crate::spec::diag::Report;
use crate::spec::files::read_source;
use crate::spec::source;

/// Reads the config and the project's facts.
///
/// # Errors
/// All that is wrong with either.
pub fn read(from: &Source, env: &Environment) -> Result<Setup, Report> {
    let (text, base) = match &from.config {
        Some(path) => (
            read_source(path, &path.display().to_string())?,
            base_of(path),
        ),
        None => (
            source::Source::new(DEFAULT_CONFIG.0, DEFAULT_CONFIG.1),
            ".".into(),
        ),
    };
    let lookup = |name: &str| env.get(name);
    let (config, report) = config::load(text, Some(&lookup));
    let config: Config = config.ok_or(report)?;
    let start = from
        .project
        .clone()
        .or_else(|| config.project.path.as_ref().map(|p| base.join(p)));
    let mut facts = discover(start.as_deref(), config.project.name.as_deref(), env)?;
    facts.prefer_url(config.nats.url.as_deref());
    Ok(Setup {
        config,
        base,
        facts,
        allow_local: !from.no_local_nats,
    })
}
