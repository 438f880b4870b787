//! The sessions of a gateway over HTTP: many in one process, each stored on NATS, so that any gateway can go on with it.
//!
//! - A session is [`Live`] in the memory of one gateway, or only a record in the bucket `jacquard-sessions`.
//! - Whoever gets a request for a session that it does not have takes it over: it asks the gateway that has it to let it
//!   go, which writes it first, and reads the record. A gateway that is gone does not answer; then the record is as new as its
//!   last answered call.
//! - A session that nothing happens in leaves memory (it is parked): its timers and listeners stop, its closing steps do not
//!   run. It goes on at its next request.
//! - Clients know a session by a secret, which is neither stored nor logged. Its id is made from that.

mod answered;
mod front;
mod key;
mod live;
mod manager;
mod record;
mod registry;
mod store;
mod sweep;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::{Gateway, Handler};

pub use front::Front;
pub use live::Live;
pub(super) use manager::notification;
pub use registry::Sessions;
pub(super) use store::permits;

/// The header by which a client without sessions names one, so that its requests have a state in common.
pub(super) const SESSION_NAME: &str = "jacquard-session";
/// The first version of MCP without sessions. Versions are dates.
pub(super) const WITHOUT_SESSIONS: &str = "2026-07-28";
/// No body is larger, whatever the guard in front lets through.
const MAX_BODY: usize = 256 << 20;

/// How long sessions are kept where, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// How long an idle session in which nothing was set stays in memory.
    pub unbound: Duration,
    /// How long any other idle session stays in memory.
    pub idle: Duration,
    /// How long a session is stored after it was last used.
    pub expire: Duration,
    /// How often sessions are looked after.
    pub sweep: Duration,
    /// The most sessions in memory.
    pub max: usize,
    /// How long a client may leave a push untaken before its stream is closed.
    pub push_timeout: Duration,
    /// How often a stream without news shows that it is alive.
    pub keep_alive: Duration,
    /// How long the response of a call may stay open before its client is to come back for the answer.
    pub close_after: Option<Duration>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            unbound: Duration::from_secs(60),
            idle: Duration::from_secs(15 * 60),
            expire: Duration::from_secs(24 * 60 * 60),
            sweep: Duration::from_secs(5),
            max: 2000,
            push_timeout: crate::engine::PUSH_TIMEOUT,
            keep_alive: Duration::from_secs(15),
            close_after: None,
        }
    }
}

/// How many sessions there are in a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In memory.
    pub memory: usize,
    /// Of these, such in which something was set.
    pub bound: usize,
    /// Open streams of pushes.
    pub streams: usize,
}

/// MCP over HTTP for all sessions of a gateway. Whoever serves it calls [`Sessions::close`] in the end.
pub fn service(gateway: &Arc<Gateway>, options: SessionOptions) -> Front {
    let (period, keep_alive) = (options.sweep, options.keep_alive);
    let sessions = Sessions::new(Arc::clone(gateway), options);
    gateway.count(Arc::downgrade(&sessions));
    tokio::spawn(sweep::sweep(Arc::downgrade(&sessions), period));
    tokio::spawn(sweep::release(Arc::downgrade(&sessions)));
    // Host, origin and size are looked at before a request comes here.
    let config = StreamableHttpServerConfig::default()
        .with_cancellation_token(sessions.stop.clone())
        .with_sse_retry(None)
        .with_sse_keep_alive(Some(keep_alive))
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY)
        .disable_allowed_hosts();
    let (gateway, all) = (Arc::clone(gateway), Arc::downgrade(&sessions));
    let factory = move || Ok(Handler::over_http(Arc::clone(&gateway), all.clone()));
    let service = StreamableHttpService::new(factory, Arc::clone(&sessions), config);
    Front::new(sessions, service)
}
