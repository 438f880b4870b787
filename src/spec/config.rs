//! The config: the file a person picks with `--config`.

pub mod allow;
pub mod cache;
mod environment;
pub mod expose;
pub mod http;
pub mod set;
mod substitute;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use allow::AllowConfig;
pub use environment::Variables;
use environment::expand;
pub use environment::variables;
pub use environment::without_templates;
pub(in crate::spec) use environment::{given, value_of};
pub use expose::{ExposeConfig, MicroConfig};
pub use http::{AuthConfig, HttpConfig, ToolsetConfig, Transport};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::diag::{Code, Diagnostic, Report};
use super::doc::{Doc, join};
use super::foreign::{self, Form};
use super::mask::{mask, masked};
use super::model::{LintDecl, Paths, SECTIONS};
use super::schema;
use super::source::Source;
use set::Setting;
pub use substitute::Filled;

/// What a gateway serves and how it reaches NATS. Any string may hold `${NAME}`, `${NAME:-default}` and `${file:path}`, or be an
/// expression over `env`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the server as clients see it.
    #[serde(default)]
    pub name: Option<String>,
    /// What a model is told about the tools as a whole; the packs' own instructions when not given.
    #[serde(default)]
    pub instructions: Option<String>,
    /// The packs: names of built-in ones, or folders (`./mine`, relative to this file).
    #[schemars(length(min = 1))]
    pub packs: Vec<String>,
    /// The environment variables that the packs may read, as `env.NAME`.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$")))]
    pub env: Vec<String>,
    /// Settings of each pack, by its name.
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Map<String, Value>>,
    /// Where NATS is. Environment variables of the same meaning come first.
    #[serde(default)]
    pub nats: NatsConfig,
    /// What packs may use of this machine.
    #[serde(default)]
    pub allow: AllowConfig,
    /// The project that is served.
    #[serde(default)]
    pub project: ProjectConfig,
    /// What is logged, on stderr.
    #[serde(default)]
    pub log: LogConfig,
    /// How clients reach the gateway: `stdio` when not given. `--http` of the command line comes first.
    #[serde(default)]
    pub transport: Transport,
    /// Serving over HTTP.
    #[serde(default)]
    pub http: HttpConfig,
    /// Who may log in over HTTP.
    #[serde(default)]
    pub auth: Option<AuthConfig>,
    /// Some of the tools and prompts, under a name: what `toolset` and `--toolset` pick, and what is served at `/mcp/<name>`.
    #[serde(default)]
    pub toolsets: BTreeMap<String, ToolsetConfig>,
    /// The toolset of clients that ask for none; all tools and prompts when not given. `--toolset` comes first.
    #[serde(default)]
    pub toolset: Option<String>,
    /// What a client must be allowed in order to see and use tools and prompts, by their names; `*` stands for any text.
    #[serde(default)]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// A file, relative to this one, with the fingerprints of the tools that a person has approved. Tools that are new or have
    /// changed since are not served. `jacquard tools --approve` writes it.
    #[serde(default)]
    pub pin: Option<String>,
    /// By what else than MCP the tools can be called.
    #[serde(default)]
    pub expose: ExposeConfig,
    /// How long clients may keep lists and what resources say.
    #[serde(default)]
    pub cache: cache::CacheConfig,
    /// How many items a page of a list of tools, prompts, resources or templates has: 1000 when not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub page: Option<usize>,
    /// What `jacquard validate` leaves unsaid about this config.
    #[serde(default)]
    pub lint: LintDecl,
    /// The places in the file, for diagnostics; without its values, and with credentials covered.
    #[serde(skip)]
    pub doc: Option<Arc<Doc>>,
    /// What of it stands in the environment.
    #[serde(skip)]
    pub filled: Vec<Filled>,
    /// What the command line has set, as JSON pointers into the file.
    #[serde(skip)]
    pub set: Vec<String>,
    /// The values of the variables that `env` names. Where a config is only checked, each is its own name.
    #[serde(skip)]
    pub variables: Variables,
    /// What paths in it are relative to.
    #[serde(skip)]
    pub paths: Paths,
    /// What is odd about the file, without being wrong.
    #[serde(skip)]
    pub warnings: Report,
}

impl Config {
    /// The files beside it that it is made of, relative to its folder or absolute.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let filled = self.filled.iter().flat_map(|filled| &filled.files);
        filled.chain(&self.pin).map(String::as_str)
    }

    /// The folder that paths in it are relative to, if it lies in this one.
    pub fn base(&self, folder: PathBuf) -> PathBuf {
        match self.paths {
            Paths::Config => folder,
            Paths::WorkingDirectory => PathBuf::from("."),
        }
    }
}

