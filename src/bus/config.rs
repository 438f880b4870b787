//! What is needed to reach NATS, and its translation to connect options.

use super::error::{Error, ErrorKind};
use super::message::check_subject;
use super::url::{Scheme, Server, UrlAuth, parse_all, redact};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest (and default) time one request to NATS may take.
pub const MAX_REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// What the subjects of answers begin with by default.
pub const INBOX: &str = "_INBOX";

/// A creds file is two short blocks of text; anything larger is the wrong file.
const MAX_CREDS_BYTES: u64 = 64 * 1024;

/// How to reach NATS. `Debug` hides every secret.
#[derive(Clone)]
pub struct BusConfig {
    /// Addresses (`nats`, `tls`, `ws`, `wss`, or bare `host:port`); each entry may be a
    /// comma-separated list. Credentials in an address win over the fields below.
    pub servers: Vec<String>,
    /// User name; needs `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<String>,
    /// Token, instead of user and password.
    pub token: Option<String>,
    /// Seed of an nkey (`SU…`).
    pub nkey_seed: Option<String>,
    /// Path of a `.creds` file (JWT and nkey seed).
    pub creds_file: Option<PathBuf>,
    /// TLS settings.
    pub tls: Tls,
    /// Name of this client, as `nats server report connections` shows it.
    pub name: String,
    /// Limit of one request; taken as at most [`MAX_REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// What the subjects of answers begin with: one token or several, [`INBOX`] when not chosen.
    pub inbox_prefix: String,
}

/// TLS settings. Paths are PEM files.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates to trust instead of those of the system.
    pub ca: Option<PathBuf>,
    /// Client certificate; needs `key`.
    pub cert: Option<PathBuf>,
    /// Private key of `cert`.
    pub key: Option<PathBuf>,
    /// Demand TLS for `nats://` addresses too.
    pub required: bool,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            user: None,
            password: None,
            token: None,
            nkey_seed: None,
            creds_file: None,
            tls: Tls::default(),
            name: "jacquard".to_owned(),
            request_timeout: MAX_REQUEST_TIMEOUT,
            inbox_prefix: INBOX.to_owned(),
        }
    }
}

impl fmt::Debug for BusConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        let servers: Vec<String> = self.servers.iter().map(|url| redact(url)).collect();
        f.debug_struct("BusConfig")
            .field("servers", &servers)
            .field("user", &hidden(&self.user))
            .field("password", &hidden(&self.password))
            .field("token", &hidden(&self.token))
            .field("nkey_seed", &hidden(&self.nkey_seed))
            .field("creds_file", &self.creds_file)
            .field("tls", &self.tls)
            .field("name", &self.name)
            .field("request_timeout", &self.request_timeout)
            .field("inbox_prefix", &self.inbox_prefix)
            .finish()
    }
}

/// Everything checked and translated: addresses without credentials, and the options with them.
pub(super) struct Target {
    pub(super) addresses: Vec<async_nats::ServerAddr>,
    pub(super) options: async_nats::ConnectOptions,
    /// The servers for people, redacted.
    pub(super) shown: String,
}

impl BusConfig {
    /// The limit of one request, between 1 ms and [`MAX_REQUEST_TIMEOUT`].
    pub(super) fn limit(&self) -> Duration {
        self.request_timeout
            .clamp(Duration::from_millis(1), MAX_REQUEST_TIMEOUT)
    }

