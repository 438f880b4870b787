//! What a config says of serving over HTTP: the address, its guards, who may log in, and who may use which tool.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Config;
use crate::spec::diag::{Code, Diagnostic, Report};
use crate::spec::doc::{Doc, join};
use crate::spec::suggest;
use crate::spec::tree::{is_template, parse_size, parse_span};

/// Where HTTP is served when nothing else is said.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8420";
/// The shortest bearer token: 16 characters. Shorter ones can be guessed.
pub const MIN_TOKEN: usize = 16;
/// The largest body that may be allowed, in bytes: 256 MiB.
const MAX_BODY: u64 = 256 << 20;

/// How clients reach the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Standard input and output: one client.
    #[default]
    Stdio,
    /// Streamable HTTP: many clients.
    Http,
}

/// Serving over HTTP.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// The IP address and port to listen on: `127.0.0.1:8420` when not given. Port 0 takes a free one.
    #[serde(default)]
    pub address: Option<String>,
    /// Names (`gateway.example.com`, with `:port` to allow that port only) by which clients may call this server, besides those
    /// of the loopback interface. `*` allows any, for a server behind a proxy that checks them.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Origins of web pages (`https://app.example.com`) that may call this server, besides those on the loopback interface.
    #[serde(default)]
    pub origins: Vec<String>,
    /// The largest body of a request: `4MiB` when not given, `256MiB` at the most.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+ ?(B|KB|MB|KiB|MiB)?$"))]
    pub max_body: Option<String>,
    /// The most requests that are worked on at once; further ones are refused with 503: 256 when not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_in_flight: Option<usize>,
    /// How many requests one client may make; no limit when not given.
    #[serde(default)]
    pub rate: Option<RateConfig>,
    /// How often an open stream carries a comment, so that nothing on the way takes it for dead: `15s` when not given.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+(s|m)$"))]
    pub keep_alive: Option<String>,
    /// How long sessions are kept.
    #[serde(default)]
    pub sessions: SessionsConfig,
    /// How long the HTTP response of a call may stay open before the client is asked to come back for the answer, as with
    /// `hang_up`: for ever when not given. Clients of MCP 2025-11-25 in sessions.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m)$"))]
    pub close_after: Option<String>,
    /// How long a client may take to take a notification before its stream is closed: `10s` when not given.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m)$"))]
    pub push_timeout: Option<String>,
}

/// How many requests one client may make: its user where there is a login, else its address.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateConfig {
    /// Requests each second in the long run.
    #[schemars(range(min = 0.01, max = 1_000_000.0))]
    pub per_second: f64,
    /// Requests at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: u32,
}

/// How long sessions over HTTP are kept.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    /// How long a session in which nothing was set stays in memory without a request or an open stream: `60s` when not given.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h|d)$"))]
    pub unbound: Option<String>,
    /// The same of a session that holds something: `15m` when not given. It goes on at its next request.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h|d)$"))]
    pub idle: Option<String>,
    /// When a session that nobody uses is forgotten: `24h` when not given.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h|d)$"))]
    pub expire: Option<String>,
    /// How often that is looked after: `5s` when not given.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h|d)$"))]
    pub sweep: Option<String>,
    /// The most sessions in memory: 2000 when not given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: Option<usize>,
}

/// Who may log in. Without it nobody has to, and only clients of this machine can be served.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Bearer tokens.
    #[serde(default)]
    pub tokens: Vec<TokenConfig>,
    /// Access tokens (JWT) of an OAuth 2 authorization server.
    #[serde(default)]
    pub oauth: Option<OauthConfig>,
}

/// A bearer token: `token` or `file`.
#[derive(Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Whom it stands for: a name of its own in sessions and logs.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}$"))]
    pub name: String,
    /// The token, 16 characters or more: `{{ env.NAME }}`.
    #[serde(default)]
    pub token: Option<String>,
    /// A file that holds the token, relative to this file.
    #[serde(default)]
    pub file: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub scopes: Vec<String>,
}

impl std::fmt::Debug for TokenConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenConfig")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// An OAuth 2 authorization server, for which this gateway is a resource server.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthConfig {
    /// Who must have issued a token: its claim `iss`, exactly.
    #[serde(default)]
    pub issuer: String,
    /// For whom it must have been issued: one of these in its claim `aud`; `resource` when not given.
    #[serde(default)]
    pub audience: Vec<String>,
    /// The keys of the issuer (a JSON Web Key Set): an `https:` URL (`http:` on this machine), or a file relative to this one.
    #[serde(default)]
    pub jwks: String,
    /// The signatures that are taken: RS256, ES256 and EdDSA when not given.
    #[serde(default)]
    pub algorithms: Vec<Algorithm>,
    /// Scopes that every token must have.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// The URL of this server as clients see it (`https://gateway.example.com/mcp`).
    #[serde(default)]
    pub resource: String,
}

