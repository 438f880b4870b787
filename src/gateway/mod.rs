//! The gateway: one catalog on one NATS connection, offered to MCP clients.

pub mod access;
mod client;
mod expose;
mod handler;
pub mod http;
mod listing;
pub mod nats;
mod news;
pub mod observe;
pub mod permits;
mod progress;
mod prompts;
mod resources;
mod services;
pub mod sessions;
pub mod stdio;
mod tasks;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use access::Access;
pub use client::{Client, Principal};
pub use handler::Handler;
pub use listing::listing;
pub use nats::Nats;
pub use news::Change;
pub use resources::Resources;
use sessions::{Counts, Sessions};

use crate::bus;
use crate::catalog::Catalog;
use crate::engine::{Background, Begin, CallError, Engine, Failure, Progress, Reply, Session};
use crate::project::{Environment, Facts};
use crate::spec::config::Config;
use crate::spec::diag::Report;

/// The most calls that run at once; further ones wait their turn.
const MAX_IN_FLIGHT: usize = 256;
/// How long a call waits for a local server that is just being started, and for the listeners of its session.
const START_GRACE: Duration = Duration::from_secs(1);

/// What a gateway is started from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The config.
    pub config: Config,
    /// The folder that paths in the config are relative to.
    pub base: PathBuf,
    /// The project's facts.
    pub facts: Facts,
    /// Whether a local nats-server may be run.
    pub allow_local: bool,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The packs or their settings.
    #[error("{0}")]
    Specs(#[source] Report),
    /// The NATS settings.
    #[error("NATS: {0}")]
    Nats(#[source] bus::Error),
    /// A stream or bucket that cannot be made from this project.
    #[error("{0}")]
    Resources(#[source] Failure),
}

/// What is served now; replaced as a whole.
struct Serving {
    engine: Arc<Engine>,
    /// What feeds its tables, as long as it is served.
    _tables: JoinSet<()>,
    offer: ArcSwap<Offer>,
}

/// What clients are told of the tools of now; replaced as a whole when these change.
struct Offer {
    tools: Vec<rmcp::model::Tool>,
    access: Access,
}

impl Offer {
    fn new(config: &Config, catalog: &Catalog) -> (Self, Report) {
        let tools = catalog.tools();
        let (access, unfit) = Access::new(config, &tools, &catalog.prompts);
        let tools = listing(&tools);
        (Self { tools, access }, unfit)
    }

    /// The tools that a client may use, as it sees them.
    fn tools_for(&self, client: &Client) -> Vec<rmcp::model::Tool> {
        let open = |tool: &&rmcp::model::Tool| self.access.may(client, &tool.name);
        self.tools.iter().filter(open).cloned().collect()
    }
}

/// A running gateway.
pub struct Gateway {
    name: String,
    config: Config,
    serving: ArcSwap<Serving>,
    nats: Nats,
    permits: Semaphore,
    news: news::News,
    resources: Resources,
    tasks: tasks::Tasks,
    sessions: OnceLock<Weak<Sessions>>,
}

impl Gateway {
    /// Compiles the catalog and starts to connect. Returns before NATS is reached.
    ///
    /// # Errors
    /// See [`StartError`]. Warnings about the specs are logged.
    pub async fn start(setup: Setup, env: &Environment) -> Result<Arc<Self>, StartError> {
        let facts = setup.facts.to_json();
        let (catalog, mut warnings) =
            Catalog::build(&setup.config, &setup.base, &facts).map_err(StartError::Specs)?;
        let (offer, unfit) = Offer::new(&setup.config, &catalog);
        warnings.extend(unfit);
        if !warnings.is_empty() {
            tracing::warn!("the specs have warnings:\n{warnings}");
        }
        let nats = Nats::start(&setup, env).await.map_err(StartError::Nats)?;
        let engine =
            Engine::new(Arc::new(catalog), nats.bus().clone()).map_err(StartError::Resources)?;
        let resources = Resources::new(engine.catalog()).map_err(StartError::Resources)?;
        let name = setup.config.name.as_deref().unwrap_or("jacquard");
        let gateway = Arc::new(Self {
            name: name.to_owned(),
            config: setup.config,
            serving: ArcSwap::from_pointee(Serving {
                _tables: engine.keep_tables(),
                engine: Arc::new(engine),
                offer: ArcSwap::from_pointee(offer),
            }),
            nats,
            permits: Semaphore::new(MAX_IN_FLIGHT),
            news: news::News::new(),
            resources,
            tasks: tasks::Tasks::default(),
            sessions: OnceLock::new(),
        });
        Ok(gateway)
    }

    /// Makes the streams of the catalog whenever the connection comes up: at start, and after a server came back empty.
    /// So messages of other programs are kept before the first call. Ends with the gateway's connection.
    pub async fn keep_prepared(&self) {
        let mut states = self.nats.bus().watch();
        loop {
            if states.wait_for(bus::State::is_connected).await.is_err() {
                return;
            }
            self.serving.load_full().engine.prepare().await;
            if states.wait_for(|s| !s.is_connected()).await.is_err() {
                return;
            }
        }
    }

    /// Looks after the queues of the catalog while there is a connection: what died with its holder becomes a dead letter
    /// although nobody claims. Ends with the gateway's connection.
    pub async fn keep_swept(&self) {
        let mut states = self.nats.bus().watch();
        while states.wait_for(bus::State::is_connected).await.is_ok() {
            let pause = self.serving.load_full().engine.sweep().await;
            tokio::time::sleep(pause).await;
        }
    }

    /// Watches the folders of resources and tells clients what has changed. Ends never.
    pub async fn keep_watched(self: &Arc<Self>) {
        let gateway = Arc::downgrade(self);
        let tell = move |change| {
            if let Some(gateway) = gateway.upgrade() {
                gateway.announce(change);
            }
        };
        self.resources.watch(self.nats.bus(), tell).await;
    }

    /// Whether resources are served.
    pub fn has_resources(&self) -> bool {
        self.resources.any()
    }

    /// The resources. While the gateway starts, waits a moment until they are watched: so whoever reads one and hears nothing
    /// has what it says.
    async fn resources(&self) -> &Resources {
        let _ = timeout(START_GRACE, self.resources.watched()).await;
        &self.resources
    }

    /// The server's name as clients see it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a model is told when it connects.
    pub fn instructions(&self) -> Option<String> {
        self.serving.load().engine.catalog().instructions.clone()
    }

    /// Makes the tools anew that come from a source whose entries have changed ([`Catalog::regenerate`]), and offers them.
    /// Compiling many takes its time: not on the thread that answers. Whether clients see others now; who is told of that is
    /// not this function's business.
    pub fn regenerate(&self, source: &str, entries: &[Value]) -> bool {
        let serving = self.serving.load_full();
        let catalog = serving.engine.catalog();
        let (changed, warnings) = catalog.regenerate(source, entries);
        if !warnings.is_empty() {
            tracing::warn!("not all tools of `{source}` can be made:\n{warnings}");
        }
        // Patterns of scopes that fit no tool were said at start; tools that come and go are no news of them.
        serving.offer.rcu(|_| Offer::new(&self.config, catalog).0);
        changed
    }

    fn offer(&self) -> Arc<Offer> {
        self.serving.load().offer.load_full()
    }

    /// The tools that a client may use, as it sees them.
    pub fn tools_for(&self, client: &Client) -> Vec<rmcp::model::Tool> {
        self.offer().tools_for(client)
    }

    /// Whether a client may use a tool. To one that may not, the tool does not exist.
    ///
    /// # Errors
    /// [`CallError::UnknownTool`], which knows of the client's tools only, and [`CallError::Withheld`].
    pub fn may(&self, client: &Client, tool: &str) -> Result<(), CallError> {
        let offer = self.offer();
        if offer.access.may(client, tool) {
            return Ok(());
        }
        let names = offer.tools.iter().map(|t| t.name.as_ref());
        let own = names.filter(|name| offer.access.may(client, name));
        Err(CallError::unknown(tool, &self.catalog().tools(), own))
    }

    /// Whether a client may connect where it wants to.
    ///
    /// # Errors
    /// See [`access::Denied`].
    pub fn enter(&self, client: &Client) -> Result<(), access::Denied> {
        self.offer().access.enter(client)
    }

    /// Every scope that a tool, a prompt, a toolset or a resource asks for, sorted.
    pub fn scopes(&self) -> Vec<String> {
        let mut all = self.offer().access.all_scopes();
        all.extend(self.resources.scopes().cloned());
        all.sort();
        all.dedup();
        all
    }

    /// One tool as clients see it.
    pub fn tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        let offer = self.offer();
        offer.tools.iter().find(|t| t.name == name).cloned()
    }

    /// Whether a tool may run as a task.
    fn runs_as_task(&self, name: &str) -> bool {
        let catalog = self.catalog();
        catalog
            .tool(name)
            .is_some_and(|tool| tool.spec.task == Some(true))
    }

    /// Whether any tool may.
    fn has_tasks(&self) -> bool {
        let catalog = self.catalog();
        let tools = catalog.tools();
        tools.iter().any(|tool| tool.spec.task == Some(true))
    }

    /// The streams that should be there whatever is called, and have not been found or made yet.
    pub fn unready(&self) -> Vec<String> {
        self.serving.load().engine.unready()
    }

    /// The NATS connection.
    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    /// The catalog that is served now.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(self.serving.load().engine.catalog())
    }

    /// Tells the clients that something has changed. Equal news that still wait for a client are told once. Never waits.
    pub fn announce(&self, change: Change) {
        let fingerprint = self.catalog().served().fingerprint();
        self.news.announce(change, &fingerprint);
    }

    /// From now on this session is told of changes ([`Gateway::announce`]): its client is of a version with `initialize`.
    pub fn tell_from_now_on(&self, session: &Arc<Session>) {
        self.news.tell_from_now_on(session);
    }

    /// How many sessions there are over HTTP.
    pub fn sessions(&self) -> Counts {
        let sessions = self.sessions.get().and_then(Weak::upgrade);
        sessions.map(|s| s.counts()).unwrap_or_default()
    }

    /// Notes whose sessions are to be counted.
    fn count(&self, sessions: Weak<Sessions>) {
        let _ = self.sessions.set(sessions);
    }

    /// A new session.
    pub fn session(&self) -> Session {
        self.serving.load().engine.session()
    }

    /// A new session with this id.
    pub fn session_with(&self, id: String) -> Session {
        self.serving.load().engine.session_with(id)
    }

    /// A session as [`Session::snapshot`] left it. It goes on with [`Gateway::begin`] and [`Gateway::resume`].
    pub fn restore(&self, id: String, snapshot: &Value) -> Session {
        self.serving.load().engine.restore(id, snapshot)
    }

    /// Runs the packs' steps for a session that goes on.
    pub async fn resume(&self, session: &Arc<Session>) {
        let serving = self.serving.load_full();
        serving.engine.resume(session).await;
    }

    /// Runs the closing steps of a session that nothing went on beside.
    pub async fn finish(&self, session: &Arc<Session>) {
        let background = self.begin(session, Begin::ONCE);
        background.end(START_GRACE).await;
    }

    /// Starts what goes on beside the calls of a session, until it is dropped or ended: its listeners and timers.
    pub fn begin(&self, session: &Arc<Session>, begin: Begin) -> Background {
        self.serving.load().engine.begin(session, begin)
    }

    /// Calls a tool for a session.
    ///
    /// # Errors
    /// As [`Engine::call`], and [`CallError::Cancelled`] when `cancel` fired first.
    pub async fn call(
        &self,
        session: &Session,
        name: &str,
        arguments: Option<Map<String, Value>>,
        cancel: &CancellationToken,
    ) -> Result<Reply, CallError> {
        let progress = Progress::none();
        self.call_telling(session, name, arguments, cancel, progress)
            .await
    }

    /// Calls a tool for a session whose client may want to know how far it is.
    ///
    /// # Errors
    /// As [`Gateway::call`].
    pub async fn call_telling(
        &self,
        session: &Session,
        name: &str,
        arguments: Option<Map<String, Value>>,
        cancel: &CancellationToken,
        progress: Progress,
    ) -> Result<Reply, CallError> {
        let begun = Instant::now();
        let done = self.work(session, cancel, |engine| async move {
            let mut reply = engine.call(session, name, arguments, progress).await?;
            if reply.is_error
                && let Some(reason) = self.nats.failure()
            {
                reply.text.push_str("\nThere is no NATS: ");
                reply.text.push_str(&reason);
            }
            Ok(reply)
        });
        let outcome = done.await.unwrap_or(Err(CallError::Cancelled));
        let (tool, shown) = match &outcome {
            Ok(reply) if reply.is_error => (name, "error"),
            Ok(_) => (name, "ok"),
            Err(CallError::Cancelled) if self.tool(name).is_some() => (name, "cancelled"),
            Err(_) => ("unknown", "unknown"),
        };
        observe::call(tool, shown, begun.elapsed());
        outcome
    }

    /// Does something for a session with a permit, once it listens; `None` when `cancel` fired first.
    async fn work<T, F: Future<Output = T>>(
        &self,
        session: &Session,
        cancel: &CancellationToken,
        work: impl FnOnce(Arc<Engine>) -> F,
    ) -> Option<T> {
        let work = async {
            // The semaphore is never closed: without a permit the work is still done.
            let _permit = self.permits.acquire().await;
            self.settle(session).await;
            let serving = self.serving.load_full();
            work(Arc::clone(&serving.engine)).await
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            done = work => Some(done),
        }
    }

    /// Waits a moment for what a session begins with.
    async fn settle(&self, session: &Session) {
        let _ = timeout(START_GRACE, self.ready(session)).await;
    }

    /// Waits for a local server that is being started, and for the listeners of a session while there may be a connection.
    async fn ready(&self, session: &Session) {
        self.nats.settle(START_GRACE).await;
        let mut states = self.nats.bus().watch();
        tokio::select! {
            biased;
            () = session.listening() => {}
            _ = states.wait_for(|s| matches!(s, bus::State::Disconnected { .. })) => {}
        }
    }

    /// Leaves NATS and the local server, within about a second.
    pub async fn close(&self) {
        self.nats.close().await;
    }
}

/// An error with all its causes, in one line.
pub fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// The default config: `configs/warp.yaml`, built in.
pub const DEFAULT_CONFIG: (&str, &str) =
    ("configs/warp.yaml", include_str!("../../configs/warp.yaml"));

/// The folder that paths of a config file are relative to.
pub fn base_of(config: &Path) -> PathBuf {
    config
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
