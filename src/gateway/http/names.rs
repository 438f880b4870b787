//! By which names this server may be called, and from which web pages: the guard against DNS rebinding.

use std::net::SocketAddr;

use crate::spec::config::http::{host_of, is_loopback};

/// The hosts and origins that are let in, besides those of the loopback interface.
#[derive(Debug, Clone)]
pub struct Names {
    hosts: Vec<String>,
    origins: Vec<String>,
    own: SocketAddr,
}

impl Names {
    /// Those of the config, and the address that is listened on.
    pub fn new(hosts: &[String], origins: &[String], own: SocketAddr) -> Self {
        let lower = |texts: &[String]| texts.iter().map(|t| t.to_ascii_lowercase()).collect();
        Self {
            hosts: lower(hosts),
            origins: lower(origins),
            own,
        }
    }

    /// Whether a `Host` (with or without a port) is one of this server's.
    pub fn is_host(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        let host = host_of(&authority);
        if host.is_empty() || !authority_is_whole(&authority) {
            return false;
        }
        let own = self.own.ip();
        is_loopback(host)
            || (!own.is_unspecified() && host.parse() == Ok(own))
            || self
                .hosts
                .iter()
                .any(|allowed| allowed == "*" || *allowed == authority || allowed == host)
    }

    /// Whether a page of this `Origin` may call this server.
    pub fn is_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        if self.origins.iter().any(|o| *o == origin || o == "*") {
            return true;
        }
        let local = ["http://", "https://"]
            .iter()
            .find_map(|s| origin.strip_prefix(s));
        local.is_some_and(|authority| {
            authority_is_whole(authority) && is_loopback(host_of(authority))
        })
    }
}

/// Whether an authority is a host and perhaps a port, and nothing else.
fn authority_is_whole(authority: &str) -> bool {
    let after = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((_, after)) => after,
            None => return false,
        },
        None => authority.find(':').map_or("", |at| &authority[at..]),
    };
    after.is_empty()
        || after
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names() -> Names {
        Names::new(
            &["gate.example.com".into(), "Other.example:81".into()],
            &["https://app.example.com".into()],
            "192.0.2.7:8420".parse().unwrap(),
        )
    }

    #[test]
    fn hosts_are_those_of_this_server() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost:1", true),
            ("127.0.0.1:8420", true),
            ("[::1]:8420", true),
            ("192.0.2.7:8420", true),
            ("192.0.2.8:8420", false),
            ("gate.example.com", true),
            ("GATE.example.com:99", true),
            ("other.example:81", true),
            ("other.example:82", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("localhost:80@evil.example", false),
            ("localhost:x", false),
            ("[::1", false),
            ("", false),
        ] {
            assert_eq!(names().is_host(host), expected, "{host}");
        }
        let any = Names::new(&["*".into()], &[], "0.0.0.0:1".parse().unwrap());
        assert!(any.is_host("whatever.example"));
    }

    #[test]
    fn origins_are_those_that_are_allowed() {
        for (origin, expected) in [
            ("http://localhost:3000", true),
            ("https://127.0.0.1", true),
            ("http://[::1]:5", true),
            ("https://app.example.com", true),
            ("https://app.example.com:444", false),
            ("http://app.example.com", false),
            ("http://localhost.evil.example", false),
            ("http://localhost@evil.example", false),
            ("http://localhost:1@evil.example", false),
            ("null", false),
            ("file://", false),
            ("", false),
        ] {
            assert_eq!(names().is_origin(origin), expected, "{origin}");
        }
    }
}
