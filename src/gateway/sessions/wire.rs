//! How messages go between the HTTP requests of a session and its MCP service: each answer to the request that it
//! belongs to, what nobody asked for to the stream that the client keeps open for it.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::Stream;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorData, Extensions, GetExtensions, GetMeta,
    JsonRpcMessage, ProgressToken, RequestId, ServerJsonRpcMessage, ServerNotification,
};
use rmcp::service::{OriginatingRequestId, RoleServer};
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_server::session::ServerSseMessage;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Sleep, sleep};

use super::answered::Answered;
use super::live::{Busy, Gone};
use crate::spec::verbs::ask::MOST_QUESTIONS;

/// Messages that wait for a session's service. Whoever brings more waits.
const INBOX: usize = 64;
/// Messages that wait on the stream of one request: places for what it is told, for all questions of a step, and for its answer.
const ANSWERS: usize = TOLD + MOST_QUESTIONS + 1;
/// How many of them are for what it is told, of which more is dropped.
const TOLD: usize = 15;
/// Messages that wait for the client to open a stream; the oldest are dropped.
const UNASKED: usize = 64;

/// Calls whose clients are away, or are there no more.
const AWAY: usize = 64;
/// How long what they would be told is kept.
const KEPT: Duration = Duration::from_secs(300);
/// When a client should come back whose response was lost, or open for too long.
const RETRY: Duration = Duration::from_secs(3);
/// What the ids of events of calls begin with.
const EVENT: &str = "call.";

/// A request whose answer is awaited, by its client or for it.
struct Asked {
    answers: To,
    progress: Option<ProgressToken>,
    /// Whether its client knows how to come back for the answer.
    returns: Option<Returns>,
    /// Keeps the session in memory until the answer.
    _busy: Busy,
}

/// Where the messages of a request go.
enum To {
    /// To its response.
    Open(mpsc::Sender<Said>),
    /// Nowhere yet: the client is away since then.
    Away(Instant, VecDeque<ServerJsonRpcMessage>),
}

/// What goes over the response of a request.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are messages")]
enum Said {
    Message(ServerJsonRpcMessage),
    /// The end: the client is to come back after this time.
    Later(Duration),
}

/// How clients come back for answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Returns {
    /// How long a response stays open; for ever when not given.
    pub close_after: Option<Duration>,
}

/// Where the messages of a session's service go.
#[derive(Default)]
pub(super) struct Routes {
    asked: Mutex<HashMap<RequestId, Asked>>,
    /// What was answered to clients that know how to come back.
    answered: Answered,
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

