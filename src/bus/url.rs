//! Addresses of NATS servers: parsing, taking the credentials out, and hiding them.
//!
//! `async_nats` sees only addresses without credentials, so it cannot print any.

use super::error::{Error, ErrorKind};
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::Ipv6Addr;

/// Port of a `nats://` or `tls://` server when none is given.
const DEFAULT_PORT: u16 = 4222;

/// How the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Nats,
    Tls,
    Ws,
    Wss,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        [Self::Nats, Self::Tls, Self::Ws, Self::Wss]
            .into_iter()
            .find(|scheme| scheme.name().eq_ignore_ascii_case(text))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Nats | Self::Tls => DEFAULT_PORT,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    pub(super) fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// Credentials found in an address, percent-decoded.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum UrlAuth {
    Token(String),
    UserPassword(String, String),
}

impl fmt::Debug for UrlAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token(***)",
            Self::UserPassword(..) => "UserPassword(***)",
        })
    }
}

/// One server, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) scheme: Scheme,
    /// As it stands in an address: an IPv6 address keeps its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query of a websocket address, else empty.
    pub(super) path: String,
    pub(super) auth: Option<UrlAuth>,
}

impl Server {
    /// The address without credentials, as it is given to `async_nats`.
    pub(super) fn address(&self) -> String {
        format!("{}{}", self.shown(), self.path)
    }

    /// Scheme, host and port, to be shown to people.
    pub(super) fn shown(&self) -> String {
        format!("{}://{}:{}", self.scheme.name(), self.host, self.port)
    }
}

/// Takes one address apart. `url` has no surrounding list.
fn parse_one(url: &str) -> Result<Server, &'static str> {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (
            Scheme::parse(scheme).ok_or("the scheme must be nats, tls, ws or wss")?,
            rest,
        ),
        None => (Scheme::Nats, url),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if tail.contains('@') {
        return Err("a '/', '?', '#' or '@' in the user or password must be percent-encoded");
    }
    let (auth, place) = match authority.rsplit_once('@') {
        Some((info, place)) => (parse_auth(info)?, place),
        None => (None, authority),
    };
    let (host, port) = parse_place(place, scheme)?;
    if !scheme.is_websocket() && !matches!(tail, "" | "/") {
        return Err("a nats:// or tls:// address has no path");
    }
    if tail.contains('#') || tail.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("the path has characters that are not allowed");
    }
    let path = match tail {
        "" | "/" => String::new(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_owned(),
    };
    Ok(Server {
        scheme,
        host,
        port,
        path,
        auth,
    })
}

fn parse_auth(info: &str) -> Result<Option<UrlAuth>, &'static str> {
    if info.is_empty() {
        return Ok(None);
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(|text| text.into_owned())
            .map_err(|_| "the user or password is not UTF-8 after percent-decoding")
    };
    match info.split_once(':') {
        None => Ok(Some(UrlAuth::Token(decode(info)?))),
        Some(("", _)) => Err("a password stands without a user"),
        Some((user, password)) => Ok(Some(UrlAuth::UserPassword(
            decode(user)?,
            decode(password)?,
        ))),
    }
}

fn parse_place(place: &str, scheme: Scheme) -> Result<(String, u16), &'static str> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']').ok_or("the '[' is never closed")?;
            inside
                .parse::<Ipv6Addr>()
                .map_err(|_| "the address in [ ] is not an IPv6 address")?;
            let port = match after {
                "" => None,
                after => Some(
                    after
                        .strip_prefix(':')
                        .ok_or("after ']' comes only a port")?,
                ),
            };
            (format!("[{inside}]"), port)
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (place.to_owned(), None),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !host.starts_with('[') && (host.is_empty() || !host.chars().all(plain)) {
        return Err("the host is missing or has characters that are not allowed");
    }
    let port = match port {
        None => scheme.default_port(),
        Some(text) => text
            .parse::<u16>()
            .ok()
            .filter(|port| *port != 0 && text.bytes().all(|b| b.is_ascii_digit()))
            .ok_or("the port must be a number from 1 to 65535")?,
    };
    Ok((host, port))
}

/// Splits `a,b` into entries. An entry without a scheme but with an `@` is joined to the one before:
/// it may be the end of a password with a comma in it, and must not be shown as a host.
fn entries(list: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for part in list.split(',').map(str::trim) {
        let ambiguous = part.contains('@') && !part.contains("://");
        if !ambiguous {
            out.push(part.to_owned());
            continue;
        }
        let mut joined = part.to_owned();
        while let Some(before) = out.pop() {
            joined = format!("{before},{joined}");
            if before.contains("://") {
                break;
            }
        }
        out.push(joined);
    }
    out.retain(|entry| !entry.is_empty());
    out
}

fn parse_entry(entry: &str) -> Result<Server, &'static str> {
    if entry.contains(',') {
        return Err(
            "write the scheme before each server of a list, and a ',' in a password as %2C",
        );
    }
    parse_one(entry)
}

/// Takes every address in `list` apart; each may itself be a comma-separated list.
pub(super) fn parse_all(list: &[String]) -> Result<Vec<Server>, Error> {
    let mut servers = Vec::new();
    for entry in list.iter().flat_map(|list| entries(list)) {
        servers.push(parse_entry(&entry).map_err(|problem| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "the NATS address \"{}\" cannot be used: {problem}",
                    redact(&entry)
                ),
            )
        })?);
    }
    if servers.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "no NATS address is given; expected something like nats://host:4222",
        ));
    }
    Ok(servers)
}

/// Why an address (or a comma-separated list of them) can never be used, without its credentials.
pub fn address_problem(url: &str) -> Option<String> {
    let servers = entries(url);
    if servers.is_empty() {
        return Some("no NATS address is given".to_owned());
    }
    let problem = servers.iter().find_map(|entry| parse_entry(entry).err())?;
    Some(format!("this NATS address cannot be used: {problem}"))
}

/// The address (or comma-separated list of them) without user, password, token, path and query,
/// for logs and errors. What cannot be understood is hidden as a whole.
pub fn redact(url: &str) -> String {
    let shown: Vec<String> = entries(url).iter().map(|entry| redact_one(entry)).collect();
    shown.join(",")
}

fn redact_one(entry: &str) -> String {
    let scheme = entry
        .split_once("://")
        .and_then(|(scheme, _)| Scheme::parse(scheme))
        .unwrap_or(Scheme::Nats)
        .name();
    match parse_one(entry) {
        Ok(server) if server.auth.is_some() => {
            format!("{scheme}://***@{}:{}", server.host, server.port)
        }
        Ok(server) => server.shown(),
        Err(_) => format!("{scheme}://***"),
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