/// A signature by a key pair. Shared secrets and unsigned tokens are never taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// Names of tools and prompts, in which `*` stands for any text: `[warp_dlq_*]`; or these as `tools`, with the `scopes` that a
/// client needs: `{tools: [warp_dlq_*], scopes: [triage]}`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(from = "ToolsetForm")]
#[schemars(with = "ToolsetForm")]
pub struct ToolsetConfig {
    /// Names of tools and prompts; `*` stands for any text.
    pub tools: Vec<String>,
    /// What a client must be allowed in order to connect to it.
    pub scopes: Vec<String>,
    /// Whether only the list of names was written.
    short: bool,
}

/// How a toolset is written.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum ToolsetForm {
    /// Names of tools and prompts; `*` stands for any text.
    Names(#[schemars(length(min = 1))] Vec<String>),
    /// The same, with what a client must be allowed.
    Whole(WholeToolset),
}

/// Some of the tools and prompts, and who may use them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WholeToolset {
    /// Names of tools and prompts; `*` stands for any text.
    #[schemars(length(min = 1))]
    tools: Vec<String>,
    /// What a client must be allowed in order to connect to it.
    #[serde(default)]
    scopes: Vec<String>,
}

impl From<ToolsetForm> for ToolsetConfig {
    fn from(form: ToolsetForm) -> Self {
        let short = matches!(form, ToolsetForm::Names(_));
        let (tools, scopes) = match form {
            ToolsetForm::Names(tools) => (tools, Vec::new()),
            ToolsetForm::Whole(whole) => (whole.tools, whole.scopes),
        };
        Self {
            tools,
            scopes,
            short,
        }
    }
}

impl ToolsetConfig {
    /// Where a name stands in the file, if the toolset stands at `pointer`.
    pub fn place(&self, pointer: &str, index: usize) -> String {
        let list = if self.short { "" } else { "/tools" };
        format!("{pointer}{list}/{index}")
    }
}

/// Whether a name fits a pattern in which `*` stands for any text.
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Checks what the schema cannot say. `complete`: expressions have been evaluated, so that what is absent is not given.
pub(super) fn check(config: &Config, doc: &Doc, complete: bool, report: &mut Report) {
    let mut checks = Checks { doc, report };
    checks.http(&config.http);
    if let Some(auth) = &config.auth {
        checks.auth(auth, complete);
    }
    if let Some(name) = &config.toolset
        && let Some((message, help)) = unknown_toolset(config, name)
    {
        let range = checks.doc.value_range("/toolset");
        let found = Diagnostic::error(Code::UnknownResource, &checks.doc.source, range, message);
        checks.report.push(found.help(help));
    }
    for name in config.toolsets.keys() {
        let fits = name.len() <= 64
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if !fits || name.is_empty() {
            let at = join("/toolsets", name);
            checks.wrong_key(&at, format!("`{name}` cannot be the name of a toolset: it is part of a URL, 1 to 64 lower-case letters, digits, `-` and `_`"));
        }
    }
}

/// What is to be said, and what was probably meant, if a config has no toolset of this name.
pub fn unknown_toolset(config: &Config, name: &str) -> Option<(String, String)> {
    let known = || config.toolsets.keys().map(String::as_str);
    let unknown = known().all(|other| other != name);
    let message = format!("there is no toolset `{name}`");
    let help = if config.toolsets.is_empty() {
        format!("declare it in the config: `toolsets: {{{name}: [names of tools]}}`")
    } else {
        suggest::help(name, known())
    };
    unknown.then_some((message, help))
}

struct Checks<'a> {
    doc: &'a Doc,
    report: &'a mut Report,
}