    /// The messages for a request from now on, up to its answer. `None` while another request has the same id. With `returns` the
    /// client may come back for them ([`Routes::resume`]).
    pub(super) fn ask(
        self: &Arc<Self>,
        asks: Asks,
        returns: Option<Returns>,
        busy: Busy,
    ) -> Option<Answers> {
        let (answers, messages) = mpsc::channel(ANSWERS);
        let asked = Asked {
            answers: To::Open(answers),
            progress: asks.progress,
            returns,
            _busy: busy,
        };
        let mut all = self.asked();
        forget_old(&mut all);
        match all.entry(asks.id.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                place.insert(asked);
                self.answered.forget(&asks.id);
                let events = returns.map(|it| Events::new(self, asks.id, 0, it));
                Some(Answers { messages, events })
            }
        }
    }

    /// Ends the stream of a request that will not be answered.
    pub(super) fn forget(&self, id: &RequestId) {
        self.asked().remove(id);
    }

    /// Ends the response of a request for now. Whether its client comes back for what comes then.
    fn hang_up(&self, id: &RequestId, retry: Duration) -> bool {
        let mut all = self.asked();
        if away(&all) >= AWAY {
            return false;
        }
        let Some(asked) = all.get_mut(id).filter(|asked| asked.returns.is_some()) else {
            return false;
        };
        let To::Open(answers) = &asked.answers else {
            return true;
        };
        // The place of the answer is free: that comes later.
        match answers.try_send(Said::Later(retry)) {
            Err(TrySendError::Full(_)) => false,
            Ok(()) | Err(TrySendError::Closed(_)) => {
                asked.answers = To::Away(Instant::now(), VecDeque::new());
                true
            }
        }
    }

    /// What has come for a request since its client left, and comes from now on, if this is an id of an event of such a request.
    ///
    /// # Errors
    /// Nothing is known of that request.
    pub(super) fn resume(self: &Arc<Self>, event: &str) -> Option<Result<Answers, Gone>> {
        let (id, count) = read_event(event)?;
        let (answers, messages) = mpsc::channel(ANSWERS);
        let mut all = self.asked();
        forget_old(&mut all);
        let Some(asked) = all.get_mut(&id) else {
            let Some((answer, count)) = self.answered.after(&id, count) else {
                return Some(Err(Gone));
            };
            let _ = answers.try_send(Said::Message(answer));
            let events = Some(Events::new(self, id, count, Returns::default()));
            return Some(Ok(Answers { messages, events }));
        };
        let Some(returns) = asked.returns else {
            return Some(Err(Gone));
        };
        let before = std::mem::replace(&mut asked.answers, To::Open(answers.clone()));
        let mut answered = false;
        if let To::Away(_, kept) = before {
            for message in kept {
                answered |= answers_to(&message).is_some();
                // No more are kept than have room.
                let _ = answers.try_send(Said::Message(message));
            }
        }
        if answered {
            all.remove(&id);
        }
        drop(all);
        let events = Some(Events::new(self, id, count, returns));
        Some(Ok(Answers { messages, events }))
    }

    /// Takes back what was on its way to a client that has gone; `seen` are the events that went before.
    fn unread(&self, id: &RequestId, seen: u64, message: ServerJsonRpcMessage) {
        if answers_to(&message).is_some() {
            return self.answered.keep(id, seen + 1, Arc::new(message));
        }
        let mut all = self.asked();
        let room = away(&all) < AWAY;
        let Some(asked) = all.get_mut(id).filter(|asked| asked.returns.is_some()) else {
            return;
        };
        match &mut asked.answers {
            To::Open(answers) if answers.is_closed() && room => {
                asked.answers = To::Away(Instant::now(), VecDeque::from([message]));
            }
            To::Away(_, kept) if kept.len() + 1 < ANSWERS => kept.push_back(message),
            // The client has come back meanwhile.
            _ => {}
        }
    }

    /// Sends a message of the service on its way. Never waits: an answer has a place of its own, and what else does not
    /// fit is dropped.
    fn route(&self, message: ServerJsonRpcMessage) {
        if let Some(id) = answers_to(&message) {
            let id = id.clone();
            self.answer(&id, message);
            return;
        }
        let Some(message) = self.beside(message) else {
            return;
        };
        let mut unasked = self.unasked();
        if unasked.len() >= UNASKED {
            unasked.pop_front();
        }
        unasked.push_back(message);
        self.more.notify_one();
    }

    fn answer(&self, id: &RequestId, message: ServerJsonRpcMessage) {
        let mut all = self.asked();
        let room = away(&all) < AWAY;
        let Some(asked) = all.get_mut(id) else { return };
        let lost = match &mut asked.answers {
            To::Away(_, kept) => {
                kept.push_back(message);
                return;
            }
            To::Open(answers) => answers.try_send(Said::Message(message)),
        };
        match lost {
            // Its client may come back.
            Err(TrySendError::Closed(Said::Message(message)))
                if room && asked.returns.is_some() =>
            {
                asked.answers = To::Away(Instant::now(), VecDeque::from([message]));
            }
            // Without a client that reads, the answer is of no use to anybody.
            _ => drop(all.remove(id)),
        }
    }

    /// Sends what belongs to a request on its way; gives back what does not.
    fn beside(&self, message: ServerJsonRpcMessage) -> Option<ServerJsonRpcMessage> {
        let mut all = self.asked();
        let during = |extensions: &Extensions| {
            let during = extensions.get::<OriginatingRequestId>();
            during.map(|during| during.0.clone())
        };
        let found = match &message {
            JsonRpcMessage::Request(request) => {
                let id = during(request.request.extensions());
                id.and_then(|id| all.get_mut(&id))
            }
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ServerNotification::ProgressNotification(progress) => {
                    let token = &progress.params.progress_token;
                    all.values_mut()
                        .find(|a| a.progress.as_ref() == Some(token))
                }
                ServerNotification::CustomNotification(custom) => {
                    let id = during(&custom.extensions);
                    id.and_then(|id| all.get_mut(&id))
                }
                _ => None,
            },
            _ => None,
        };
        let Some(asked) = found else {
            return Some(message);
        };
        // A question that is dropped is not answered.
        let kept_free = match &message {
            JsonRpcMessage::Request(_) => 1,
            _ => ANSWERS - TOLD,
        };
        match &mut asked.answers {
            To::Open(answers) if answers.capacity() > kept_free => {
                let _ = answers.try_send(Said::Message(message));
            }
            To::Away(_, kept) if kept.len() + kept_free < ANSWERS => kept.push_back(message),
            _ => {}
        }
        None
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

