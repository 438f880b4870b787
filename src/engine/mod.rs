//! Running a tool: arguments are checked, steps run in order, a reply is rendered. And what a session does by itself.

pub mod again;
pub mod announced;
mod background;
mod call;
pub mod contact;
mod content;
mod contest;
pub mod cursor;
mod decoded;
pub mod failure;
pub mod inbox;
mod journal;
mod listen;
mod log;
mod machine;
mod offers;
mod outlet;
mod page;
pub(crate) mod payload;
pub mod permits;
mod progress;
pub mod push;
pub mod resources;
pub mod scope;
pub mod session;
mod sieve;
mod sources;
mod stand;
mod steps;
mod sweep;
mod tables;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Map, Value};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

pub use background::{Background, Begin};
pub use call::Reply;
pub use contact::{About, Asker, Contact, Outcome};
pub use content::{Block, Body, Bytes, Content, Link};
pub use failure::{Failure, FailureKind};
pub use log::{Level, Line, Log};
pub use offers::Message;
pub use outlet::PUSH_TIMEOUT;
pub use progress::{Done, Progress};
pub use push::{NotSeen, Push, Pushes, Seen};
pub use session::Session;

use crate::bus::Bus;
use crate::catalog::{Catalog, Tools};
use crate::spec::suggest;
use background::Beat;
use call::Call;
use resources::Resources;
use session::Ears;

/// Runs the tools of one catalog on one NATS connection.
pub struct Engine {
    catalog: Arc<Catalog>,
    bus: Bus,
    resources: Resources,
    tables: tables::Tables,
    inboxes: inbox::Inboxes,
    served: Arc<inbox::Served>,
    /// What feeds the tables.
    feeding: Mutex<JoinSet<()>>,
    /// What expressions call `gateway`.
    gateway: minijinja::Value,
    /// What steps say has changed.
    announced: broadcast::Sender<announced::Announcement>,
    /// Greater than that of each engine that was made before, so that a session never goes back.
    generation: u64,
    journals: journal::Journals,
    beats: Vec<Beat>,
    /// How often each source of generators is looked at.
    periods: BTreeMap<String, Duration>,
    sweeps: sweep::Sweeps,
    ears: Ears,
    decoded: decoded::Decoded,
}

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No such tool.
    #[error("there is no tool `{name}`; {help}")]
    UnknownTool {
        /// The name that was asked for.
        name: String,
        /// What was probably meant, or what there is.
        help: String,
    },
    /// There would be, and nobody has approved it as it is.
    #[error(
        "the tool `{name}` is not served: it is not what was approved. Who runs the gateway looks at it and approves it with \
         `jacquard tools --approve {name}`"
    )]
    Withheld {
        /// Its name.
        name: String,
    },
    /// The tool ended the call with an error of the protocol.
    #[error("{text}")]
    Refused {
        /// Its code, as JSON-RPC has it.
        code: i32,
        /// Its text.
        text: String,
    },
    /// The client took the call back; its steps were stopped.
    #[error("the call was cancelled")]
    Cancelled,
    /// The client does not do what the tool needs of it, and could be told so.
    #[error("{message}")]
    Incapable {
        /// What the tool wants of it.
        message: String,
        /// The capabilities that it lacks, as the protocol has them.
        lacks: Map<String, Value>,
    },
}

impl CallError {
    /// There is no such tool among those of now, but these for whoever asks.
    pub fn unknown<'a>(
        name: &str,
        now: &Tools,
        tools: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        if now.withheld().iter().any(|tool| tool.name == name) {
            let name = name.to_owned();
            return Self::Withheld { name };
        }
        Self::UnknownTool {
            name: name.chars().take(128).collect(),
            help: suggest::help(name, tools),
        }
    }
}

impl Engine {
    /// Puts a catalog on a connection. Nothing is asked of NATS yet.
    ///
    /// # Errors
    /// A stream, bucket, queue or table whose name or limits, a journal whose path, or a timer whose period cannot be made
    /// from this project and config.
    pub fn new(catalog: Arc<Catalog>, bus: Bus) -> Result<Self, Failure> {
        let gateway = minijinja::context!(id => scope::random_id());
        Self::of(catalog, bus, gateway, announced::channel())
    }

