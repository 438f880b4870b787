//! One session in the memory of this gateway.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::{ClientJsonRpcMessage, ErrorData, InitializeRequestParams, RequestId};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::wire::{Answers, Response, Returns, Routes, Wire, asks};
use crate::engine::{Background, Session, contact};
use crate::gateway::Client;

/// What is going on in a session, and when something last was.
#[derive(Debug)]
pub(super) struct Usage {
    since: Instant,
    /// Milliseconds from `since` to the last sign of life.
    used: AtomicU64,
    /// Requests that are not answered yet, and open streams.
    busy: AtomicUsize,
    streams: AtomicUsize,
    less: Notify,
}

/// While one is there, its session stays in memory.
#[derive(Debug)]
pub(in crate::gateway) struct Busy {
    usage: Arc<Usage>,
    stream: bool,
}

impl Usage {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            since: Instant::now(),
            used: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            less: Notify::new(),
        })
    }

    fn touch(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used.store(now, Ordering::Relaxed);
    }

    pub(super) fn begin(self: &Arc<Self>, stream: bool) -> Busy {
        self.touch();
        self.busy.fetch_add(1, Ordering::Relaxed);
        if stream {
            self.streams.fetch_add(1, Ordering::Relaxed);
        }
        Busy {
            usage: Arc::clone(self),
            stream,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.usage.touch();
        if self.stream {
            self.usage.streams.fetch_sub(1, Ordering::Relaxed);
        }
        self.usage.busy.fetch_sub(1, Ordering::Relaxed);
        self.usage.less.notify_waiters();
    }
}

/// What is known of a session's record on NATS.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The revision of the record; `None` before it was first written.
    pub revision: Option<u64>,
    /// The state as it was last written or read.
    pub state: Value,
    /// When it was last written.
    pub written: Option<Instant>,
}

/// A session and all that this gateway does for it. Dropping it stops that; the steps at its end are not run.
pub struct Live {
    pub(super) key: Uuid,
    /// When the session began, in milliseconds since 1970.
    pub(super) created: u64,
    pub(super) session: Arc<Session>,
    client: Mutex<Client>,
    initialize: OnceLock<InitializeRequestParams>,
    background: Mutex<Option<Background>>,
    service: OnceLock<mpsc::Sender<ClientJsonRpcMessage>>,
    pub(super) routes: Arc<Routes>,
    usage: Arc<Usage>,
    /// Fires when this gateway no longer has the session.
    pub(super) gone: CancellationToken,
    pub(super) stored: tokio::sync::Mutex<Stored>,
    /// The revision of the session's state that is stored.
    pub(super) kept: AtomicU64,
}

impl Live {
    /// A session that begins, or goes on when `stored` says from where.
    pub(super) fn new(
        key: Uuid,
        created: u64,
        session: Arc<Session>,
        client: Client,
        stored: Stored,
    ) -> Self {
        let kept = match stored.revision {
            Some(_) => session.revision(),
            // Nothing is stored, whatever the state.
            None => u64::MAX,
        };
        Self {
            key,
            created,
            session,
            client: Mutex::new(client),
            initialize: OnceLock::new(),
            background: Mutex::default(),
            service: OnceLock::new(),
            routes: Arc::default(),
            usage: Usage::new(),
            gone: CancellationToken::new(),
            stored: tokio::sync::Mutex::new(stored),
            kept: AtomicU64::new(kept),
        }
    }

    /// Its state.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Its client, as it last proved to be.
    pub fn client(&self) -> Client {
        self.lock_client().clone()
    }

    fn lock_client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this client may use the session. If so, its newest token is what the session's expressions see.
    pub(super) fn admits(&self, client: &Client) -> bool {
        let mut known = self.lock_client();
        let same = match (&known.principal, &client.principal) {
            (Some(one), Some(other)) if Arc::ptr_eq(one, other) => true,
            (Some(one), Some(other)) => {
                let same = one.id == other.id;
                if same {
                    known.principal = Some(Arc::clone(other));
                    self.identify(client);
                }
                same
            }
            (None, None) => true,
            _ => false,
        };
        same && known.toolset == client.toolset
    }

    /// Tells the session who its client is.
    pub(super) fn identify(&self, client: &Client) {
        if let Some(principal) = &client.principal {
            self.session.set_client(&principal.id, &principal.claims);
        }
    }

    /// What the client said of itself, once.
    pub(super) fn introduce(&self, initialize: InitializeRequestParams) {
        let _ = self.initialize.set(initialize);
    }