/// The request that a message answers.
fn answers_to(message: &ServerJsonRpcMessage) -> Option<&RequestId> {
    match message {
        JsonRpcMessage::Response(response) => Some(&response.id),
        JsonRpcMessage::Error(error) => error.id.as_ref(),
        _ => None,
    }
}

/// How many clients are away.
fn away(all: &HashMap<RequestId, Asked>) -> usize {
    let away = |asked: &&Asked| matches!(asked.answers, To::Away(..));
    all.values().filter(away).count()
}

/// Forgets what nobody has come back for.
fn forget_old(all: &mut HashMap<RequestId, Asked>) {
    let old = |asked: &Asked| match &asked.answers {
        To::Away(since, _) => since.elapsed() > KEPT,
        To::Open(_) => false,
    };
    all.retain(|_, asked| !old(asked));
}

/// The events of one response to a client that may come back.
struct Events {
    routes: Weak<Routes>,
    id: RequestId,
    /// Of all events of the request.
    count: u64,
    /// Whether the first has been sent, which only says where the client is.
    begun: bool,
    close: Option<Pin<Box<Sleep>>>,
}

impl Events {
    fn new(routes: &Arc<Routes>, id: RequestId, count: u64, returns: Returns) -> Self {
        Self {
            routes: Arc::downgrade(routes),
            id,
            count,
            begun: false,
            close: returns.close_after.map(|after| Box::pin(sleep(after))),
        }
    }

    fn next_id(&mut self) -> String {
        self.count += 1;
        let id = serde_json::to_vec(&self.id).unwrap_or_default();
        format!("{EVENT}{}.{}", URL_SAFE_NO_PAD.encode(id), self.count)
    }

    /// Keeps what was sent now, if it is the answer: nobody knows whether the client gets it.
    fn keep_answer(&self, event: &ServerSseMessage) {
        let answer = event.message.as_ref();
        if let Some(answer) = answer.filter(|message| answers_to(message).is_some())
            && let Some(routes) = self.routes.upgrade()
        {
            let answer = Arc::clone(answer);
            routes.answered.keep(&self.id, self.count, answer);
        }
    }
}

/// The request that an event belongs to, and how many events there were.
fn read_event(text: &str) -> Option<(RequestId, u64)> {
    let (id, count) = text.strip_prefix(EVENT)?.split_once('.')?;
    let id = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(id).ok()?).ok()?;
    Some((id, count.parse().ok()?))
}

/// What a request is answered with, as server-sent events. It ends after the answer.
pub(super) struct Answers {
    messages: mpsc::Receiver<Said>,
    /// For a client that may come back.
    events: Option<Events>,
}

impl Answers {
    /// A request that is refused at once.
    pub(super) fn refused(id: RequestId, error: ErrorData) -> Self {
        let (answers, messages) = mpsc::channel(1);
        let error = ServerJsonRpcMessage::error(error, Some(id));
        let _ = answers.try_send(Said::Message(error));
        let events = None;
        Self { messages, events }
    }

    /// The next message; `None` after the answer.
    pub(super) async fn next(&mut self) -> Option<ServerJsonRpcMessage> {
        match self.messages.recv().await? {
            Said::Message(message) => Some(message),
            Said::Later(_) => None,
        }
    }
}

