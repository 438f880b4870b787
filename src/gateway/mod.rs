//! The gateway: one catalog on one NATS connection, offered to MCP clients.

pub mod access;
mod announced;
mod ask;
mod client;
mod clock;
pub(crate) mod content;
mod expose;
mod handler;
pub mod http;
mod lines;
mod listing;
mod lookout;
mod malformed;
pub mod nats;
mod news;
pub mod observe;
mod paging;
pub mod permits;
mod progress;
mod prompts;
pub mod reload;
mod resources;
pub mod seal;
mod services;
mod serving;
pub mod sessions;
pub mod stdio;
mod tasks;
mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use access::Access;
pub use client::{Client, Principal};
pub use handler::Handler;
pub use listing::listing;
pub use nats::Nats;
pub use news::Change;
pub use resources::Resources;
use serving::{Entries, Offer, Serving, compile};
use sessions::{Counts, Sessions};

use crate::bus;
use crate::catalog::{Catalog, Sources, Tool};
use crate::engine::{
    Background, Begin, CallError, Contact, Engine, Failure, Outcome, Reply, Session,
};
use crate::project::{Environment, Facts, project_places};
use crate::spec::config::Config;
use crate::spec::diag::Report;
use crate::spec::model::ResourceCache;
use crate::spec::verbs::Verb;

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

/// A running gateway.
pub struct Gateway {
    /// What it was started from.
    started: Setup,
    serving: ArcSwap<Serving>,
    /// The engine of `serving`, for those who go on with the next one.
    engines: watch::Sender<Arc<Engine>>,
    /// What tools are made of now that come and go.
    entries: Mutex<Entries>,
    reloads: reload::Reloads,
    nats: Nats,
    permits: Semaphore,
    news: news::News,
    tasks: tasks::Tasks,
    seal: seal::Seal,
    sessions: OnceLock<Weak<Sessions>>,
}

impl Gateway {
    /// Compiles the catalog and starts to connect. Returns before NATS is reached.
    ///
    /// # Errors
    /// See [`StartError`]. Warnings about the specs are logged.
    pub async fn start(setup: Setup, env: &Environment) -> Result<Arc<Self>, StartError> {
        let mut sources = Sources::default();
        sources.files.extend(project_places(&setup.facts.path));
        let compiled = compile(&setup, &Entries::new(), &mut sources);
        let (catalog, offer, warnings) = compiled.map_err(StartError::Specs)?;
        if !warnings.is_empty() {
            tracing::warn!("the specs have warnings:\n{warnings}");
        }
        let nats = Nats::start(&setup, env).await.map_err(StartError::Nats)?;
        let engine = Engine::new(catalog, nats.bus().clone()).map_err(StartError::Resources)?;
        let seal = seal::Seal::new(nats.bus());
        let serving = Serving::new(engine, offer, setup.config.clone())?;
        serving.engine.keep_tables();
        let tasks = tasks::Tasks::new(nats.bus());
        Ok(Arc::new(Self {
            started: setup,
            engines: watch::Sender::new(Arc::clone(&serving.engine)),
            serving: ArcSwap::from_pointee(serving),
            entries: Mutex::default(),
            reloads: reload::Reloads::new(sources, &warnings),
            nats,
            permits: Semaphore::new(MAX_IN_FLIGHT),
            news: news::News::new(),
            tasks,
            seal,
            sessions: OnceLock::new(),
        }))
    }

    /// Whether resources are served.
    pub fn has_resources(&self) -> bool {
        self.serving.load().resources.any()
    }

    /// The resources. While the gateway starts, waits a moment until they are watched: so whoever reads one and hears nothing
    /// has what it says.
    async fn resources(&self) -> Arc<Resources> {
        let resources = Arc::clone(&self.serving.load().resources);
        let _ = timeout(START_GRACE, resources.watched()).await;
        resources
    }

    /// The server's name as clients see it.
    pub fn name(&self) -> String {
        let serving = self.serving.load();
        let name = serving.config.name.as_deref();
        name.unwrap_or("jacquard").to_owned()
    }

    /// What a model is told when it connects.
    pub fn instructions(&self) -> Option<String> {
        self.serving.load().engine.catalog().instructions.clone()
    }