    pub(super) fn initialize(&self) -> Option<&InitializeRequestParams> {
        self.initialize.get()
    }

    /// A wire for the service of this session. It takes messages as long as the session is in memory.
    pub(super) fn wire(&self) -> Wire {
        let (sender, wire) = Wire::new(Arc::clone(&self.routes));
        let _ = self.service.set(sender);
        wire
    }

    /// What runs beside its calls.
    pub(super) fn accompany(&self, background: Background) {
        *self.lock_background() = Some(background);
    }

    /// Takes what runs beside its calls; dropping that stops it.
    pub(super) fn alone(&self) -> Option<Background> {
        self.lock_background().take()
    }

    fn lock_background(&self) -> MutexGuard<'_, Option<Background>> {
        self.background
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings a request to the service.
    ///
    /// # Errors
    /// The service is gone.
    pub(super) async fn ask(
        &self,
        message: ClientJsonRpcMessage,
        returns: Option<Returns>,
    ) -> Result<Answers, Gone> {
        let Some(asks) = asks(&message) else {
            return Err(Gone);
        };
        let id = asks.id.clone();
        let returns = returns.filter(|_| asks.calls && self.knows_how_to_return());
        let Some(answers) = self.routes.ask(asks, returns, self.busy()) else {
            let text = "a request with this id is still being answered; use another id";
            return Ok(Answers::refused(id, ErrorData::invalid_request(text, None)));
        };
        if let Err(gone) = self.tell(message).await {
            self.routes.forget(&id);
            return Err(gone);
        }
        Ok(answers)
    }

    /// Whether its client expects that a response ends before the answer: older ones stumble over what they are told then.
    fn knows_how_to_return(&self) -> bool {
        let version = self.initialize().map(|it| &it.protocol_version);
        version.is_some_and(|version| version.as_str() >= "2025-11-25")
    }

    /// The HTTP response of a request of this session, if it has one.
    pub(in crate::gateway) fn response(&self, id: RequestId) -> Arc<dyn contact::Wire> {
        let routes = Arc::downgrade(&self.routes);
        Arc::new(Response { routes, id })
    }

    /// Brings a message that is not answered to the service.
    ///
    /// # Errors
    /// The service is gone.
    pub(super) async fn tell(&self, message: ClientJsonRpcMessage) -> Result<(), Gone> {
        let service = self.service.get().ok_or(Gone)?;
        service.send(message).await.map_err(|_| Gone)
    }

    /// Waits until this gateway no longer has the session.
    pub(in crate::gateway) async fn left(&self) {
        self.gone.cancelled().await;
    }

    /// Keeps the session in memory until the guard is dropped.
    pub(in crate::gateway) fn busy(&self) -> Busy {
        self.usage.begin(false)
    }

    /// The same, for an open stream.
    pub(in crate::gateway) fn streaming(&self) -> Busy {
        self.usage.begin(true)
    }

    /// Notes a sign of life.
    pub(super) fn touch(&self) {
        self.usage.touch();
    }

    /// Since when nothing has gone on; `None` while something does.
    pub(super) fn idle(&self) -> Option<Duration> {
        if self.usage.busy.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let used = Duration::from_millis(self.usage.used.load(Ordering::Relaxed));
        Some(self.usage.since.elapsed().saturating_sub(used))
    }

    /// When there last was a sign of life.
    pub(super) fn last_used(&self) -> Instant {
        self.usage.since + Duration::from_millis(self.usage.used.load(Ordering::Relaxed))
    }

    /// Open streams.
    pub(super) fn streams(&self) -> usize {
        self.usage.streams.load(Ordering::Relaxed)
    }

    /// Ends the streams and waits until what goes on is done, at most so long.
    pub(super) async fn settle(&self, limit: Duration) {
        self.gone.cancel();
        let quiet = async {
            loop {
                let less = self.usage.less.notified();
                tokio::pin!(less);
                less.as_mut().enable();
                if self.usage.busy.load(Ordering::Relaxed) == 0 {
                    return;
                }
                less.await;
            }
        };
        let _ = tokio::time::timeout(limit, quiet).await;
    }

    /// Whether its state differs from what is stored.
    pub(super) fn is_changed(&self) -> bool {
        self.kept.load(Ordering::Relaxed) != self.session.revision()
    }
}

/// The service of a session has ended.
#[derive(Debug, thiserror::Error)]
#[error("the session has ended")]
pub struct Gone;