impl Stream for Answers {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(events) = &mut this.events {
            if !std::mem::replace(&mut events.begun, true) {
                let id = events.next_id();
                return Poll::Ready(Some(ServerSseMessage::priming(id, RETRY)));
            }
            let due = |close: &mut Pin<Box<Sleep>>| close.as_mut().poll(cx).is_ready();
            if events.close.as_mut().is_some_and(due) {
                events.close = None;
                if let Some(routes) = events.routes.upgrade() {
                    routes.hang_up(&events.id, RETRY);
                }
            }
        }
        let said = ready!(this.messages.poll_recv(cx));
        Poll::Ready(said.map(|said| match (said, &mut this.events) {
            (Said::Message(message), None) => ServerSseMessage::from_message(message),
            (Said::Message(message), Some(events)) => {
                let event = ServerSseMessage::new(events.next_id(), message);
                events.keep_answer(&event);
                event
            }
            (Said::Later(retry), _) => ServerSseMessage::retry(retry),
        }))
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let Some(events) = &self.events else { return };
        let Some(routes) = events.routes.upgrade() else {
            return;
        };
        // From here on its messages go elsewhere.
        self.messages.close();
        while let Ok(said) = self.messages.try_recv() {
            if let Said::Message(message) = said {
                routes.unread(&events.id, events.count, message);
            }
        }
    }
}

/// The HTTP response of a call.
pub(super) struct Response {
    pub routes: Weak<Routes>,
    pub id: RequestId,
}

