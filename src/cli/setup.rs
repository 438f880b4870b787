//! From the command line to what a gateway is started from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Source;
use crate::catalog::packs;
use crate::gateway::reload;
use crate::gateway::{DEFAULT_CONFIG, Setup, base_of};
use crate::project::{Environment, discover, user_place};
use crate::spec::config::set::Setting;
use crate::spec::config::{self, Around, Config, Lookup};
use crate::spec::diag::Report;
use crate::spec::files::read_source;
use crate::spec::source;

/// Reads the config and the project's facts.
///
/// # Errors
/// All that is wrong with either.
pub fn read(from: &Source, env: &Environment) -> Result<Setup, Report> {
    let (text, folder) = match &from.config {
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
    let (config, report) = load(text, &folder, Some(&lookup), &from.set);
    let config: Config = config.ok_or(report)?;
    let base = config.base(folder);
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

/// What the command line names, to be read again.
pub struct Origin {
    pub source: Source,
    pub env: Arc<Environment>,
}

impl reload::Origin for Origin {
    fn read(&self) -> Result<Setup, Report> {
        read(&self.source, &self.env)
    }

    fn files(&self) -> Vec<PathBuf> {
        let config = self.source.config.iter().cloned();
        // Where a link leads, it may be written.
        let target = self.source.config.as_ref();
        let target = target.and_then(|path| path.canonicalize().ok());
        config.chain(target).chain(user_place(&self.env)).collect()
    }
}

/// Reads a config that lies in this folder, or a foreign file that a built-in pack serves. Without `lookup` the environment
/// need not be there.
pub fn load(
    text: source::Source,
    folder: &Path,
    lookup: Option<Lookup<'_>>,
    set: &[Setting],
) -> (Option<Config>, Report) {
    let program = std::env::args_os().next();
    let stem = program.as_ref().and_then(|p| Path::new(p).file_stem());
    let around = Around {
        lookup,
        forms: &packs::forms(),
        program: &stem.unwrap_or_default().to_string_lossy(),
        folder: &folder.to_string_lossy(),
        set,
    };
    config::load_with(text, &around)
}
