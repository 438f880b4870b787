//! Asking a client that waits for its own request: requests of the gateway, on the stream of that request.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use rmcp::model::{ClientResult, CustomRequest, ServerRequest};
use rmcp::service::{Peer, PeerRequestOptions, RequestHandle, RoleServer, ServiceError};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::engine::contact::{Ask, Question};
use crate::engine::{Failure, FailureKind};
use crate::gateway::sessions::Live;

/// Why a client need not answer any more.
const UNWANTED: &str = "the answer is not wanted any more";

/// A client that can be asked.
pub(super) struct Asking {
    peer: Peer<RoleServer>,
    /// Its session, where that may go to another gateway.
    live: Option<Arc<Live>>,
}

impl Asking {
    /// The client of a request. The questions must be put while that is handled, by whoever handles it: so they find its stream.
    pub(super) fn new(peer: Peer<RoleServer>, live: Option<Arc<Live>>) -> Self {
        Self { peer, live }
    }

    async fn put(&self, question: &Question, within: Duration) -> Result<Value, Failure> {
        let params = (!question.params.is_empty()).then(|| Value::Object(question.params.clone()));
        let request = CustomRequest::new(question.method.clone(), params);
        let request = ServerRequest::CustomRequest(request);
        let name = &question.name;
        let options = PeerRequestOptions::no_options();
        let handle = self.peer.send_request_with_option(request, options).await;
        let handle = handle.map_err(|error| failed(name, within, &error))?;
        let answer = Open(Some(handle)).answer(within).await;
        let answer = answer.map_err(|error| failed(name, within, &error))?;
        serde_json::to_value(&answer).map_err(|error| {
            let text = format!("the answer of the client to `{name}` cannot be read: {error}");
            Failure::new(FailureKind::Invalid, text)
        })
    }

    /// Waits until the session is elsewhere: what the client answers then arrives there.
    async fn left(&self) {
        match &self.live {
            Some(live) => live.left().await,
            None => std::future::pending().await,
        }
    }
}

impl Ask for Asking {
    fn ask(
        &self,
        questions: Vec<Question>,
        within: Duration,
    ) -> BoxFuture<'_, Result<Map<String, Value>, Failure>> {
        Box::pin(async move {
            let answers = questions.iter().map(|question| async move {
                let answer = self.put(question, within).await?;
                Ok::<_, Failure>((question.name.clone(), answer))
            });
            tokio::select! {
                biased;
                answers = try_join_all(answers) => Ok(answers?.into_iter().collect()),
                () = self.left() => {
                    let text = "the session of this call has ended here (it was closed, went to another gateway, or this one \
                                stops) while its client was asked, so the answer does not arrive; call again";
                    Err(Failure::new(FailureKind::Timeout, text))
                }
            }
        })
    }
}

/// A question that is not answered yet. Dropping it tells the client that no answer is wanted any more.
struct Open(Option<RequestHandle<RoleServer>>);

impl Open {
    async fn answer(mut self, within: Duration) -> Result<ClientResult, ServiceError> {
        let Some(handle) = self.0.as_mut() else {
            return Err(ServiceError::TransportClosed);
        };
        match timeout(within, &mut handle.rx).await {
            Ok(answer) => {
                self.0 = None;
                answer.map_err(|_| ServiceError::TransportClosed)?
            }
            Err(_) => Err(ServiceError::Timeout { timeout: within }),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (Some(handle), Ok(runtime)) = (self.0.take(), Handle::try_current()) else {
            return;
        };
        runtime.spawn(handle.cancel(Some(UNWANTED.to_owned())));
    }
}

fn failed(name: &str, within: Duration, error: &ServiceError) -> Failure {
    let (kind, why) = match error {
        ServiceError::Timeout { .. } => (
            FailureKind::Timeout,
            format!("the client has not answered `{name}` within {within:?}"),
        ),
        ServiceError::McpError(error) => (
            FailureKind::CannotAsk,
            format!("the client refuses to be asked `{name}`: {}", error.message),
        ),
        error => (
            FailureKind::CannotAsk,
            format!("the client cannot be asked `{name}`: {error}"),
        ),
    };
    Failure::new(kind, why)
}
