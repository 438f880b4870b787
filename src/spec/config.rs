//! The config: the file a person picks with `--config`.

pub mod expose;
pub mod http;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use expose::{ExposeConfig, MicroConfig};
pub use http::{AuthConfig, HttpConfig, ToolsetConfig, Transport};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::diag::{Code, Diagnostic, Report};
use super::doc::Doc;
use super::env;
use super::expr::{self, Form};
use super::mask::{mask, masked};
use super::schema;
use super::shape::{Scope, Shape};
use super::source::Source;
use super::tree::{is_template, sole_expression};

/// What a gateway serves and how it reaches NATS. Any string may hold `{{ env.NAME }}`.
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
    /// Settings of each pack, by its name.
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Map<String, Value>>,
    /// Where NATS is. Environment variables of the same meaning come first.
    #[serde(default)]
    pub nats: NatsConfig,
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
    /// Some of the tools, at a path of their own: `/mcp/<name>`.
    #[serde(default)]
    pub toolsets: BTreeMap<String, ToolsetConfig>,
    /// What a client must be allowed in order to see and call tools, by their names; `*` stands for any text.
    #[serde(default)]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// By what else than MCP the tools can be called.
    #[serde(default)]
    pub expose: ExposeConfig,
    /// The places in the file, for diagnostics; without its values, and with credentials covered.
    #[serde(skip)]
    pub doc: Option<Arc<Doc>>,
}

/// How to reach NATS.
#[derive(Clone, Default, Deserialize, JsonSchema)]
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
    /// Whether to run a local nats-server when no URL is given and none answers at the default address: true when not given.
    #[serde(default)]
    pub local: Option<bool>,
}

/// Certificates, as PEM files relative to the config.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
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

/// Reads a config. `lookup` answers for environment variables; with `None` in its place, expressions over the environment
/// are checked but not evaluated (as in CI, where the variables need not be set).
///
/// Credentials are covered in the report.
pub fn load(source: Source, lookup: Option<Lookup<'_>>) -> (Option<Config>, Report) {
    let (config, report) = read(source, lookup);
    (config, masked(&report))
}

/// Answers for environment variables.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

fn read(source: Source, lookup: Option<Lookup<'_>>) -> (Option<Config>, Report) {
    let mut doc = match Doc::parse(source) {
        Ok(doc) => doc,
        Err(report) => return (None, report),
    };
    let mut report = Report::new();
    let section = super::model::SECTIONS
        .iter()
        .find(|key| doc.value.get(key).is_some());
    if let Some(section) = section
        && doc.value.get("packs").is_none()
    {
        report.push(
            Diagnostic::error(
                Code::Schema,
                &doc.source,
                doc.key_range(&format!("/{section}")),
                "this is a spec, not a config",
            )
            .help("a config names the spec's folder: `packs: [./folder]`"),
        );
        return (None, report);
    }
    expand(&mut doc, lookup, &mut report);
    if lookup.is_none() {
        // What an expression will yield is not known here: it fits wherever it stands.
        without_templates(&mut doc.value);
    }
    let language = config_schema();
    match schema::compile(&language) {
        Ok(validator) => {
            schema::check_doc(&doc, "", &doc.value, &language, &validator, &mut report);
        }
        Err(error) => report.push(Diagnostic::global(Code::BadSchema, error.to_string())),
    }
    if report.has_errors() {
        return (None, report);
    }
    match serde_json::from_value::<Config>(doc.value.clone()) {
        Ok(config) => {
            http::check(&config, &doc, lookup.is_some(), &mut report);
            if report.has_errors() {
                return (None, report);
            }
            doc.source = Source::new(doc.source.name(), mask(doc.source.text()));
            doc.value = Value::Null;
            let config = Config {
                doc: Some(Arc::new(doc)),
                ..config
            };
            (Some(config), report)
        }
        Err(error) => {
            report.push(Diagnostic::error(
                Code::Schema,
                &doc.source,
                0..0,
                error.to_string(),
            ));
            (None, report)
        }
    }
}

/// Puts the values of `{{ env.NAME }}` in.
fn expand(doc: &mut Doc, lookup: Option<Lookup<'_>>, report: &mut Report) {
    let places = doc.clone();
    let scope = Scope::new().with("env", Shape::Any);
    let mut omitted = Vec::new();
    doc.map_strings(&mut |pointer, text| {
        if !is_template(text) {
            return None;
        }
        let (problems, _) = expr::check(text, Form::Template, &scope);
        for problem in &problems {
            let range = places.inner_range(pointer, text, problem.range.clone());
            report.push(
                Diagnostic::error(problem.code, &places.source, range, problem.message.clone())
                    .help(problem.help.clone()),
            );
        }
        if !problems.is_empty() {
            return None;
        }
        let lookup = lookup?;
        match evaluate(text, lookup) {
            Ok(Some(value)) => Some(value),
            Ok(None) => {
                omitted.push(pointer.to_owned());
                None
            }
            Err(missing) => {
                report.push(
                    Diagnostic::error(
                        Code::Environment,
                        &places.source,
                        places.value_range(pointer),
                        missing,
                    )
                    .help("set it, or give another value: `{{ env.NAME | default('…') }}`"),
                );
                None
            }
        }
    });
    for pointer in omitted {
        remove(&mut doc.value, &pointer);
    }
}

