//! The ground of an example: its folder, its account, and the gateway that will serve it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::permitted::{self, Bounds, Permit};
use super::plan::{Base, Case, absolute};
use crate::bus::BusConfig;
use crate::bus::local::{Account, Ground, Throwaway, User};
use crate::catalog::packs::shown;
use crate::cli::setup;
use crate::gateway::{Setup, base_of};
use crate::project::{Environment, discover};
use crate::spec::config::{self, AllowConfig, Config, NatsConfig};
use crate::spec::data::{List, Text};
use crate::spec::files::read_source;
use crate::spec::model::{Allowed, Fixture};
use crate::spec::source::Source;

/// The project's file of an example that has none of its own.
const PROJECT: (&str, &str) = (".loominal-config.json", "{\"namespace\": \"example\"}\n");

/// Stands in settings and in `allow.connect` of a fixture for the address of the example's NATS.
const NATS_URL: &str = "${NATS_URL}";

/// An example that is ready to run as soon as its server does.
pub(super) struct Ready {
    /// What its gateway is started from.
    pub(super) setup: Setup,
    /// The variables that it sees.
    pub(super) env: Environment,
    /// The login of whoever else is on its NATS.
    pub(super) other: BusConfig,
    /// What its gateway may do, if that is not everything.
    pub(super) bounds: Option<Bounds>,
}

impl Ready {
    /// The server is there.
    pub(super) fn at(&mut self, server: &Throwaway) {
        let url = &server.url();
        if let Some(bounds) = &mut self.bounds {
            bounds.lookout = Some(server.lookout());
        }
        address(&mut self.setup, url);
        self.setup.config.nats.url = Some(url.clone());
        self.setup.facts.nats_url = None;
        self.setup.facts.prefer_url(Some(url));
        self.other.servers = vec![url.clone()];
    }
}

/// Puts the address of NATS where the fixture names it.
fn address(setup: &mut Setup, url: &str) {
    for (_, setting) in setup.config.settings.values_mut().flatten() {
        fill(setting, url);
    }
    for server in &mut setup.config.allow.connect {
        *server = server.replace(NATS_URL, url);
    }
}

/// Puts the address of NATS where a setting asks for it.
fn fill(setting: &mut Value, url: &str) {
    match setting {
        Value::String(text) if text.contains(NATS_URL) => *text = text.replace(NATS_URL, url),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, url)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, url)),
        _ => {}
    }
}

/// Makes the folder of an example, and works out how it will be served and in which account.
pub(super) fn prepare(
    case: &Case,
    index: usize,
    ground: &Ground,
    permit: Option<&Permit<'_>>,
) -> Result<(Ready, Account), String> {
    let folder = ground.dir().join("examples").join(index.to_string());
    lay_out(&folder, &case.fixture)?;
    let env: Environment = case
        .fixture
        .env
        .iter()
        .map(|(n, v)| (n, v.as_ref()))
        .collect();
    let (mut config, base) = configure(case, &folder, &env)?;
    let user = |role: &str| format!("{role}-{index}");
    config.nats = NatsConfig {
        user: Some(user("gateway")),
        password: Some(ground.password().to_owned()),
        local: Some(false),
        ..NatsConfig::default()
    };
    let facts = discover(Some(&folder), None, &env).map_err(|report| report.to_string())?;
    let setup = Setup {
        config,
        base,
        facts,
        allow_local: false,
    };
    let told = match permit {
        Some(permit) => {
            // Where NATS will be is not known yet, and changes nothing of what is asked of it.
            let mut somewhere = setup.clone();
            address(&mut somewhere, "nats://127.0.0.1:4222");
            permit(index, &somewhere, &env)?
        }
        None => None,
    };
    let account = Account {
        name: format!("E{index}"),
        users: vec![
            User {
                name: user("gateway"),
                permissions: told.as_ref().map(permitted::block),
            },
            User {
                name: user("other"),
                permissions: None,
            },
        ],
    };
    let other = BusConfig {
        user: Some(user("other")),
        password: Some(ground.password().to_owned()),
        name: "jacquard test".to_owned(),
        ..BusConfig::default()
    };
    let bounds = told.map(|told| Bounds {
        facts: setup.facts.clone(),
        told,
        user: user("gateway"),
        lookout: None,
    });
    let ready = Ready {
        setup,
        env,
        other,
        bounds,
    };
    Ok((ready, account))
}

/// Writes the files of a fixture, and those that every example has.
fn lay_out(folder: &Path, fixture: &Fixture) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let own = fixture
        .files
        .iter()
        .map(|(name, text)| (name, text.as_ref()));
    for (name, text) in std::iter::once(PROJECT).chain(own) {
        let path = folder.join(name);
        let within = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(within).map_err(|e| failed(within, e))?;
        std::fs::write(&path, text).map_err(|e| failed(&path, e))?;
    }
    Ok(())
}

/// The config, and the folder that its paths are relative to.
fn configure(case: &Case, folder: &Path, env: &Environment) -> Result<(Config, PathBuf), String> {
    let fixture = &case.fixture;
    let (mut config, mut base) = match &case.base {
        Base::Pack(name) => {
            let names: Vec<&str> = fixture.env.keys().collect();
            let text = serde_json::json!({"packs": [name], "env": names}).to_string();
            let lookup = |name: &str| env.get(name);
            let (config, report) = config::load(Source::new("example", text), Some(&lookup));
            (config.ok_or_else(|| report.to_string())?, folder.to_owned())
        }
        Base::Config(path) => of_file(path, env)?,
    };
    if let Some(settings) = &fixture.settings
        && let Value::Object(given) = settings.to_value()
    {
        let own = config.settings.entry(case.home.clone()).or_default();
        own.extend(given);
    }
    if !fixture.files.is_empty() || fixture.allow.is_some() {
        base = folder.to_owned();
    }
    if let Some(allowed) = &fixture.allow {
        config.allow = allow(allowed);
    }
    Ok((config, base))
}

/// What a config file says of packs and settings. How it is reached, and by whom, is no matter here.
fn of_file(path: &Path, env: &Environment) -> Result<(Config, PathBuf), String> {
    let folder = base_of(path);
    let source = read_source(path, &shown(path)).map_err(|report| report.to_string())?;
    let process = Environment::from_process();
    let lookup = |name: &str| env.get(name).or_else(|| process.get(name));
    let (config, report) = setup::load(source, &folder, Some(&lookup), &[]);
    let mut config = config.ok_or_else(|| report.to_string())?;
    let base = config.base(folder);
    for name in &mut config.packs {
        *name = absolute(name, &base);
    }
    config.toolsets.clear();
    config.scopes.clear();
    config.auth = None;
    config.pin = None;
    config.expose = Default::default();
    config.project = Default::default();
    Ok((config, base))
}

fn allow(allowed: &Allowed) -> AllowConfig {
    let texts = |list: &List<Text>| list.iter().map(Text::to_string).collect();
    AllowConfig {
        read: texts(&allowed.read),
        write: texts(&allowed.write),
        run: texts(&allowed.run),
        connect: texts(&allowed.connect),
    }
}
