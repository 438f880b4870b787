//! What is known about the connection: its state, why it is down, and what the server refused.

use super::error::{Error, ErrorKind};
use async_nats::{ClientError, Event, ServerError};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// Refused subjects that are remembered for calls in flight; older ones are forgotten.
const MAX_VIOLATIONS: usize = 64;

/// State of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The first attempt is still going on.
    Connecting,
    /// Connected.
    Connected,
    /// Not connected; it is tried again for ever.
    Disconnected {
        /// Why, for an operator. Without credentials.
        reason: Arc<str>,
        /// Since when.
        since: Instant,
        /// True when the server was reached but refused the credentials.
        refused: bool,
    },
}

impl State {
    /// True for [`State::Connected`].
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }
}

/// One refusal, as the server reported it.
struct Violation {
    number: u64,
    subject: String,
    publish: bool,
}

/// Shared by the event callbacks and by every call in flight.
pub(super) struct Health {
    state: watch::Sender<State>,
    /// Counts events that may end a call in flight: a lost connection, a refusal.
    signal: watch::Sender<u64>,
    violations: Mutex<VecDeque<Violation>>,
    refusals: AtomicU64,
    /// Counts how often the connection went down.
    losses: AtomicU64,
    /// The server does not let this user subscribe to its inbox: no request can work.
    inbox_refused: AtomicBool,
    /// What the subjects of answers begin with, and a dot.
    inbox: String,
    /// The last error the server sent on a live connection: it explains a following disconnect.
    last_error: Mutex<Option<String>>,
}