/// Takes the key out whose value is `omit`. An element of a list becomes null, and is refused for that.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        return;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(_)) => {
            if let Some(element) = value.pointer_mut(pointer) {
                *element = Value::Null;
            }
        }
        _ => {}
    }
}

/// Takes the keys out whose values are expressions.
fn without_templates(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, item| !item.as_str().is_some_and(is_template));
            map.values_mut().for_each(without_templates);
        }
        Value::Array(items) => items.iter_mut().for_each(without_templates),
        _ => {}
    }
}

/// The value of a text; `None` for `omit`.
fn evaluate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<Value>, String> {
    let names = variables(text);
    let variables: BTreeMap<&str, String> = names
        .iter()
        .filter_map(|name| Some((name.as_str(), lookup(name)?)))
        .collect();
    let missing: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !variables.contains_key(name))
        .collect();
    let context =
        minijinja::context!(env => minijinja::Value::from(minijinja::value::Serde(&variables)));
    let engine = env::environment();
    let result = match sole_expression(text) {
        Some(inner) => engine
            .compile_expression(inner)
            .and_then(|e| e.eval(context))
            .and_then(|value| {
                if value.is_undefined() {
                    Err(minijinja::Error::from(minijinja::ErrorKind::UndefinedError))
                } else if env::is_omit(&value) {
                    Ok(None)
                } else {
                    serde_json::to_value(&value).map(Some).map_err(|e| {
                        minijinja::Error::new(minijinja::ErrorKind::BadSerialization, e.to_string())
                    })
                }
            }),
        None => engine
            .render_str(text, context)
            .map(|text| Some(Value::String(text))),
    };
    result.map_err(|error| match missing.as_slice() {
        [] => format!("the value cannot be made: {error}"),
        [name] => format!("the environment variable `{name}` is not set"),
        names => format!(
            "the environment variables `{}` are not set",
            names.join("`, `")
        ),
    })
}

/// The variables that a text names: `env.X`.
fn variables(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("env.") {
        let boundary = rest[..at]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.');
        rest = &rest[at + 4..];
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if boundary && !name.is_empty() && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> (Option<Config>, Report) {
        let lookup = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        load(Source::new("c.yaml", text), Some(&lookup))
    }

    fn codes(text: &str) -> Vec<Code> {
        read(text).1.sorted().iter().map(|d| d.code).collect()
    }

    #[test]
    fn the_environment_fills_in() {
        let (config, report) = read(
            "packs: [warp]\nnats:\n  token: \"{{ env.TOKEN }}\"\n  url: \"nats://{{ env.HOST | default('h') }}:1\"\n",
        );
        assert!(report.is_empty(), "{report}");
        let nats = config.unwrap().nats;
        assert_eq!(nats.token.as_deref(), Some("s3cret"));
        assert_eq!(nats.url.as_deref(), Some("nats://h:1"));
    }

    #[test]
    fn what_is_omitted_counts_as_not_given() {
        let (config, report) =
            read("packs: [warp]\nnats: {url: \"{{ env.HOST | default(omit) }}\", user: u}\n");
        assert!(report.is_empty(), "{report}");
        let nats = config.unwrap().nats;
        assert_eq!((nats.url, nats.user.as_deref()), (None, Some("u")));
        assert_eq!(codes("packs: [\"{{ omit }}\"]\n"), [Code::Schema]);
    }

    #[test]
    fn what_is_wrong_is_said_by_kind() {
        assert_eq!(
            codes("packs: [warp]\nnats: {token: \"{{ env.NOPE }}\"}\n"),
            [Code::Environment]
        );
        assert_eq!(
            codes("packs: [warp]\npack: 1\nnats: {uri: x, local: 3}\n"),
            [Code::UnknownKey, Code::UnknownKey, Code::Schema]
        );
        assert_eq!(codes("packs: []\n"), [Code::Schema]);
        assert_eq!(
            codes("packs: [\"{{ env.TOKEN | uper }}\"]\n"),
            [Code::UnknownFunction]
        );
    }

    #[test]
    fn without_an_environment_only_the_form_is_checked() {
        let text = "packs: [warp]\nnats: {token: \"{{ env.NOPE }}\"}\n";
        let (config, report) = load(Source::new("c.yaml", text), None);
        assert!(config.is_some() && report.is_empty());
        let text = "packs: [warp]\nnats: {local: \"{{ env.X == 'yes' }}\", request_timeout: \"{{ env.T | default('1s') }}\"}\n";
        let (config, report) = load(Source::new("c.yaml", text), None);
        assert!(config.is_some() && report.is_empty(), "{report}");
    }

    #[test]
    fn credentials_stay_out_of_diagnostics() {
        for text in [
            "packs: [warp]\nnats: {password: 12345678}\n",
            "packs: [warp]\nnats: {pasword: hunter2}\n",
            "packs: [warp]\nnats: {url: [nats://u:hunter2@h]}\n",
            "packs: [warp\nnats: {token: hunter2}\n",
        ] {
            let report = read(text).1.render(false);
            assert!(!report.is_empty(), "{text}");
            assert!(
                !report.contains("hunter2") && !report.contains("12345678"),
                "{report}"
            );
        }
    }

    #[test]
    fn credentials_stay_out_of_debug_output() {
        let (config, _) =
            read("packs: [warp]\nnats: {token: \"{{ env.TOKEN }}\", password: s3cret}\n");
        assert!(!format!("{:?}", config.unwrap()).contains("s3cret"));
    }
}