/// How to reach NATS.
#[derive(Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsConfig {
    /// One server or several, separated by commas: `nats://`, `tls://`, `ws://`, `wss://`. Environment: `NATS_URL`.
    #[serde(default)]
    pub url: Option<String>,
    /// Environment: `NATS_USER`.
    #[serde(default)]
    pub user: Option<String>,
    /// Environment: `NATS_PASS`.
    #[serde(default)]
    pub password: Option<String>,
    /// Environment: `NATS_TOKEN`.
    #[serde(default)]
    pub token: Option<String>,
    /// An nkey seed (`SU…`). Environment: `NATS_NKEY_SEED`.
    #[serde(default)]
    pub nkey: Option<String>,
    /// A credentials file, relative to this file. Environment: `NATS_CREDS`.
    #[serde(default)]
    pub credentials: Option<String>,
    /// Certificates.
    #[serde(default)]
    pub tls: TlsConfig,
    /// How long one request to the server may take: `2s` when not given, and at the most.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s)$"))]
    pub request_timeout: Option<String>,
    /// What the subjects begin with on which answers come to this gateway: `_INBOX` when not given. With one of its own, its
    /// NATS user can be kept from hearing the answers of others. Environment: `NATS_INBOX_PREFIX`.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"))]
    pub inbox_prefix: Option<String>,
    /// Whether to run a local nats-server when no URL is given and none answers at the default address: true when not given.
    #[serde(default)]
    pub local: Option<bool>,
    /// Whether the gateway is of no use without NATS: true when not given. False: it is ready without, and runs no local
    /// nats-server.
    #[serde(default)]
    pub required: Option<bool>,
}

/// Certificates, as PEM files relative to the config.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Authorities to trust instead of those of the system. Environment: `NATS_CA`.
    #[serde(default)]
    pub ca: Option<String>,
    /// The client's certificate. Environment: `NATS_CERT`.
    #[serde(default)]
    pub cert: Option<String>,
    /// The client's key. Environment: `NATS_KEY`.
    #[serde(default)]
    pub key: Option<String>,
    /// Refuse servers without TLS, as `tls://` does.
    #[serde(default)]
    pub required: bool,
}

/// The project that is served.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectConfig {
    /// Its folder; `MCP_PROJECT_PATH` or the working directory when not given.
    #[serde(default)]
    pub path: Option<String>,
    /// Its name: then its id, its namespace and its agents depend on this alone, and not on the machine and the folder,
    /// as in a container. Environment: `JACQUARD_PROJECT`.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[a-z0-9-]+$"), length(max = 120))]
    pub name: Option<String>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Environment: `LOG_LEVEL`.
    #[serde(default)]
    pub level: Option<LogLevel>,
    /// Environment: `LOG_FORMAT`.
    #[serde(default)]
    pub format: Option<LogFormat>,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Errors only.
    Error,
    /// And what should be looked at.
    Warn,
    /// And what happens.
    Info,
    /// And details.
    Debug,
    /// And everything.
    Trace,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl std::fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest may hold credentials.
        f.debug_struct("NatsConfig")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// The JSON Schema of a config, as published in `schemas/config.schema.json`.
pub fn config_schema() -> Value {
    schema::of::<Config>("Jacquard config")
}

/// What a config is read with.
#[derive(Clone, Copy, Default)]
pub struct Around<'a> {
    /// Answers for environment variables; with `None` in its place, expressions over the environment are checked but not
    /// evaluated (as in CI, where the variables need not be set).
    pub lookup: Option<Lookup<'a>>,
    /// The kinds of foreign files that are served as configs.
    pub forms: &'a [Form<'a>],
    /// The name by which the program was started.
    pub program: &'a str,
    /// The folder of the file.
    pub folder: &'a str,
    /// Settings of packs that come before those of the file.
    pub set: &'a [Setting],
}

/// Answers for environment variables.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a config of Jacquard's own.
///
/// Credentials are covered in the report.
pub fn load(source: Source, lookup: Option<Lookup<'_>>) -> (Option<Config>, Report) {
    let around = Around {
        lookup,
        ..Around::default()
    };
    load_with(source, &around)
}

/// Reads a config, or a foreign file that stands for one. Warnings are in the report, and in the config as well.
///
/// Credentials are covered in the report.
pub fn load_with(source: Source, around: &Around<'_>) -> (Option<Config>, Report) {
    let (config, report) = read(source, around);
    let report = masked(&report);
    let config = config.map(|mut config| {
        config.warnings = report.clone();
        for setting in around.set {
            let settings = config.settings.entry(setting.pack.clone()).or_default();
            setting.put(settings);
            let at = join("/settings", &setting.pack);
            config.set.push(format!("{at}{}", setting.pointer()));
        }
        config
    });
    (config, report)
}