    /// Makes the tools anew that come from a source whose entries have changed ([`Catalog::regenerate`]), and offers them.
    /// Compiling many takes its time: not on the thread that answers. Whether clients see others now; who is told of that is
    /// not this function's business.
    pub fn regenerate(&self, source: &str, entries: &[Value]) -> bool {
        // Held to the end: what is served meanwhile is made of these entries, too.
        let mut all = self.entries();
        all.insert(source.to_owned(), entries.to_vec());
        self.serving.load_full().regenerate(source, entries)
    }

    // A panic while the lock is held leaves the map whole.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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
        all.extend(self.serving.load().resources.scopes().cloned());
        all.sort();
        all.dedup();
        all
    }

    /// One tool as clients see it.
    pub fn tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        let offer = self.offer();
        offer.tools.iter().find(|t| t.name == name).cloned()
    }

    /// A tool that runs as a task.
    fn task_tool(&self, name: &str) -> Option<Arc<Tool>> {
        self.catalog()
            .tool(name)
            .filter(|tool| tool.spec.runs_as_task())
    }

    /// Whether any tool does.
    fn has_tasks(&self) -> bool {
        let catalog = self.catalog();
        let tools = catalog.tools();
        tools.iter().any(|tool| tool.spec.runs_as_task())
    }

    /// Whether any step writes into the log of its client.
    fn has_log(&self) -> bool {
        self.has_step(&|verb| matches!(verb, Verb::Log(_)))
    }

    /// Whether any step lets clients come back for the answer.
    fn hangs_up(&self) -> bool {
        self.has_step(&|verb| matches!(verb, Verb::HangUp(_)))
    }

    /// How many items a page of a list has.
    fn page_size(&self) -> usize {
        let page = self.serving.load().config.page;
        page.unwrap_or(paging::PAGE)
    }

    /// How long clients may keep lists.
    fn hints(&self) -> paging::Hints {
        self.hints_of(None)
    }

    /// How long clients may keep what a resource says, which may have its own word on it.
    fn hints_of(&self, own: Option<&ResourceCache>) -> paging::Hints {
        paging::Hints::of(&self.serving.load().config, own)
    }

    fn has_step(&self, wanted: &dyn Fn(&Verb) -> bool) -> bool {
        let catalog = self.catalog();
        catalog
            .packs
            .iter()
            .any(|loaded| loaded.pack.has_step(wanted))
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

    /// The same for a single call: nothing goes on beside it.
    fn copy_of(&self, id: String, snapshot: &Value) -> Session {
        self.serving.load().engine.copy_of(id, snapshot)
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
        Background::begin(self.engines.subscribe(), session, begin)
    }

    /// Calls a tool for a session whose client can neither be told nor asked anything.
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
        let contact = Contact::default();
        let outcome = self.call_with(session, name, arguments, cancel, contact);
        // Nothing else comes of a run that cannot ask and is not to stop.
        outcome.await?.done().ok_or(CallError::Cancelled)
    }

    /// Calls a tool for a session.
    ///
    /// # Errors
    /// As [`Gateway::call`].
    pub async fn call_with(
        &self,
        session: &Session,
        name: &str,
        arguments: Option<Map<String, Value>>,
        cancel: &CancellationToken,
        contact: Contact,
    ) -> Result<Outcome<Reply>, CallError> {
        let begun = Instant::now();
        let done = self.work(session, cancel, |engine| async move {
            let mut outcome = engine.call(session, name, arguments, contact).await?;
            if let Outcome::Done(reply) = &mut outcome
                && reply.is_error
                && let Some(reason) = self.nats.failure()
            {
                reply.text.push_str("\nThere is no NATS: ");
                reply.text.push_str(&reason);
            }
            Ok(outcome)
        });
        let outcome = done.await.unwrap_or(Err(CallError::Cancelled));
        let (tool, shown) = match &outcome {
            Ok(Outcome::Done(reply)) if reply.is_error => (name, "error"),
            Ok(Outcome::Asked(_)) => (name, "asked"),
            Err(CallError::Refused { .. }) => (name, "error"),
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
