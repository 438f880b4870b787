//! What a gateway over HTTP is set up with: the config, read and found to be safe.

use std::net::SocketAddr;
use std::time::Duration;

use super::auth::Auth;
use super::limits::{InFlight, Rate};
use super::names::Names;
use crate::gateway::Setup;
use crate::gateway::sessions::SessionOptions;
use crate::spec::config::http::{DEFAULT_ADDRESS, SessionsConfig};
use crate::spec::tree::{parse_size, parse_span};

/// The largest body of a request when nothing else is said, in bytes.
const MAX_BODY: usize = 4 << 20;
/// Requests at once when nothing else is said.
const MAX_IN_FLIGHT: usize = 256;
/// Bytes of bodies that are on their way at once; a larger `http.max_body` makes it more.
const MAX_BODIES: usize = 256 << 20;
/// Time between two comments on an open stream when nothing else is said.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The flag that lets anybody on the network in.
pub const OPEN_FLAG: &str = "--dangerously-allow-unauthenticated-network";

/// All that stands in front of MCP.
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub address: SocketAddr,
    /// Who may log in; `None` where nobody has to.
    pub auth: Option<Auth>,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// Time between two comments on an open stream.
    pub keep_alive: Duration,
    /// How long a client may take nothing of what is sent to it.
    pub push_timeout: Duration,
    close_after: Option<Duration>,
    sessions: SessionsConfig,
    pub(super) hosts: Vec<String>,
    pub(super) origins: Vec<String>,
    pub(super) in_flight: InFlight,
    /// Bytes of bodies that are on their way.
    pub(super) bodies: InFlight,
    pub(super) rate: Option<Rate>,
}

impl Settings {
    /// From the config; `address` comes before the config's. `open`: anybody on the network may do everything.
    ///
    /// # Errors
    /// What cannot be read, and an address that others reach without a login.
    pub fn new(setup: &Setup, address: Option<SocketAddr>, open: bool) -> Result<Self, String> {
        let http = &setup.config.http;
        let named = http.address.as_deref().unwrap_or(DEFAULT_ADDRESS);
        let address = match address {
            Some(address) => address,
            None => named
                .parse()
                .map_err(|_| format!("http.address: {named} is not an IP address and a port"))?,
        };
        let auth = setup.config.auth.as_ref();
        let auth = auth.map(|auth| Auth::new(auth, &setup.base)).transpose()?;
        if auth.is_none() && !address.ip().is_loopback() && !open {
            return Err(format!(
                "{address} can be reached from other machines, and nobody has to log in: give `auth` in the config, listen on \
                 127.0.0.1, or take the risk that everybody who reaches it may call every tool with {OPEN_FLAG}"
            ));
        }
        let size = http.max_body.as_deref().and_then(parse_size);
        let max_body = size
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(MAX_BODY);
        Ok(Self {
            address,
            auth,
            max_body,
            keep_alive: span(&http.keep_alive).unwrap_or(KEEP_ALIVE),
            push_timeout: span(&http.push_timeout).unwrap_or(crate::engine::PUSH_TIMEOUT),
            close_after: span(&http.close_after),
            sessions: http.sessions.clone(),
            hosts: http.hosts.clone(),
            origins: http.origins.clone(),
            in_flight: InFlight::new(http.max_in_flight.unwrap_or(MAX_IN_FLIGHT)),
            bodies: InFlight::new(MAX_BODIES.max(2 * max_body)),
            rate: http.rate.map(Rate::new),
        })
    }

    /// How long sessions are kept where, and how many.
    pub(super) fn session_options(&self) -> SessionOptions {
        let usual = SessionOptions::default();
        let span = |text: &Option<String>, usual| span(text).unwrap_or(usual);
        let given = &self.sessions;
        SessionOptions {
            unbound: span(&given.unbound, usual.unbound),
            idle: span(&given.idle, usual.idle),
            expire: span(&given.expire, usual.expire),
            sweep: span(&given.sweep, usual.sweep),
            max: given.max.unwrap_or(usual.max),
            push_timeout: self.push_timeout,
            keep_alive: self.keep_alive,
            close_after: self.close_after,
        }
    }

    /// By which names it may be called when it listens here.
    pub(super) fn names(&self, own: SocketAddr) -> Names {
        Names::new(&self.hosts, &self.origins, own)
    }
}

/// A time of the config, if it is given.
fn span(text: &Option<String>) -> Option<Duration> {
    text.as_deref().and_then(parse_span)
}
