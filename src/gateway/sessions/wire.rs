//! How messages go between the HTTP requests of a session and its MCP service: each answer to the request that it
//! belongs to, what nobody asked for to the stream that the client keeps open for it.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use rmcp::model::{
    ClientJsonRpcMessage, ErrorData, GetExtensions, GetMeta, JsonRpcMessage, ProgressToken,
    RequestId, ServerJsonRpcMessage, ServerNotification,
};
use rmcp::service::{OriginatingRequestId, RoleServer};
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_server::session::ServerSseMessage;
use tokio::sync::{Notify, mpsc};

use super::live::Busy;

/// Messages that wait for a session's service. Whoever brings more waits.
const INBOX: usize = 64;
/// Messages that wait on the stream of one request; the last place is for its answer.
const ANSWERS: usize = 16;
/// Messages that wait for the client to open a stream; the oldest are dropped.
const UNASKED: usize = 64;

/// A request whose answer is awaited.
struct Asked {
    answers: mpsc::Sender<ServerJsonRpcMessage>,
    progress: Option<ProgressToken>,
    /// Keeps the session in memory until the answer.
    _busy: Busy,
}

/// Where the messages of a session's service go.
#[derive(Default)]
pub(super) struct Routes {
    asked: Mutex<HashMap<RequestId, Asked>>,
    unasked: Mutex<VecDeque<ServerJsonRpcMessage>>,
    more: Notify,
}

impl Routes {
    // A panic while a lock is held leaves its map whole: every change is one insert or remove.
    fn asked(&self) -> MutexGuard<'_, HashMap<RequestId, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unasked(&self) -> MutexGuard<'_, VecDeque<ServerJsonRpcMessage>> {
        self.unasked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages for a request from now on, up to its answer. `None` while another request has the same id.
    pub(super) fn ask(
        &self,
        id: RequestId,
        progress: Option<ProgressToken>,
        busy: Busy,
    ) -> Option<Answers> {
        let (answers, messages) = mpsc::channel(ANSWERS);
        let asked = Asked {
            answers,
            progress,
            _busy: busy,
        };
        match self.asked().entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => None,
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(asked);
                Some(Answers { messages })
            }
        }
    }

    /// Ends the stream of a request that will not be answered.
    pub(super) fn forget(&self, id: &RequestId) {
        self.asked().remove(id);
    }

    /// Sends a message of the service on its way. Never waits: an answer has a place of its own, and what else does not
    /// fit is dropped.
    fn route(&self, message: ServerJsonRpcMessage) {
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            _ => None,
        };
        if let Some(id) = answered {
            // Without a client that reads, the answer is of no use to anybody.
            if let Some(asked) = self.asked().remove(id) {
                let _ = asked.answers.try_send(message);
            }
            return;
        }
        if let Some(answers) = self.beside(&message) {
            if answers.capacity() > 1 {
                let _ = answers.try_send(message);
            }
            return;
        }
        let mut unasked = self.unasked();
        if unasked.len() >= UNASKED {
            unasked.pop_front();
        }
        unasked.push_back(message);
        self.more.notify_one();
    }

    /// The stream of the request during which this was sent.
    fn beside(&self, message: &ServerJsonRpcMessage) -> Option<mpsc::Sender<ServerJsonRpcMessage>> {
        let asked = self.asked();
        let found = match message {
            JsonRpcMessage::Request(request) => {
                let during = request.request.extensions().get::<OriginatingRequestId>()?;
                asked.get(&during.0)
            }
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ServerNotification::ProgressNotification(progress) => {
                    let token = &progress.params.progress_token;
                    asked.values().find(|a| a.progress.as_ref() == Some(token))
                }
                _ => None,
            },
            _ => None,
        };
        found.map(|asked| asked.answers.clone())
    }

    /// The next message that belongs to no request. Cancel-safe. For one reader at a time.
    pub(super) async fn next(&self) -> ServerJsonRpcMessage {
        loop {
            if let Some(message) = self.unasked().pop_front() {
                return message;
            }
            self.more.notified().await;
        }
    }
}

