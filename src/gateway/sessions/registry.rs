//! The sessions that this gateway has in memory: found, made, taken over, let go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use rmcp::model::ErrorData;
use rmcp::service::serve_directly_with_ct;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::live::{Live, Stored};
use super::record::Record;
use super::store::{Outcome, Owner, Store};
use super::{Counts, SESSION_NAME, SessionOptions, key};
use crate::bus::Error;
use crate::engine::Begin;
use crate::gateway::clock::now;
use crate::gateway::{Client, Gateway, Handler};

/// How long calls may go on in a session that another gateway asks for, or that its client ends.
const LET_GO: Duration = Duration::from_millis(400);
/// The longest time for the steps at the end of a session.
const CLOSE: Duration = Duration::from_secs(1);
/// Requests for sessions that are not in memory take turns in so many lines, by id: two for one session never cross.
const LINES: usize = 64;

/// All sessions of a gateway over HTTP.
pub struct Sessions {
    pub(super) gateway: Arc<Gateway>,
    pub(super) options: SessionOptions,
    pub(super) store: Store,
    live: Mutex<HashMap<Uuid, Arc<Live>>>,
    lines: Vec<tokio::sync::Mutex<()>>,
    /// Itself, for what outlives a request.
    me: OnceLock<Weak<Self>>,
    /// Ends the services of all sessions.
    pub(super) stop: CancellationToken,
}

/// Why there is no session for a request.
#[derive(Debug)]
pub(super) enum NoSession {
    /// There is none with this id, or it is somebody else's.
    Unknown,
    /// There is no room for one more, or nobody can tell at this moment.
    Unavailable(String),
}

impl NoSession {
    /// For a client that has no session to be told of.
    fn into_error(self) -> ErrorData {
        match self {
            Self::Unknown => ErrorData::invalid_params(
                format!("the session named by {SESSION_NAME} belongs to another toolset"),
                None,
            ),
            Self::Unavailable(text) => ErrorData::internal_error(text, None),
        }
    }
}

impl From<Error> for NoSession {
    fn from(error: Error) -> Self {
        Self::Unavailable(format!("the session cannot be looked up: {error}"))
    }
}

impl Sessions {
    pub(super) fn new(gateway: Arc<Gateway>, options: SessionOptions) -> Arc<Self> {
        let store = Store::new(gateway.nats().bus(), options.expire);
        let sessions = Arc::new(Self {
            gateway,
            options,
            store,
            live: Mutex::default(),
            lines: (0..LINES).map(|_| tokio::sync::Mutex::default()).collect(),
            me: OnceLock::new(),
            stop: CancellationToken::new(),
        });
        let _ = sessions.me.set(Arc::downgrade(&sessions));
        sessions
    }

    // A panic while the lock is held leaves the map whole: every change is one insert or remove.
    fn live(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session in memory, which has just been used.
    fn get(&self, key: Uuid) -> Option<Arc<Live>> {
        let all = self.live();
        let live = all.get(&key)?;
        live.touch();
        Some(Arc::clone(live))
    }

    /// All sessions in memory.
    pub(super) fn all(&self) -> Vec<Arc<Live>> {
        self.live().values().cloned().collect()
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        let live = self.live();
        Counts {
            memory: live.len(),
            bound: live.values().filter(|l| l.session.is_bound()).count(),
            streams: live.values().map(|l| l.streams()).sum(),
        }
    }

    async fn line(&self, key: Uuid) -> tokio::sync::MutexGuard<'_, ()> {
        let place = usize::from(key.as_bytes()[0]) % LINES;
        self.lines[place].lock().await
    }

    /// The session with this secret for this client: from memory, or taken over from where it is.
    pub(super) async fn find(&self, secret: &str, client: &Client) -> Result<Arc<Live>, NoSession> {
        let key = key::of_secret(secret);
        match self.seek(key, client, false).await? {
            Some(live) => Ok(live),
            None => Err(NoSession::Unknown),
        }
    }

    /// The session of a client without sessions: by the name it gives, else by who it is. `None` when it says neither.
    ///
    /// # Errors
    /// A name that cannot be one, and no room.
    pub(in crate::gateway) async fn find_unbegun(
        &self,
        name: Option<&HeaderValue>,
        client: &Client,
    ) -> Result<Option<Arc<Live>>, ErrorData> {
        let name = match name.map(HeaderValue::to_str) {
            None => None,
            Some(Ok(name)) if (1..=key::MAX_NAME).contains(&name.len()) => Some(name),
            Some(_) => {
                let text = format!(
                    "the header {SESSION_NAME} must have 1 to {} visible ASCII characters",
                    key::MAX_NAME
                );
                return Err(ErrorData::invalid_params(text, None));
            }
        };
        let principal = client.principal.as_ref().map(|p| p.id.as_str());
        match key::of_client(name, principal, client.toolset.as_deref()) {
            Some(key) => self
                .seek(key, client, true)
                .await
                .map_err(NoSession::into_error),
            None => Ok(None),
        }
    }

