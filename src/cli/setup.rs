//! From the command line to what a gateway is started from.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Source;
use crate::catalog::Catalog;
use crate::catalog::packs::{self, Place};
use crate::gateway::reload;
use crate::gateway::{DEFAULT_CONFIG, Setup, base_of};
use crate::project::{Environment, Facts, discover, user_place};
use crate::spec::config::http::unknown_toolset;
use crate::spec::config::set::Setting;
use crate::spec::config::{self, Around, Config, Lookup};
use crate::spec::diag::{Code, Diagnostic, Report};
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
    let mut config: Config = config.ok_or(report)?;
    if let Some(name) = &from.toolset {
        if let Some((message, help)) = unknown_toolset(&config, name) {
            let mut report = Report::new();
            report.push(Diagnostic::global(Code::UnknownResource, message).help(help));
            return Err(report);
        }
        config.toolset = Some(name.clone());
    }
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

/// The catalog of a config, of a pack's folder or of a built-in pack, as far as it can be told without the environment that it
/// will run in.
///
/// # Errors
/// All that is wrong with it.
pub fn catalog_of(path: &Path) -> Result<Catalog, Report> {
    let shown = path.display().to_string();
    let (text, folder) = if path.is_file() {
        (read_source(path, &shown)?, base_of(path))
    } else {
        let name = if path.is_dir() {
            Place::named(path)
        } else {
            shown.clone()
        };
        let text = serde_json::json!({"packs": [name]}).to_string();
        (source::Source::new(shown, text), ".".into())
    };
    let (config, report) = load(text, &folder, None, &[]);
    let mut config = config.ok_or(report)?;
    config.pin = None;
    let base = config.base(folder);
    let facts = facts_anywhere(&base, config.project.name.as_deref())?;
    Catalog::build(&config, &base, &facts.to_json()).map(|built| built.0)
}

/// The facts of the project in a folder, as far as they can be told without an environment.
///
/// # Errors
/// All that is wrong with the project file.
pub fn facts_anywhere(folder: &Path, name: Option<&str>) -> Result<Facts, Report> {
    let nothing: Environment = std::iter::empty::<(String, String)>().collect();
    discover(Some(folder), name, &nothing)
}
