//! The session of a request, and doing something in it.

use std::sync::{Arc, Weak};

use axum::http::request::Parts;
use rmcp::model::{ErrorData, Extensions};

use super::Handler;
use crate::engine::{Outcome, Session};
use crate::gateway::Client;
use crate::gateway::sessions::{Live, SESSION_NAME, Sessions};

/// Where a handler finds the session of a request.
#[derive(Clone)]
pub(super) enum Whose {
    /// There is only one.
    One(Arc<Session>),
    /// The request names it.
    Named(Weak<Sessions>),
}

/// The session of a request.
pub(in crate::gateway) enum Found {
    One(Arc<Session>),
    Live(Arc<Sessions>, Arc<Live>),
    /// Of this request alone.
    Fleeting(Arc<Session>),
}

impl Found {
    pub(in crate::gateway) fn session(&self) -> &Session {
        match self {
            Self::One(session) | Self::Fleeting(session) => session,
            Self::Live(_, live) => live.session(),
        }
    }
}

impl Handler {
    pub(super) async fn find(&self, extensions: &Extensions) -> Result<Found, ErrorData> {
        let sessions = match &self.whose {
            Whose::One(session) => return Ok(Found::One(Arc::clone(session))),
            Whose::Named(sessions) => sessions.upgrade(),
        };
        let ended = || ErrorData::internal_error("this server is stopping", None);
        let sessions = sessions.ok_or_else(ended)?;
        let parts = extensions.get::<Parts>();
        if let Some(live) = parts.and_then(|p| p.extensions.get::<Arc<Live>>()) {
            return Ok(Found::Live(sessions, Arc::clone(live)));
        }
        let client = parts.and_then(|p| p.extensions.get::<Client>().cloned());
        let client = client.unwrap_or_default();
        let name = parts.and_then(|p| p.headers.get(SESSION_NAME));
        match sessions.find_unbegun(name, &client).await? {
            Some(live) => Ok(Found::Live(sessions, live)),
            None => Ok(Found::Fleeting(Arc::new(fleeting(Session::new(), &client)))),
        }
    }

    /// Does something in a session, and keeps what it has changed there.
    pub(super) async fn within<'f, T, F: Future<Output = T>>(
        &self,
        found: &'f Found,
        work: impl FnOnce(&'f Session) -> F,
    ) -> T {
        self.within_until(found, |_| true, work).await
    }

    /// The same for a run that may end with questions: it goes on, and so does its session.
    pub(in crate::gateway) async fn within_rounds<
        'f,
        T,
        E,
        F: Future<Output = Result<Outcome<T>, E>>,
    >(
        &self,
        found: &'f Found,
        work: impl FnOnce(&'f Session) -> F,
    ) -> Result<Outcome<T>, E> {
        let is_over =
            |outcome: &F::Output| !matches!(outcome, Ok(Outcome::Asked(_) | Outcome::Reached(_)));
        self.within_until(found, is_over, work).await
    }

    async fn within_until<'f, T, F: Future<Output = T>>(
        &self,
        found: &'f Found,
        is_over: impl FnOnce(&T) -> bool,
        work: impl FnOnce(&'f Session) -> F,
    ) -> T {
        match found {
            Found::One(session) => work(session).await,
            Found::Live(sessions, live) => {
                let _busy = live.busy();
                let outcome = work(live.session()).await;
                // Whoever has the answer can rely on it, whatever becomes of this gateway.
                sessions.keep(live).await;
                outcome
            }
            Found::Fleeting(session) => {
                let outcome = work(session).await;
                if session.is_bound() && is_over(&outcome) {
                    self.gateway.finish(session).await;
                }
                outcome
            }
        }
    }
}

/// Keeps what a request has changed in its session.
pub(super) async fn keep(found: &Found) {
    if let Found::Live(sessions, live) = found {
        let _busy = live.busy();
        sessions.keep(live).await;
    }
}

/// A session of a single request: nothing goes on beside it.
pub(in crate::gateway) fn fleeting(session: Session, client: &Client) -> Session {
    if let Some(principal) = &client.principal {
        session.set_client(&principal.id, &principal.claims);
    }
    session
}
