//! What rmcp's HTTP service asks of sessions. The session of a request has been found before rmcp sees the request; here it
//! is taken from there.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, CustomNotification, ErrorData,
    JsonRpcMessage, ServerJsonRpcMessage, ServerNotification, ToolListChangedNotification,
};
use rmcp::transport::streamable_http_server::session::{
    ServerSseMessage, SessionId, SessionManager,
};

use super::key;
use super::live::{Busy, Gone, Live};
use super::registry::{NoSession, Sessions};
use super::wire::{Returns, Wire};
use crate::engine::{Push, Pushes, Seen};
use crate::gateway::{Client, observe};

/// How long a client should wait before it opens a lost stream again.
const RETRY: Duration = Duration::from_secs(3);

/// The most bytes that a client may say of itself when a session begins.
const MAX_INTRODUCTION: usize = 64 * 1024;

/// A request on its way through rmcp.
pub(super) struct Request {
    pub client: Client,
    /// The session that it names.
    pub live: Option<Arc<Live>>,
    /// The session that it begins.
    pub created: OnceLock<Arc<Live>>,
    /// Why it begins none.
    pub refused: OnceLock<NoSession>,
}

tokio::task_local! {
    /// The request that rmcp handles.
    pub(super) static REQUEST: Arc<Request>;
}

/// Why rmcp gets no session.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// The request names none, or none could be begun.
    #[error("there is no session for this request")]
    None,
    /// It ended meanwhile.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// Its service does not answer.
    #[error("the session does not begin")]
    Mute,
}

/// The session that the current request names or has begun.
fn current() -> Result<Arc<Live>, ManagerError> {
    REQUEST
        .try_with(|request| {
            request
                .live
                .clone()
                .or_else(|| request.created.get().cloned())
        })
        .ok()
        .flatten()
        .ok_or(ManagerError::None)
}

impl SessionManager for Sessions {
    type Error = ManagerError;
    type Transport = Wire;

    async fn create_session(&self) -> Result<(SessionId, Wire), ManagerError> {
        let request = REQUEST
            .try_with(Arc::clone)
            .map_err(|_| ManagerError::None)?;
        let secret = key::secret().map_err(|error| {
            tracing::error!(%error, "the system has no random numbers");
            ManagerError::None
        })?;
        match self.create(&secret, &request.client) {
            Ok(live) => {
                let wire = live.wire();
                let _ = request.created.set(live);
                Ok((secret.into(), wire))
            }
            Err(refused) => {
                let _ = request.refused.set(refused);
                Err(ManagerError::None)
            }
        }
    }