fn read(source: Source, around: &Around<'_>) -> (Option<Config>, Report) {
    let mut doc = match Doc::parse(source) {
        Ok(doc) => doc,
        Err(report) => return (None, report),
    };
    let mut report = Report::new();
    if doc.value.get("packs").is_none() {
        if let Some(form) = foreign::fitting(&doc.value, around.forms) {
            return foreign::read(doc, form, around);
        }
        if let Some(problem) = no_packs(&doc, around.forms) {
            report.push(problem);
            if foreign::is_spec(&doc.value) {
                return (None, report);
            }
            // Its absence is told; the rest is looked at as if it were there.
            if let Some(map) = doc.value.as_object_mut() {
                map.insert("packs".into(), Value::from(vec!["."]));
            }
        }
    }
    let mut filled = Vec::new();
    substitute::substitute(&mut doc, around, &mut filled, &mut report);
    expand(&mut doc, around.lookup, &mut filled, &mut report);
    sections_of_specs(&doc, &mut report);
    if around.lookup.is_none() {
        // What an expression will yield is not known here: it fits wherever it stands.
        without_templates(&mut doc.value);
    }
    let language = config_schema();
    match schema::compile(&schema::only(&language, &doc.value)) {
        Ok(validator) => {
            let places = filled.iter().map(|f| f.pointer.as_str());
            schema::retype(&mut doc.value, &validator, &places.collect::<Vec<_>>());
            let mut rest = doc.value.clone();
            if let Some(map) = rest.as_object_mut() {
                map.retain(|key, _| !SECTIONS.contains(&key.as_str()));
            }
            let mut found = Report::new();
            schema::check_doc(&doc, "", &rest, &language, &validator, &mut found);
            report.extend(covered(found, &doc, &filled));
        }
        Err(error) => report.push(Diagnostic::global(Code::BadSchema, error.to_string())),
    }
    if report.has_errors() {
        return (None, report);
    }
    let value = std::mem::take(&mut doc.value);
    let (config, report) = finish(value, doc, around, report);
    (config.map(|config| Config { filled, ..config }), report)
}

/// The report without the values that came from the environment: it shows what is written in the file.
fn covered(report: Report, doc: &Doc, filled: &[Filled]) -> Report {
    let cover = |mut diagnostic: Diagnostic| {
        let start = diagnostic.label.as_ref().map(|label| label.range.start);
        let here = |filled: &&Filled| {
            start.is_some_and(|at| doc.value_range(&filled.pointer).contains(&at))
        };
        if let Some(filled) = filled.iter().find(here) {
            diagnostic.message = filled.cover(&diagnostic.message);
        }
        diagnostic
    };
    report.sorted().into_iter().cloned().map(cover).collect()
}

/// Says of sections of a spec where they belong; the schema's words are then left out.
fn sections_of_specs(doc: &Doc, report: &mut Report) {
    let sections = SECTIONS.iter().filter(|key| doc.value.get(key).is_some());
    for section in sections {
        let range = doc.key_range(&format!("/{section}"));
        let message = format!("`{section}` is a section of a spec, and this is a config");
        report.push(
            Diagnostic::error(Code::UnknownKey, &doc.source, range, message)
                .help("put it into a file of its own, in a folder that `packs` names: `packs: [./folder]`"),
        );
    }
}

/// What is said of a file without `packs`. What is no mapping is no config at all, which the schema says.
fn no_packs(doc: &Doc, forms: &[Form<'_>]) -> Option<Diagnostic> {
    doc.value.as_object()?;
    let section = SECTIONS.iter().find(|key| doc.value.get(key).is_some());
    if let Some(section) = section.filter(|_| foreign::is_spec(&doc.value)) {
        let range = doc.key_range(&format!("/{section}"));
        let message = "this is a spec, not a config";
        return Some(
            Diagnostic::error(Code::Schema, &doc.source, range, message)
                .help("a config names the spec's folder: `packs: [./folder]`"),
        );
    }
    let range = doc.key_range("");
    let missing = Diagnostic::error(Code::Schema, &doc.source, range, "`packs` is missing");
    let kinds: Vec<&str> = forms.iter().map(|f| f.form.description.as_ref()).collect();
    Some(match kinds.as_slice() {
        [] => missing.help("a config names what it serves: `packs: [./folder]`"),
        kinds => missing.help(format!(
            "a config names what it serves: `packs: [./folder]`. Taken without it, and not like this file: {}",
            kinds.join("; ")
        )),
    })
}

/// The config that a value is, which fits the language.
pub(in crate::spec) fn finish(
    value: Value,
    mut doc: Doc,
    around: &Around<'_>,
    mut report: Report,
) -> (Option<Config>, Report) {
    match serde_json::from_value::<Config>(value) {
        Ok(config) => {
            http::check(&config, &doc, around.lookup.is_some(), &mut report);
            let variables = Variables::read(&config.env, &doc, around, &mut report);
            if report.has_errors() {
                return (None, report);
            }
            doc.source = Source::new(doc.source.name(), mask(doc.source.text()));
            doc.value = Value::Null;
            let config = Config {
                doc: Some(Arc::new(doc)),
                variables,
                ..config
            };
            (Some(config), report)
        }
        Err(error) => {
            let message = error.to_string();
            let problem = Diagnostic::error(Code::Schema, &doc.source, 0..0, message);
            report.push(problem);
            (None, report)
        }
    }
}