impl crate::engine::contact::Wire for Response {
    fn hang_up(&self, retry: Duration) -> bool {
        let routes = self.routes.upgrade();
        routes.is_some_and(|routes| routes.hang_up(&self.id, retry))
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

/// What there is to know of a request.
pub(super) struct Asks {
    pub id: RequestId,
    progress: Option<ProgressToken>,
    /// Whether it calls a tool.
    pub calls: bool,
}

/// What there is to know of a message, if it is a request.
pub(super) fn asks(message: &ClientJsonRpcMessage) -> Option<Asks> {
    match message {
        JsonRpcMessage::Request(request) => Some(Asks {
            id: request.id.clone(),
            progress: request.request.get_meta().get_progress_token(),
            calls: matches!(request.request, ClientRequest::CallToolRequest(_)),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::gateway::sessions::live::Usage;
    use rmcp::model::{
        CustomRequest, EmptyResult, NumberOrString, ProgressNotification,
        ProgressNotificationParam, ServerRequest, ServerResult,
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

    fn call(id: i64, token: Option<i64>) -> Asks {
        Asks {
            id: NumberOrString::Number(id),
            progress: token.map(|token| ProgressToken(NumberOrString::Number(token))),
            calls: true,
        }
    }

    /// The events of a response up to its end.
    async fn all(answers: Answers) -> Vec<ServerSseMessage> {
        futures_util::StreamExt::collect(answers).await
    }

    #[tokio::test]
    async fn a_client_comes_back_for_what_it_has_not_been_told() {
        let (routes, usage) = (Arc::new(Routes::default()), Usage::new());
        let returns = Some(Returns::default());
        let ask = |returns| {
            routes
                .ask(call(1, Some(7)), returns, usage.begin(false))
                .unwrap()
        };
        let id = NumberOrString::Number(1);
        let plain = ask(None);
        assert!(!routes.hang_up(&id, RETRY), "it would not come back");
        drop(plain);
        routes.forget(&id);

        let first = ask(returns);
        routes.route(progress(7));
        assert!(routes.hang_up(&id, Duration::from_secs(1)) && routes.hang_up(&id, RETRY));
        for _ in 0..2 * ANSWERS {
            routes.route(progress(7));
        }
        let first = all(first).await;
        assert_eq!(first.len(), 3);
        assert!(first[0].message.is_none() && first[0].event_id.is_some());
        assert!(first[1].message.is_some() && first[2].retry == Some(Duration::from_secs(1)));
        let last = first[1].event_id.clone().unwrap();
        // It comes back and is lost: the answer is kept.
        drop(routes.resume(&last).unwrap().unwrap());
        routes.route(answer(1));
        let second = all(routes.resume(&last).unwrap().unwrap()).await;
        assert_eq!(second.len(), TOLD + 2, "where it is, and all that it lacks");
        let end = second.last().and_then(|event| event.event_id.clone());
        let end = end.unwrap();
        assert!(
            first
                .iter()
                .all(|event| event.event_id.as_ref() != Some(&end))
        );
        assert!(routes.resume(&end).unwrap().is_err(), "it has its answer");
        assert!(routes.resume(&last).unwrap().is_ok(), "it may have lost it");
        assert!(routes.resume("f;a:1").is_none(), "an event of the session");
        assert!(routes.asked().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_is_open_for_so_long_and_what_nobody_fetches_is_forgotten() {
        let (routes, usage) = (Arc::new(Routes::default()), Usage::new());
        let close_after = Some(Duration::from_secs(5));
        let ask = |id| {
            let returns = Some(Returns { close_after });
            routes
                .ask(call(id, None), returns, usage.begin(false))
                .unwrap()
        };
        let begun = tokio::time::Instant::now();
        let first = all(ask(1)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        assert_eq!(first.last().and_then(|event| event.retry), Some(RETRY));
        let open: Vec<_> = (2..=AWAY + 1)
            .map(|id| ask(i64::try_from(id).unwrap()))
            .collect();
        for id in 2..=AWAY {
            assert!(routes.hang_up(&NumberOrString::Number(i64::try_from(id).unwrap()), RETRY));
        }
        let one_more = NumberOrString::Number(i64::try_from(AWAY + 1).unwrap());
        assert!(!routes.hang_up(&one_more, RETRY), "too many are away");
        drop(open);
    }

    #[tokio::test]
    async fn messages_go_where_they_belong_and_the_answer_always_has_room() {
        let (routes, usage) = (Arc::new(Routes::default()), Usage::new());
        let ask = || routes.ask(call(1, Some(7)), None, usage.begin(false));
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
        assert_eq!(seen.len(), TOLD + 1);
        assert!(matches!(seen.last(), Some(JsonRpcMessage::Response(_))));
        assert!(matches!(
            routes.next().await,
            JsonRpcMessage::Notification(_)
        ));
        assert!(ask().is_some(), "the id is free again");
    }

    #[tokio::test]
    async fn every_question_of_a_step_has_room_behind_what_is_told() {
        let (routes, usage) = (Arc::new(Routes::default()), Usage::new());
        let question = || {
            let mut request = CustomRequest::new("elicitation/create", None);
            let during = OriginatingRequestId(NumberOrString::Number(1));
            request.extensions.insert(during);
            let request = ServerRequest::CustomRequest(request);
            ServerJsonRpcMessage::request(request, NumberOrString::Number(0))
        };
        for away in [false, true] {
            let returns = Some(Returns::default());
            let asked = routes.ask(call(1, Some(7)), returns, usage.begin(false));
            let mut answers = asked.unwrap();
            let id = NumberOrString::Number(1);
            assert!(!away || routes.hang_up(&id, RETRY));
            for _ in 0..ANSWERS {
                routes.route(progress(7));
            }
            for _ in 0..MOST_QUESTIONS {
                routes.route(question());
            }
            routes.route(answer(1));
            if away {
                answers = routes
                    .resume(&answers.events.as_mut().unwrap().next_id())
                    .unwrap()
                    .unwrap();
            }
            let mut questions = 0;
            let mut last = None;
            while let Some(message) = answers.next().await {
                questions += usize::from(matches!(message, JsonRpcMessage::Request(_)));
                last = Some(message);
            }
            assert_eq!(questions, MOST_QUESTIONS);
            assert!(matches!(last, Some(JsonRpcMessage::Response(_))));
        }
    }

    #[tokio::test]
    async fn what_nobody_takes_is_bounded() {
        let routes = Arc::new(Routes::default());
        for token in 0..2 * UNASKED {
            routes.route(progress(i64::try_from(token).unwrap()));
        }
        assert_eq!(routes.unasked().len(), UNASKED);
    }
}