    /// Checks the configuration and reads the files it names.
    pub(super) async fn target(&self) -> Result<Target, Error> {
        let servers = parse_all(&self.servers)?;
        let websockets = servers.iter().filter(|s| s.scheme.is_websocket()).count();
        if websockets != 0 && websockets != servers.len() {
            return Err(invalid(
                "ws:// and nats:// servers cannot be mixed in one list",
            ));
        }
        if self.tls.required && servers.iter().any(|s| s.scheme == Scheme::Ws) {
            return Err(invalid("TLS is required, so write wss:// instead of ws://"));
        }
        let secure = servers
            .iter()
            .filter(|s| matches!(s.scheme, Scheme::Tls | Scheme::Wss))
            .count();
        let inbox = &self.inbox_prefix;
        if check_subject(inbox).is_err() {
            return Err(invalid(format!(
                "the inbox prefix {inbox:?} is none: write tokens of letters, digits, `-` and `_`, separated by dots"
            )));
        }
        let mut options = self.authenticated(&servers).await?;
        options = options.custom_inbox_prefix(inbox.clone());
        options = self.with_tls(options).await?;
        // Servers learnt from a cluster come without a scheme: they must not weaken a tls:// list.
        options = options.require_tls(self.tls.required || secure == servers.len());
        if websockets != 0 || (secure != 0 && secure != servers.len()) {
            options = options.ignore_discovered_servers();
        }
        let addresses = servers
            .iter()
            .map(|server| {
                server.address().parse().map_err(|source: std::io::Error| {
                    invalid(format!(
                        "the NATS address {} cannot be used",
                        server.shown()
                    ))
                    .caused_by(source)
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let shown: Vec<String> = servers.iter().map(Server::shown).collect();
        Ok(Target {
            addresses,
            options: options.name(&self.name),
            shown: shown.join(", "),
        })
    }

    async fn authenticated(&self, servers: &[Server]) -> Result<async_nats::ConnectOptions, Error> {
        let options = async_nats::ConnectOptions::new();
        if let Some(auth) = common_auth(servers)? {
            return Ok(match auth {
                UrlAuth::Token(token) => options.token(token.clone()),
                UrlAuth::UserPassword(user, password) => {
                    options.user_and_password(user.clone(), password.clone())
                }
            });
        }
        let login = self.user.is_some() || self.password.is_some();
        let given = [
            login,
            self.token.is_some(),
            self.nkey_seed.is_some(),
            self.creds_file.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            return Err(invalid(
                "more than one way to log in is configured: give only one of user and password, \
                 token, nkey seed, creds file",
            ));
        }
        if login {
            return match (&self.user, &self.password) {
                (Some(user), Some(password)) => {
                    Ok(options.user_and_password(user.clone(), password.clone()))
                }
                _ => Err(invalid(
                    "a NATS user needs a password, and a password a user",
                )),
            };
        }
        if let Some(token) = &self.token {
            return Ok(options.token(token.clone()));
        }
        if let Some(seed) = &self.nkey_seed {
            return with_seed(options, seed.trim());
        }
        match &self.creds_file {
            Some(path) => with_creds(options, path).await,
            None => Ok(options),
        }
    }

    async fn with_tls(
        &self,
        mut options: async_nats::ConnectOptions,
    ) -> Result<async_nats::ConnectOptions, Error> {
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            return Err(invalid(
                "a TLS client certificate needs its key, and a key its certificate",
            ));
        }
        for path in [&self.tls.ca, &self.tls.cert, &self.tls.key]
            .into_iter()
            .flatten()
        {
            tokio::fs::File::open(path).await.map_err(|source| {
                invalid(format!("the TLS file {} cannot be read", path.display())).caused_by(source)
            })?;
        }
        if let Some(ca) = &self.tls.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let (Some(cert), Some(key)) = (&self.tls.cert, &self.tls.key) {
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        Ok(options)
    }
}

fn invalid(context: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, context)
}

/// The credentials of the addresses. `async_nats` has one set for all servers, so they must agree.
fn common_auth(servers: &[Server]) -> Result<Option<&UrlAuth>, Error> {
    let mut found = servers.iter().filter_map(|server| server.auth.as_ref());
    let first = found.next();
    if found.any(|auth| Some(auth) != first) {
        return Err(invalid(
            "the NATS addresses carry different credentials: one connection has one login for all its servers",
        ));
    }
    Ok(first)
}

fn with_seed(
    options: async_nats::ConnectOptions,
    seed: &str,
) -> Result<async_nats::ConnectOptions, Error> {
    // async_nats checks a seed only while connecting. Its creds parser checks at once.
    let probe = format!("-----B-----\nx\n------E------\n\n-----B-----\n{seed}\n------E------\n");
    if async_nats::ConnectOptions::with_credentials(&probe).is_err() {
        return Err(invalid(
            "the nkey seed is not valid: expected the text that starts with SU, as `nk -gen user` prints it",
        ));
    }
    Ok(options.nkey(seed.to_owned()))
}

async fn with_creds(
    options: async_nats::ConnectOptions,
    path: &Path,
) -> Result<async_nats::ConnectOptions, Error> {
    let unreadable = |source| {
        invalid(format!("the creds file {} cannot be read", path.display())).caused_by(source)
    };
    let found = tokio::fs::metadata(path).await.map_err(unreadable)?;
    // A pipe or a device may never end.
    if !found.is_file() || found.len() > MAX_CREDS_BYTES {
        return Err(invalid(format!(
            "the creds file {} is not a regular file of at most {MAX_CREDS_BYTES} bytes",
            path.display()
        )));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
    // The cause is dropped: it may quote the file.
    options.credentials(&text).map_err(|_| {
        invalid(format!(
            "the creds file {} is not one: expected a JWT block and an nkey seed block",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const SEED: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";

    async fn kind_of(config: BusConfig) -> Option<ErrorKind> {
        config.target().await.err().map(|error| error.kind())
    }

    fn servers(list: &[&str]) -> BusConfig {
        BusConfig {
            servers: list.iter().map(|s| (*s).to_owned()).collect(),
            ..BusConfig::default()
        }
    }

    #[test]
    fn debug_hides_secrets() {
        let config = BusConfig {
            servers: vec!["nats://bob:hunter2@h".into()],
            user: Some("hunter2".into()),
            password: Some("hunter2".into()),
            token: Some("hunter2".into()),
            nkey_seed: Some("hunter2".into()),
            ..BusConfig::default()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn contradictions_are_found_at_once() {
        let bad = Some(ErrorKind::InvalidConfig);
        assert_eq!(kind_of(servers(&["ws://a,nats://b"])).await, bad);
        assert_eq!(kind_of(servers(&["nats://a:b@x,nats://c:d@y"])).await, bad);
        assert_eq!(kind_of(servers(&["nats://a:b@x,nats://a:b@y"])).await, None);
        let with = |change: fn(&mut BusConfig)| {
            let mut config = BusConfig::default();
            change(&mut config);
            kind_of(config)
        };
        assert_eq!(with(|c| c.user = Some("u".into())).await, bad);
        assert_eq!(with(|c| c.nkey_seed = Some("SUxx".into())).await, bad);
        assert_eq!(with(|c| c.nkey_seed = Some(SEED.into())).await, None);
        assert_eq!(
            with(|c| c.creds_file = Some("missing.creds".into())).await,
            bad
        );
        assert_eq!(
            with(|c| c.creds_file = Some("Cargo.toml".into())).await,
            bad
        );
        assert_eq!(with(|c| c.tls.cert = Some("Cargo.toml".into())).await, bad);
        assert_eq!(with(|c| c.tls.ca = Some("missing.pem".into())).await, bad);
        let both = BusConfig {
            token: Some("t".into()),
            nkey_seed: Some(SEED.into()),
            ..BusConfig::default()
        };
        assert_eq!(kind_of(both).await, bad);
        let mut plain_ws = servers(&["ws://a"]);
        plain_ws.tls.required = true;
        assert_eq!(kind_of(plain_ws).await, bad);
    }
}