impl Health {
    pub(super) fn new(inbox_prefix: &str) -> Self {
        Self {
            inbox: format!("{inbox_prefix}."),
            state: watch::channel(State::Connecting).0,
            signal: watch::channel(0).0,
            violations: Mutex::default(),
            refusals: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            inbox_refused: AtomicBool::new(false),
            last_error: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state.borrow().is_connected()
    }

    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn inbox_refused(&self) -> bool {
        self.inbox_refused.load(Ordering::Relaxed)
    }

    /// Called when the connection is up and the facts about the server are known.
    pub(super) fn connected(&self) {
        self.inbox_refused.store(false, Ordering::Relaxed);
        *lock(&self.last_error) = None;
        self.state.send_if_modified(|state| {
            let changed = !state.is_connected();
            *state = State::Connected;
            changed
        });
    }

    /// Notes why there is no connection.
    pub(super) fn down(&self, reason: &str, refused: bool, servers: &str) {
        if self.set_down(reason, refused) {
            tracing::warn!(servers, reason, "NATS is not connected, trying again");
        }
    }

    /// True when that is news.
    fn set_down(&self, reason: &str, refused: bool) -> bool {
        let changed = self.state.send_if_modified(|state| {
            let (since, same) = match state {
                // A short form of what is known already says nothing new.
                State::Disconnected {
                    reason: old, since, ..
                } => (*since, old.contains(reason)),
                _ => (Instant::now(), false),
            };
            if !same {
                *state = State::Disconnected {
                    reason: reason.into(),
                    since,
                    refused,
                };
            }
            !same
        });
        if changed {
            self.losses.fetch_add(1, Ordering::Relaxed);
            self.bump();
        }
        changed
    }

    /// An event of `async_nats`, other than `Connected`.
    pub(super) fn event(&self, event: Event, servers: &str) {
        match event {
            Event::Disconnected => {
                let error = lock(&self.last_error).take();
                let reason = error.as_deref().unwrap_or("the connection was lost");
                self.down(reason, is_refusal(reason), servers);
            }
            Event::Closed => {
                self.set_down("the connection was closed", false);
            }
            Event::ClientError(ClientError::Other(reason)) => self.failed_attempt(&reason, servers),
            Event::ServerError(ServerError::AuthorizationViolation) => {
                *lock(&self.last_error) = Some(REFUSED.to_owned());
            }
            Event::ServerError(ServerError::Other(text)) => self.server_error(text),
            Event::SlowConsumer(_) => {
                tracing::warn!("NATS messages came faster than they were read; some were dropped");
            }
            Event::LameDuckMode => {
                tracing::info!("the NATS server is about to stop; the connection will move");
            }
            _ => {}
        }
    }

    /// An attempt to connect failed; `reason` is what `async_nats` says.
    pub(super) fn failed_attempt(&self, reason: &str, servers: &str) {
        let refused = is_refusal(reason);
        self.down(if refused { REFUSED } else { reason }, refused, servers);
    }

    fn server_error(&self, text: String) {
        let Some((subject, publish)) = violation(&text) else {
            tracing::warn!(error = %text, "the NATS server reports an error");
            *lock(&self.last_error) = Some(text);
            return;
        };
        tracing::warn!(error = %text, "the NATS server refused a subject");
        if !publish && subject.starts_with(&self.inbox) {
            self.inbox_refused.store(true, Ordering::Relaxed);
        }
        let mut violations = lock(&self.violations);
        let number = self.refusals.fetch_add(1, Ordering::Relaxed) + 1;
        violations.push_back(Violation {
            number,
            subject: subject.to_owned(),
            publish,
        });
        if violations.len() > MAX_VIOLATIONS {
            violations.pop_front();
        }
        drop(violations);
        self.bump();
    }

    fn bump(&self) {
        self.signal
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Starts to look for trouble on behalf of a call that waits for an answer in its inbox.
    pub(super) fn vigil(self: &Arc<Self>) -> Vigil {
        self.start_vigil(true)
    }

    /// Starts to look for trouble with one subject only.
    pub(super) fn exact_vigil(self: &Arc<Self>) -> Vigil {
        self.start_vigil(false)
    }

    fn start_vigil(self: &Arc<Self>, inbox: bool) -> Vigil {
        Vigil {
            signal: self.signal.subscribe(),
            since: self.refusals.load(Ordering::Relaxed),
            health: self.clone(),
            losses: None,
            inbox,
        }
    }
}

const REFUSED: &str = "NATS refused the credentials";

/// Looks out for events that end a call which is waiting for an answer.
pub(super) struct Vigil {
    health: Arc<Health>,
    signal: watch::Receiver<u64>,
    since: u64,
    /// How often the connection had gone down, where one that came back is trouble too.
    losses: Option<u64>,
    /// A refused inbox is trouble too.
    inbox: bool,
}

impl Vigil {
    /// For a call whose answers come only while the connection of now lasts.
    pub(super) fn of_one_connection(mut self) -> Self {
        self.losses = Some(self.health.losses.load(Ordering::Relaxed));
        self
    }

    /// Resolves when the call on `subject` cannot succeed any more; otherwise never.
    pub(super) async fn trouble(&mut self, what: &str, subject: &str) -> Error {
        loop {
            // First of all: it may have happened before the vigil began.
            if let Some(error) = self.found(what, subject) {
                return error;
            }
            if self.signal.changed().await.is_err() {
                // The sender lives in `health`, which is held here.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The trouble seen so far, if any.
    pub(super) fn found(&self, what: &str, subject: &str) -> Option<Error> {
        if self.refused(subject) {
            return Some(permission(what, subject));
        }
        let lost = |reason: &str| {
            Error::new(
                ErrorKind::Disconnected,
                format!(
                    "{what}: the connection to NATS was lost while waiting, so it may or may not have been done: {reason}"
                ),
            )
        };
        match (self.health.state(), self.losses) {
            (State::Disconnected { reason, .. }, _) => Some(lost(&reason)),
            (_, Some(before)) if self.health.losses.load(Ordering::Relaxed) != before => {
                Some(lost("it is there again"))
            }
            _ => None,
        }
    }

    /// True when `subject` (or the inbox of the answer, if one is waited for) was refused since
    /// the call began.
    pub(super) fn refused(&self, subject: &str) -> bool {
        lock(&self.health.violations)
            .iter()
            .filter(|violation| violation.number > self.since)
            .any(|v| {
                let own = v.subject.starts_with(&self.health.inbox);
                let inbox = self.inbox && !v.publish && own;
                v.subject == subject || inbox
            })
    }
}

pub(super) fn permission(what: &str, subject: &str) -> Error {
    Error::new(
        ErrorKind::Permission,
        format!(
            "{what}: this NATS user has no permission for {subject} or for the inbox of the answer"
        ),
    )
}

/// The subject of a permissions violation and whether it was a plain publish. Form of the texts:
/// nats-server `client.go`, `Permissions Violation for Publish to "x"`, `… for Subscription to "x"`,
/// `… for Publish with Reply of "x"`.
fn violation(text: &str) -> Option<(&str, bool)> {
    let rest = text.strip_prefix("Permissions Violation for ")?;
    let subject = rest.split('"').nth(1)?;
    Some((subject, rest.starts_with("Publish to")))
}

/// Texts of nats-server (`errors.go`) and of `async_nats::ConnectErrorKind` for refused credentials.
fn is_refusal(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason == REFUSED.to_ascii_lowercase()
        || [
            "authorization violation",
            "failed signing nonce",
            "authentication expired",
            "authentication revoked",
        ]
        .iter()
        .any(|text| reason.contains(text))
}

/// The data is plain values: a panic elsewhere cannot have left it half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn violations_are_read() {
        assert_eq!(
            violation("Permissions Violation for Publish to \"a.b\""),
            Some(("a.b", true))
        );
        assert_eq!(
            violation("Permissions Violation for Subscription to \"_INBOX.x\""),
            Some(("_INBOX.x", false))
        );
        assert_eq!(violation("Stale Connection"), None);
    }

    #[tokio::test]
    async fn a_refused_subject_ends_only_calls_on_it() {
        let health = Arc::new(Health::new("_INBOX"));
        health.connected();
        let mut vigil = health.vigil();
        let text = "Permissions Violation for Publish to \"a\"".to_owned();
        health.event(Event::ServerError(ServerError::Other(text)), "h");
        assert_eq!(vigil.trouble("t", "a").await.kind(), ErrorKind::Permission);
        assert!(vigil.found("t", "b").is_none());
        assert!(
            health.vigil().found("t", "a").is_none(),
            "the past is the past"
        );
    }

    #[test]
    fn refused_credentials_are_told_apart() {
        let health = Health::new("_INBOX");
        health.failed_attempt(
            "authorization violation: nats: authorization violation",
            "h",
        );
        let State::Disconnected {
            refused, reason, ..
        } = health.state()
        else {
            panic!()
        };
        assert!(refused);
        assert!(reason.contains("refused the credentials"));
        health.failed_attempt("IO error", "h");
        assert!(matches!(
            health.state(),
            State::Disconnected { refused: false, .. }
        ));
        health.connected();
        assert!(health.is_connected());
    }
}