impl Checks<'_> {
    fn wrong(&mut self, pointer: &str, message: impl Into<String>) {
        let range = self.doc.value_range(pointer);
        let found = Diagnostic::error(Code::Schema, &self.doc.source, range, message);
        self.report.push(found);
    }

    fn wrong_key(&mut self, pointer: &str, message: String) {
        let range = self.doc.key_range(pointer);
        let found = Diagnostic::error(Code::Schema, &self.doc.source, range, message);
        self.report.push(found);
    }

    fn http(&mut self, http: &HttpConfig) {
        if let Some(address) = &http.address
            && address.parse::<SocketAddr>().is_err()
        {
            self.wrong(
                "/http/address",
                "this is not an IP address and a port, such as 127.0.0.1:8420 or 0.0.0.0:8420",
            );
        }
        if let Some(size) = http.max_body.as_deref()
            && parse_size(size).is_none_or(|size| size == 0 || size > MAX_BODY)
        {
            self.wrong(
                "/http/max_body",
                "a size from 1 byte to 256MiB is wanted, such as 4MiB",
            );
        }
        let sessions = &http.sessions;
        for (pointer, span) in [
            ("/http/keep_alive", &http.keep_alive),
            ("/http/push_timeout", &http.push_timeout),
            ("/http/sessions/unbound", &sessions.unbound),
            ("/http/sessions/idle", &sessions.idle),
            ("/http/sessions/expire", &sessions.expire),
            ("/http/sessions/sweep", &sessions.sweep),
        ] {
            let span = span.as_deref().map(parse_span);
            if span.is_some_and(|span| span.is_none_or(out_of_range)) {
                self.wrong(pointer, "a time from 10ms to 366d is wanted, such as 15s");
            }
        }
        for (index, origin) in http.origins.iter().enumerate() {
            if !is_template(origin) && !is_origin(origin) {
                let at = format!("/http/origins/{index}");
                self.wrong(&at, "an origin is a scheme, a host and perhaps a port, without a path: https://app.example.com");
            }
        }
        for (index, host) in http.hosts.iter().enumerate() {
            if !is_template(host) && (host.is_empty() || host.contains(['/', ' '])) {
                let at = format!("/http/hosts/{index}");
                self.wrong(
                    &at,
                    "a host is a name and perhaps a port: gateway.example.com or gateway.example.com:8420",
                );
            }
        }
    }

    fn auth(&mut self, auth: &AuthConfig, complete: bool) {
        if auth.tokens.is_empty() && auth.oauth.is_none() {
            self.wrong_key(
                "/auth",
                "nobody could log in: give `tokens` or `oauth`".into(),
            );
        }
        let mut names = BTreeMap::new();
        let mut texts = BTreeMap::new();
        for (index, token) in auth.tokens.iter().enumerate() {
            let at = format!("/auth/tokens/{index}");
            if complete && token.name.is_empty() {
                self.wrong(&at, "`name` is missing");
            }
            if !token.name.is_empty() && names.insert(&token.name, index).is_some() {
                let message = format!("there is another token named `{}`", token.name);
                self.wrong(&join(&at, "name"), message);
            }
            let given = token.token.is_some() || token.file.is_some();
            let both = token.token.is_some() && token.file.is_some();
            if both || (complete && !given) {
                self.wrong(&at, "this token needs either `token` or `file`");
            }
            if let Some(text) = &token.token {
                if let Err(problem) = check_token(text) {
                    self.wrong(&join(&at, "token"), problem);
                } else if texts.insert(text, index).is_some() {
                    self.wrong(&join(&at, "token"), "another user has the same token");
                }
            }
        }
        if let Some(oauth) = &auth.oauth {
            self.oauth(oauth, complete);
        }
    }

    fn oauth(&mut self, oauth: &OauthConfig, complete: bool) {
        let needed = [
            ("issuer", &oauth.issuer),
            ("jwks", &oauth.jwks),
            ("resource", &oauth.resource),
        ];
        for (name, _) in needed
            .iter()
            .filter(|(_, text)| complete && text.is_empty())
        {
            self.wrong_key("/auth/oauth", format!("`{name}` is missing"));
        }
        let url = |text: &str| is_secure_url(text);
        if !oauth.resource.is_empty() && !url(&oauth.resource) {
            self.wrong(
                "/auth/oauth/resource",
                "an `https:` URL is wanted (`http:` on this machine), without a query or fragment",
            );
        }
        if oauth.jwks.contains("://") && !url(&oauth.jwks) {
            self.wrong(
                "/auth/oauth/jwks",
                "keys are fetched from `https:` URLs only (`http:` on this machine)",
            );
        }
    }
}

/// Why a text cannot be a bearer token.
///
/// # Errors
/// The reason, without the token.
pub fn check_token(token: &str) -> Result<(), &'static str> {
    if token.len() < MIN_TOKEN {
        return Err(
            "a token has 16 characters or more, so that it cannot be guessed (`openssl rand -hex 32` makes one)",
        );
    }
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(
            "a token has visible ASCII characters only, and no blanks: it travels in a header",
        );
    }
    Ok(())
}

fn out_of_range(span: Duration) -> bool {
    span < Duration::from_millis(10) || span > Duration::from_secs(366 * 86_400)
}

/// Scheme, host and perhaps a port, and nothing else.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' '])
    })
}

/// `https:` anywhere, or `http:` to this machine.
fn is_secure_url(text: &str) -> bool {
    if text.contains(['?', '#', ' ', '@']) {
        return false;
    }
    if let Some(rest) = text.strip_prefix("https://") {
        return !rest.is_empty() && !rest.starts_with('/');
    }
    let authority = text
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next());
    authority.is_some_and(|authority| is_loopback(host_of(authority)))
}

/// The host of `host:port`, without the brackets of IPv6.
pub fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

/// Whether a host (without port) is this machine.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