    /// From memory, from NATS, and if `make` a new one.
    async fn seek(
        &self,
        key: Uuid,
        client: &Client,
        make: bool,
    ) -> Result<Option<Arc<Live>>, NoSession> {
        if let Some(live) = self.get(key) {
            return admitted(live, client).map(Some);
        }
        let _line = self.line(key).await;
        if let Some(live) = self.get(key) {
            return admitted(live, client).map(Some);
        }
        let taken = self.store.take(key, |record| fits(record, client)).await;
        match taken {
            Ok(Some((record, stored))) => self.go_on(key, record, stored, client).await.map(Some),
            Ok(None) if make => self.make(key, client).map(Some),
            Ok(None) => Ok(None),
            // Without NATS a session that is made anew is better than none; what is stored of it is merged later.
            Err(error) if make => {
                tracing::warn!(session = %key, %error, "not looked up: a session begins that may go on elsewhere");
                self.make(key, client).map(Some)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A session that begins.
    fn make(&self, key: Uuid, client: &Client) -> Result<Arc<Live>, NoSession> {
        let session = Arc::new(self.gateway.session_with(key.to_string()));
        let live = Live::new(key, now(), session, client.clone(), Stored::default());
        live.identify(client);
        let live = self.admit(Arc::new(live))?;
        self.accompany(&live);
        Ok(live)
    }

    /// A new session that its client is told the secret of. Its background begins with [`Sessions::begun`].
    pub(super) fn create(&self, secret: &str, client: &Client) -> Result<Arc<Live>, NoSession> {
        let key = key::of_secret(secret);
        let session = Arc::new(self.gateway.session_with(key.to_string()));
        let live = Live::new(key, now(), session, client.clone(), Stored::default());
        live.identify(client);
        self.admit(Arc::new(live))
    }

    /// The client has introduced itself: the session goes on by itself from now on, and others may know of it.
    pub(super) async fn begun(&self, live: &Arc<Live>) {
        self.accompany(live);
        // What its listeners go on from is part of the record.
        self.gateway.settle(&live.session).await;
        self.keep(live).await;
    }

    /// A session from its record.
    async fn go_on(
        &self,
        key: Uuid,
        record: Record,
        stored: Stored,
        client: &Client,
    ) -> Result<Arc<Live>, NoSession> {
        let session = self.gateway.restore(key.to_string(), &record.state);
        let live = Live::new(
            key,
            record.created,
            Arc::new(session),
            client.clone(),
            stored,
        );
        live.identify(client);
        let live = self.admit(Arc::new(live))?;
        if let Some(initialize) = record.initialize {
            live.introduce(initialize.clone());
            self.serve(&live, initialize);
        }
        self.accompany(&live);
        self.gateway.resume(live.session()).await;
        tracing::debug!(session = %key, "a session goes on here");
        Ok(live)
    }

    /// The MCP service of a session whose client has introduced itself elsewhere.
    fn serve(&self, live: &Arc<Live>, initialize: rmcp::model::InitializeRequestParams) {
        let handler = Handler::over_http(Arc::clone(&self.gateway), self.me());
        let stop = self.stop.child_token();
        let service = serve_directly_with_ct(handler, live.wire(), Some(initialize), stop);
        tokio::spawn(async move {
            let _ = service.waiting().await;
        });
    }

    pub(super) fn me(&self) -> Weak<Self> {
        self.me.get().cloned().unwrap_or_default()
    }

    fn accompany(&self, live: &Arc<Live>) {
        let begin = Begin {
            push_timeout: self.options.push_timeout,
            ..Begin::STORED
        };
        live.accompany(self.gateway.begin(live.session(), begin));
        // A client of a later version opens streams for news.
        if live.initialize().is_some() {
            self.gateway.tell_from_now_on(live.session());
        }
    }

    /// Puts a session into memory, in the place of one that is idle if need be.
    fn admit(&self, live: Arc<Live>) -> Result<Arc<Live>, NoSession> {
        let mut all = self.live();
        if all.len() >= self.options.max {
            let idle = all.values().filter(|l| l.idle().is_some());
            // Rather one that is stored, in case NATS is away.
            let lossy = |l: &Live| l.is_changed() && l.session.is_bound();
            let oldest = idle.min_by_key(|l| (lossy(l), l.last_used()));
            let Some(oldest) = oldest.cloned() else {
                let text = format!("all {} sessions of this gateway are in use", all.len());
                return Err(NoSession::Unavailable(text));
            };
            all.remove(&oldest.key);
            self.spawn_parking(oldest);
        }
        all.insert(live.key, Arc::clone(&live));
        Ok(live)
    }

    fn spawn_parking(&self, live: Arc<Live>) {
        if let Some(me) = self.me().upgrade() {
            tokio::spawn(async move {
                let _line = me.line(live.key).await;
                me.let_go(&live, Duration::ZERO).await;
            });
        }
    }

    /// Takes a session out of memory that has been idle for so long. It stays stored, and goes on at its next request.
    pub(super) async fn park(&self, live: &Arc<Live>, limit: Duration) {
        let _line = self.line(live.key).await;
        let is_idle = || live.idle().is_some_and(|idle| idle >= limit);
        if !is_idle() {
            return;
        }
        // Nobody is there: what timers and listeners set from here on may be lost, as if they had not run.
        if let Err(error) = self.store.save(live, Owner::Nobody).await
            && live.session.is_bound()
        {
            tracing::debug!(session = %live.key, %error, "an idle session stays in memory, because it cannot be stored");
            return;
        }
        let parked = {
            let mut all = self.live();
            // Whoever came for it meanwhile has touched it while holding the lock.
            is_idle() && all.remove(&live.key).is_some()
        };
        if parked {
            live.gone.cancel();
            drop(live.alone());
        } else {
            self.write(live).await;
        }
    }

    /// Another gateway asks for a session. Answers once it is written and no longer here.
    pub(super) async fn release(&self, key: Uuid) {
        let Some(live) = self.get(key) else {
            return;
        };
        let _line = self.line(key).await;
        if self.forget(&live) {
            self.let_go(&live, LET_GO).await;
            tracing::debug!(session = %key, "a session goes on elsewhere");
        }
    }

    /// Ends what goes on in a session, stops what runs beside it, and writes it. Whether it is written.
    async fn let_go(&self, live: &Arc<Live>, limit: Duration) -> bool {
        live.settle(limit).await;
        if let Some(background) = live.alone() {
            background.stop().await;
        }
        match self.store.save(live, Owner::Nobody).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(session = %live.key, %error, "a session is not stored");
                false
            }
        }
    }

    fn holds(&self, live: &Arc<Live>) -> bool {
        let all = self.live();
        all.get(&live.key).is_some_and(|l| Arc::ptr_eq(l, live))
    }

    /// Takes a session out of memory; whether it was this one that was there.
    fn forget(&self, live: &Arc<Live>) -> bool {
        let mut all = self.live();
        let there = all.get(&live.key).is_some_and(|l| Arc::ptr_eq(l, live));
        if there {
            all.remove(&live.key);
        }
        there
    }

    /// Writes a session if its state has changed; failures are logged, and it is tried again later. What it says about other
    /// gateways is obeyed.
    pub(in crate::gateway) async fn keep(&self, live: &Arc<Live>) {
        if live.is_changed() {
            self.write(live).await;
        }
    }

    /// Writes a session whether it has changed or not.
    pub(super) async fn write(&self, live: &Arc<Live>) {
        // A call may end when its session is no longer here.
        let owner = if self.holds(live) {
            Owner::Here
        } else {
            Owner::Nobody
        };
        match self.store.save(live, owner).await {
            Ok(Outcome::Written) => {}
            Ok(Outcome::Taken | Outcome::Ended) => {
                if self.forget(live) {
                    live.gone.cancel();
                    drop(live.alone());
                    tracing::debug!(session = %live.key, "a session has been taken over or ended elsewhere");
                }
            }
            Err(error) => {
                tracing::warn!(session = %live.key, %error, "a session is not stored and would be lost with this gateway");
            }
        }
    }

    /// Ends a session for its client: its closing steps run, and nobody finds it any more.
    pub(super) async fn end(&self, live: &Arc<Live>) {
        let _line = self.line(live.key).await;
        if !self.forget(live) {
            return;
        }
        live.settle(LET_GO).await;
        if let Some(background) = live.alone() {
            background.end(CLOSE).await;
        }
        if let Err(error) = self.store.remove(live).await {
            tracing::warn!(session = %live.key, %error, "the record of an ended session is not removed");
        }
    }

    /// Takes a session away that could not begin.
    pub(super) fn abandon(&self, live: &Arc<Live>) {
        self.forget(live);
        live.gone.cancel();
    }

    /// Lets all sessions go, within `limit`: calls are answered, streams end, everything is written. Nothing is closed, because
    /// sessions go on elsewhere.
    pub async fn close(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let all: Vec<_> = self.live().drain().map(|(_, live)| live).collect();
        let quiet = all.iter().map(|live| live.settle(limit));
        futures_util::future::join_all(quiet).await;
        self.stop.cancel();
        let left = deadline
            .saturating_duration_since(Instant::now())
            .max(LET_GO);
        let writes = all.iter().map(|live| self.let_go(live, Duration::ZERO));
        let writes = futures_util::future::join_all(writes);
        if tokio::time::timeout(left, writes).await.is_err() {
            tracing::warn!("not all sessions could be stored in time");
        }
    }
}

fn admitted(live: Arc<Live>, client: &Client) -> Result<Arc<Live>, NoSession> {
    // Who may not use a session is not told that it exists.
    live.admits(client)
        .then_some(live)
        .ok_or(NoSession::Unknown)
}

/// Whether a stored session is this client's.
fn fits(record: &Record, client: &Client) -> bool {
    record.principal.as_deref() == client.principal.as_ref().map(|p| p.id.as_str())
        && record.toolset.as_deref() == client.toolset.as_deref()
}