/// What a request is answered with, as server-sent events. It ends after the answer.
pub(super) struct Answers {
    messages: mpsc::Receiver<ServerJsonRpcMessage>,
}

impl Answers {
    /// A request that is refused at once.
    pub(super) fn refused(id: RequestId, error: ErrorData) -> Self {
        let (answers, messages) = mpsc::channel(1);
        let _ = answers.try_send(ServerJsonRpcMessage::error(error, Some(id)));
        Self { messages }
    }

    /// The next message; `None` after the answer.
    pub(super) async fn next(&mut self) -> Option<ServerJsonRpcMessage> {
        self.messages.recv().await
    }
}

impl Stream for Answers {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = self.messages.poll_recv(cx);
        message.map(|message| message.map(ServerSseMessage::from_message))
    }
}

/// The end of a session that its MCP service talks to.
pub struct Wire {
    inbox: mpsc::Receiver<ClientJsonRpcMessage>,
    routes: Arc<Routes>,
}

impl Wire {
    /// A wire, and what brings messages to its service. It ends when that is dropped.
    pub(super) fn new(routes: Arc<Routes>) -> (mpsc::Sender<ClientJsonRpcMessage>, Self) {
        let (sender, inbox) = mpsc::channel(INBOX);
        (sender, Self { inbox, routes })
    }
}

impl Transport<RoleServer> for Wire {
    type Error = Infallible;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
        self.routes.route(message);
        std::future::ready(Ok(()))
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.inbox.recv().await
    }

    async fn close(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The id and the progress token of a request.
pub(super) fn asks(message: &ClientJsonRpcMessage) -> Option<(RequestId, Option<ProgressToken>)> {
    match message {
        JsonRpcMessage::Request(request) => {
            let progress = request.request.get_meta().get_progress_token();
            Some((request.id.clone(), progress))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::gateway::sessions::live::Usage;
    use rmcp::model::{
        EmptyResult, NumberOrString, ProgressNotification, ProgressNotificationParam, ServerResult,
    };

    fn progress(token: i64) -> ServerJsonRpcMessage {
        let token = ProgressToken(NumberOrString::Number(token));
        let params = ProgressNotificationParam::new(token, 1.0);
        ServerJsonRpcMessage::notification(ServerNotification::ProgressNotification(
            ProgressNotification::new(params),
        ))
    }

    fn answer(id: i64) -> ServerJsonRpcMessage {
        let result = ServerResult::EmptyResult(EmptyResult {});
        ServerJsonRpcMessage::response(result, NumberOrString::Number(id))
    }

    #[tokio::test]
    async fn messages_go_where_they_belong_and_the_answer_always_has_room() {
        let (routes, usage) = (Routes::default(), Usage::new());
        let (id, token) = (NumberOrString::Number(1), NumberOrString::Number(7));
        let ask = || {
            routes.ask(
                id.clone(),
                Some(ProgressToken(token.clone())),
                usage.begin(false),
            )
        };
        let mut answers = ask().unwrap();
        assert!(ask().is_none(), "the id is in use");
        for _ in 0..2 * ANSWERS {
            routes.route(progress(7));
        }
        routes.route(progress(8));
        routes.route(answer(2));
        routes.route(answer(1));
        let mut seen = Vec::new();
        while let Some(message) = answers.next().await {
            seen.push(message);
        }
        assert_eq!(seen.len(), ANSWERS);
        assert!(matches!(seen.last(), Some(JsonRpcMessage::Response(_))));
        assert!(matches!(
            routes.next().await,
            JsonRpcMessage::Notification(_)
        ));
        assert!(ask().is_some(), "the id is free again");
    }

    #[tokio::test]
    async fn what_nobody_takes_is_bounded() {
        let routes = Routes::default();
        for token in 0..2 * UNASKED {
            routes.route(progress(i64::try_from(token).unwrap()));
        }
        assert_eq!(routes.unasked().len(), UNASKED);
    }
}
