//! A session of an example, and what it is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::engine::{Background, Begin, Push, Session};
use crate::gateway::Gateway;
use crate::spec::model::FixtureClient;

/// How long its listeners may take to subscribe.
const LISTEN: Duration = Duration::from_secs(10);
/// How long its closing steps may take.
const CLOSE: Duration = Duration::from_secs(1);
/// The most notifications that are kept; later ones are passed over.
const MAX_HEARD: usize = 10_000;

/// A session, from its beginning to its end.
pub(super) struct Seat {
    pub(super) session: Arc<Session>,
    heard: Arc<Mutex<Vec<Push>>>,
    reader: JoinHandle<()>,
    background: Background,
}

impl Seat {
    /// Begins a session as a client over standard input and output would, and waits until it listens.
    pub(super) async fn begin(gateway: &Gateway, client: Option<&FixtureClient>) -> Self {
        let session = Arc::new(gateway.session());
        if let Some(client) = client {
            let claims = client.claims.as_ref().map(|claims| claims.to_value());
            let claims = match claims {
                Some(Value::Object(claims)) => claims,
                _ => Map::new(),
            };
            let principal = client.principal.as_deref().unwrap_or_default();
            session.set_client(principal, &claims);
        }
        let heard = Arc::<Mutex<Vec<Push>>>::default();
        let mut pushes = session.attach(None);
        let kept = Arc::clone(&heard);
        let reader = tokio::spawn(async move {
            while let Some(push) = pushes.next().await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < MAX_HEARD {
                    kept.push(push);
                }
            }
        });
        let background = gateway.begin(&session, Begin::LIVE);
        // Who cannot listen is told so by its first call.
        let _ = timeout(LISTEN, session.listening()).await;
        Self {
            session,
            heard,
            reader,
            background,
        }
    }

    /// What it has been told and nobody has expected yet. A panic while the lock is held leaves the list whole.
    pub(super) fn heard(&self) -> MutexGuard<'_, Vec<Push>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it in order.
    pub(super) async fn end(self) {
        self.background.end(CLOSE).await;
        self.reader.abort();
    }
}
