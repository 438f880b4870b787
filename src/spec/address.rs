//! Addresses of servers: what the verbs `connect` and `fetch` ask, and what a config lets them ask.

use std::fmt;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name in lower case, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `host:port`, or a URL; what is not needed of a URL (its credentials and its path) is left out. Of some schemes
    /// the port is known.
    ///
    /// # Errors
    /// What is wrong with it, without its credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => (String::new(), text),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let place = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = split(place).ok_or_else(|| wrong(place))?;
        let port = match port {
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| wrong(place))?,
            None => known_port(&scheme)
                .ok_or_else(|| format!("`{place}` has no port; write `{place}:PORT`"))?,
        };
        let good = |c: char| !c.is_whitespace() && !c.is_control() && !"\\%<>\"".contains(c);
        if host.is_empty() || !host.chars().all(good) {
            return Err(wrong(place));
        }
        Ok(Self {
            host: host.to_lowercase(),
            port,
        })
    }

    /// Reads one address or several, separated by commas.
    ///
    /// # Errors
    /// As [`Address::parse`], for the first that is wrong.
    pub fn several(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').map(Self::parse).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// Which servers may be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    any: bool,
    listed: Vec<Address>,
}

impl Allowed {
    /// Reads the entries of a list: `*`, or what [`Address::several`] takes.
    ///
    /// # Errors
    /// What is wrong with each entry, by its index.
    pub fn parse(entries: &[String]) -> Result<Self, Vec<(usize, String)>> {
        let mut allowed = Self::default();
        let mut wrong = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match Address::several(entry) {
                _ if entry.trim() == "*" => allowed.any = true,
                Ok(addresses) => allowed.listed.extend(addresses),
                Err(problem) => wrong.push((index, problem)),
            }
        }
        if wrong.is_empty() {
            Ok(allowed)
        } else {
            Err(wrong)
        }
    }

    /// Whether this one may.
    pub fn has(&self, address: &Address) -> bool {
        self.any || self.listed.contains(address)
    }
}

fn split(place: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match place.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((place, None)),
    }
}

fn known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "nats" | "tls" => Some(4222),
        _ => None,
    }
}

fn wrong(place: &str) -> String {
    format!("`{place}` is no address; write `host:port`, with an IPv6 address in brackets")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_from_urls_and_pairs() {
        for (text, shown) in [
            ("localhost:4222", "localhost:4222"),
            ("nats://u:p@Host", "host:4222"),
            ("https://a.b/c?d=e:1", "a.b:443"),
            ("http://a.b:8080/x@y", "a.b:8080"),
            ("[::1]:80", "[::1]:80"),
            ("redis://h:6379", "h:6379"),
            (" h:1 ", "h:1"),
        ] {
            assert_eq!(
                Address::parse(text).map(|a| a.to_string()),
                Ok(shown.into())
            );
        }
        for bad in [
            "",
            "h",
            "h:",
            "h:0",
            "h:70000",
            ":1",
            "::1",
            "::1:80",
            "[::1",
            "redis://h",
            "a b:1",
            "h:x",
            "[::1]x:1",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        let error = Address::parse("nats://u:hunter2@h:x").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn only_what_is_listed_is_allowed() {
        let list = |entries: &[&str]| entries.iter().map(ToString::to_string).collect::<Vec<_>>();
        let address = |text| Address::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let allowed = Allowed::parse(&list(&["nats://a,b:1"])).unwrap_or_default();
        assert!(allowed.has(&address("a:4222")) && allowed.has(&address("B:1")));
        assert!(!allowed.has(&address("a:4223")) && !Allowed::default().has(&address("a:1")));
        assert!(Allowed::parse(&list(&["*"])).is_ok_and(|a| a.has(&address("z:9"))));
        let wrong = Allowed::parse(&list(&["a:1", "x", "y"])).unwrap_err();
        assert_eq!(wrong.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2]);
    }
}