    /// An engine that takes the place of this one in the same gateway, for another catalog. This one goes on until nobody uses
    /// it any more.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn successor(&self, catalog: Arc<Catalog>) -> Result<Self, Failure> {
        let (gateway, announced) = (self.gateway.clone(), self.announced.clone());
        Self::of(catalog, self.bus.clone(), gateway, announced)
    }

    fn of(
        catalog: Arc<Catalog>,
        bus: Bus,
        gateway: minijinja::Value,
        announced: broadcast::Sender<announced::Announcement>,
    ) -> Result<Self, Failure> {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        let resources = Resources::new(&catalog, bus.clone())?;
        let tables = tables::Tables::new(&catalog, &resources)?;
        let inboxes = inbox::Inboxes::new(&catalog, &gateway)?;
        let journals = journal::Journals::new(&catalog)?;
        let beats = background::beats(&catalog)?;
        let periods = sources::periods(&catalog)?;
        Ok(Self {
            ears: listen::ears(&catalog),
            catalog,
            bus,
            resources,
            tables,
            inboxes,
            served: Arc::default(),
            feeding: Mutex::default(),
            gateway,
            announced,
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            journals,
            beats,
            periods,
            sweeps: sweep::Sweeps::default(),
            decoded: decoded::Decoded::default(),
        })
    }

    /// A new session with a random id. It begins with [`Engine::begin`].
    pub fn session(&self) -> Session {
        self.session_with(uuid::Uuid::new_v4().to_string())
    }

    /// A new session with this id, which must be unique and is no secret.
    pub fn session_with(&self, id: String) -> Session {
        let session = Session::listening_on(id, &self.ears, self.catalog.served().fingerprint());
        self.fit(&session);
        session
    }

    /// Has a session of an earlier engine go on with this one: what it remembers and does not fit the packs any more is forgotten.
    fn fit(&self, session: &Session) {
        session.fit(&self.catalog, &self.ears, self.generation);
    }

    /// A session that goes on where another gateway, or an earlier time, has left it ([`Session::snapshot`]). What does not fit
    /// the packs any more is forgotten. It begins with [`Engine::begin`]; [`Engine::resume`] tells its packs.
    pub fn restore(&self, id: String, snapshot: &Value) -> Session {
        let session = self.session_with(id);
        session.restore(&self.catalog, snapshot);
        session
    }

    /// The same for a single call: no listener of it is waited for, because none begins.
    pub fn copy_of(&self, id: String, snapshot: &Value) -> Session {
        let session = self.restore(id, snapshot);
        session.opening(0, false);
        session
    }

    /// Starts what goes on beside the calls of a session: its listeners, and its timers.
    pub fn begin(self: &Arc<Self>, session: &Arc<Session>, begin: Begin) -> Background {
        // Nobody will send another one.
        let (_, engines) = watch::channel(Arc::clone(self));
        Background::begin(engines, session, begin)
    }

    /// Runs the packs' steps for a session that goes on ([`Engine::restore`]), for one second at the most. Failures are logged.
    pub async fn resume(self: &Arc<Self>, session: &Arc<Session>) {
        background::resume(self, session).await;
    }

    /// The tools and what they need.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// How often a source of generators is to be looked at; `None` when no pack makes tools of it.
    pub fn period(&self, source: &str) -> Option<Duration> {
        self.periods.get(source).copied()
    }

    /// The connection.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Makes the streams that exist whatever is called, so that messages of other programs are kept from the start. Failures are
    /// logged: the first call that needs the stream tries again and answers with the reason.
    pub async fn prepare(&self) {
        for stream in self.resources.fixed_streams() {
            // The server may be another one than at the last connection, or have lost its store.
            stream.forget();
            if let Err(error) = stream.ensure().await {
                tracing::warn!(stream = %stream.spec().name, %error, "stream not ready");
            }
        }
    }

    /// Feeds the tables of the catalog from now on, for as long as the engine is used.
    pub fn keep_tables(&self) {
        let feeding = self.tables.keep(&self.bus);
        // A panic while the lock is held leaves the set whole.
        *self.feeding.lock().unwrap_or_else(PoisonError::into_inner) = feeding;
    }

    /// Waits until the tables hold what their streams say, about a second at the most. One that does not come so far says so to
    /// whoever looks into it.
    pub async fn warm(&self) {
        self.tables.catch_up().await;
    }

    /// The names of the streams of [`Engine::prepare`] that have not been found or made on this connection.
    pub fn unready(&self) -> Vec<String> {
        let streams = self.resources.fixed_streams();
        let missing = streams.iter().filter(|stream| !stream.is_ensured());
        missing.map(|stream| stream.spec().name.clone()).collect()
    }

    /// Calls a tool. Failures of the tool are replies with `is_error`; so is a panic, which is logged.
    ///
    /// # Errors
    /// [`CallError::UnknownTool`], [`CallError::Withheld`] and [`CallError::Incapable`]; [`CallError::Refused`] where a step says so.
    /// Whoever drops the call stops its steps where they wait.
    pub async fn call(
        &self,
        session: &Session,
        name: &str,
        arguments: Option<Map<String, Value>>,
        contact: Contact,
    ) -> Result<Outcome<Reply>, CallError> {
        let Some(tool) = self.catalog.tool(name) else {
            let now = self.catalog.tools();
            return Err(CallError::unknown(name, &now, now.names()));
        };
        self.fit(session);
        answer(name, Call::run(self, &tool, session, arguments, contact)).await
    }
}

/// The reply of a call, whatever becomes of it: a failure, and a panic in it, is a reply with `is_error`, unless it is an error
/// of the protocol ([`CallError::Refused`]).
async fn answer(
    name: &str,
    work: impl Future<Output = Result<Outcome<Reply>, Failure>>,
) -> Result<Outcome<Reply>, CallError> {
    let reply = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(outcome)) => return Ok(outcome),
        Ok(Err(failure)) => {
            metrics::counter!(failure::COUNTER, "kind" => failure.kind.as_str()).increment(1);
            tracing::debug!(tool = name, kind = failure.kind.as_str(), error = %failure, "call failed");
            let message = failure.message;
            if let FailureKind::Protocol(code) = failure.kind {
                let text = message;
                return Err(CallError::Refused { code, text });
            }
            match failure.lacks {
                Some(lacks) => {
                    let lacks = *lacks;
                    return Err(CallError::Incapable { message, lacks });
                }
                None => Reply::error(message),
            }
        }
        // The panic hook has logged where it happened.
        Err(_) => Reply::error(format!(
            "Error: {name} failed because of a fault in the gateway; the log has the details"
        )),
    };
    Ok(Outcome::Done(reply))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_call_is_an_answer() {
        let reply = answer("broken", async { panic!("on purpose") }).await;
        let reply = reply.unwrap().done().unwrap();
        assert!(reply.is_error && reply.text.contains("broken"));
        let reply = async { Err(Failure::new(FailureKind::Fail, "no")) };
        let reply = answer("broken", reply).await.unwrap();
        assert_eq!(reply, Outcome::Done(Reply::error("no")));
        let refusal = async { Err(Failure::new(FailureKind::Protocol(-32000), "no")) };
        assert!(matches!(
            answer("broken", refusal).await,
            Err(CallError::Refused { code: -32000, text }) if text == "no"
        ));
    }
}