    async fn initialize_session(
        &self,
        _id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, ManagerError> {
        let live = current()?;
        if let JsonRpcMessage::Request(request) = &message
            && let ClientRequest::InitializeRequest(initialize) = &request.request
        {
            // It is kept with the session, here and on NATS.
            let size = serde_json::to_vec(&initialize.params).map_or(usize::MAX, |text| text.len());
            if size > MAX_INTRODUCTION {
                self.abandon(&live);
                let text = format!(
                    "the parameters of initialize have {size} bytes, {MAX_INTRODUCTION} at the most are taken"
                );
                let error = ErrorData::invalid_params(text, None);
                return Ok(ServerJsonRpcMessage::error(error, Some(request.id.clone())));
            }
            live.introduce(initialize.params.clone());
        }
        let answer = match live.ask(message, None).await {
            Ok(mut answers) => answers.next().await,
            Err(_) => None,
        };
        match answer {
            Some(answer @ JsonRpcMessage::Response(_)) => {
                self.begun(&live).await;
                Ok(answer)
            }
            Some(refusal) => {
                self.abandon(&live);
                Ok(refusal)
            }
            None => {
                self.abandon(&live);
                Err(ManagerError::Mute)
            }
        }
    }

    async fn has_session(&self, _id: &SessionId) -> Result<bool, ManagerError> {
        Ok(current().is_ok())
    }

    /// rmcp says that a session's service has ended, which is not the end of the session.
    async fn close_session(&self, _id: &SessionId) -> Result<(), ManagerError> {
        Ok(())
    }

    async fn create_stream(
        &self,
        _id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, ManagerError> {
        let close_after = self.options.close_after;
        let returns = close_after.is_some() || self.gateway.hangs_up();
        let returns = returns.then_some(Returns { close_after });
        Ok(current()?.ask(message, returns).await?)
    }

    async fn accept_message(
        &self,
        _id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), ManagerError> {
        let live = current()?;
        let cancelled = match &message {
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ClientNotification::CancelledNotification(it) => it.params.request_id.clone(),
                _ => None,
            },
            _ => None,
        };
        live.tell(message).await?;
        if let Some(id) = cancelled {
            // It gets no answer any more.
            live.routes.forget(&id);
        }
        Ok(())
    }

    async fn create_standalone_stream(
        &self,
        _id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, ManagerError> {
        Ok(self.pushes(current()?, None))
    }

    async fn resume(
        &self,
        _id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, ManagerError> {
        let live = current()?;
        if let Some(answers) = live.routes.resume(&last_event_id) {
            let events: Events = Box::pin(answers?);
            return Ok(events);
        }
        // What is no event id of ours says nothing; the session knows itself how far its client is.
        Ok(self.pushes(live, last_event_id.parse().ok()))
    }
}

type Events = Pin<Box<dyn Stream<Item = ServerSseMessage> + Send + Sync>>;

/// An open stream of what a session tells its client unasked.
struct Open {
    pushes: Pushes,
    live: Arc<Live>,
    /// The last: dropped first, the session would see an idle moment.
    _guard: Guard,
}

/// Notes the end of a stream.
struct Guard {
    sessions: std::sync::Weak<Sessions>,
    live: Arc<Live>,
    _busy: Busy,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(sessions) = self.sessions.upgrade() else {
            return;
        };
        let live = Arc::clone(&self.live);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { sessions.keep_seen(&live).await });
        }
    }
}

impl Sessions {
    /// What a session tells its client unasked, after what it has seen.
    fn pushes(&self, live: Arc<Live>, seen: Option<Seen>) -> Events {
        let busy = live.streaming();
        let fingerprint = live.session.seen().fingerprint;
        let stale = seen.as_ref().is_some_and(|s| s.fingerprint != fingerprint);
        let pushes = live.session.attach(seen);
        let current = live.session.seen().to_string();
        let mut first = vec![ServerSseMessage::priming(current.clone(), RETRY)];
        if stale {
            let changed = ToolListChangedNotification::default();
            let changed = ServerNotification::ToolListChangedNotification(changed);
            let message = ServerJsonRpcMessage::notification(changed);
            first.push(ServerSseMessage::new(current, message));
        }
        let guard = Guard {
            sessions: self.me(),
            live: Arc::clone(&live),
            _busy: busy,
        };
        let open = Open {
            pushes,
            live,
            _guard: guard,
        };
        let rest = stream::unfold(open, |mut open| async move {
            let event = open.next().await?;
            Some((event, open))
        });
        Box::pin(stream::iter(first).chain(rest))
    }
}

impl Open {
    async fn next(&mut self) -> Option<ServerSseMessage> {
        tokio::select! {
            () = self.live.left() => None,
            push = self.pushes.next() => push.map(event),
            message = self.live.routes.next() => Some(ServerSseMessage::from_message(message)),
        }
    }
}

/// A push as a server-sent event.
fn event(push: Push) -> ServerSseMessage {
    let seen = push.seen.to_string();
    ServerSseMessage::new(seen, ServerJsonRpcMessage::notification(notification(push)))
}

/// A push that a client takes, as a notification of MCP.
pub(in crate::gateway) fn notification(push: Push) -> ServerNotification {
    observe::push(push.made.elapsed());
    // Without any, rmcp would write null, which clients refuse: MCP wants an object or nothing.
    let params = serde_json::Value::Object(push.params.unwrap_or_default());
    ServerNotification::CustomNotification(CustomNotification::new(push.method, Some(params)))
}
