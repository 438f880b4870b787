//! One `async_nats` client and the calls made on it: each is bounded, and ends early when the
//! connection is lost or the server refuses the subject.

use super::error::{Error, ErrorKind};
use super::events::Health;
pub(super) use super::events::permission;
use super::message::{self, Bytes, Outgoing};
use super::post::Desk;
use arc_swap::ArcSwapOption;
use async_nats::client::{PublishErrorKind, RequestErrorKind};
use async_nats::{Client, HeaderMap, Subscriber};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};

/// The oldest nats-server with batch direct get, per-message TTL and limit markers
/// (measured on real servers, stack notes 4.2).
const MIN_VERSION: (u64, u64, u64) = (2, 11, 0);

/// How long a refusal of a message may follow that of its echo.
pub(super) const REFUSAL_GRACE: Duration = Duration::from_millis(20);

/// What is known about the connected server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// Version as the server says it, for example `2.15.1`.
    pub version: String,
    /// Name of the server.
    pub name: String,
    /// Whether JetStream is on.
    pub jetstream: bool,
    /// Largest message (headers and payload) in bytes.
    pub max_payload: usize,
    /// Host and port as the server reports them.
    pub host_port: String,
}

/// Why streams and buckets cannot be used on a server; `None`: they can.
pub(super) fn unsupported(info: &async_nats::ServerInfo) -> Option<String> {
    let mut parts = info
        .version
        .trim_start_matches('v')
        .split(['.', '-', '+'])
        .map(|part| part.parse::<u64>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let version = (next(), next(), next());
    if version < MIN_VERSION {
        let (major, minor, patch) = MIN_VERSION;
        return Some(format!(
            "the NATS server has version {}, at least {major}.{minor}.{patch} is needed",
            info.version
        ));
    }
    (!info.jetstream).then(|| {
        format!(
            "the NATS server {} runs without JetStream",
            info.server_name
        )
    })
}

/// One client; replaced as a whole when the servers are replaced.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) health: Arc<Health>,
    /// Set when another link took over: events of this one no longer count.
    pub(super) retired: Arc<AtomicBool>,
    /// The servers, redacted.
    pub(super) shown: String,
    /// Limit of one request.
    pub(super) limit: Duration,
    /// Turns for batches: see [`super::direct::BATCHES`].
    pub(super) batches: Semaphore,
    /// Where the server says that nobody listens; made with the first message that needs it.
    pub(super) desk: OnceCell<Desk>,
    /// Why streams and buckets cannot be used on the connected server.
    lacks: ArcSwapOption<String>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

impl Link {
    pub(super) fn new(
        client: Client,
        health: Arc<Health>,
        retired: Arc<AtomicBool>,
        shown: String,
        limit: Duration,
    ) -> Self {
        Self {
            client,
            health,
            retired,
            shown,
            limit,
            batches: Semaphore::new(super::direct::BATCHES),
            desk: OnceCell::new(),
            lacks: ArcSwapOption::empty(),
        }
    }

    pub(super) fn lacks(&self) -> Option<Arc<String>> {
        self.lacks.load_full()
    }

    pub(super) fn set_lacks(&self, lacks: Option<String>) {
        self.lacks.store(lacks.map(Arc::new));
    }

    pub(super) fn info(&self) -> Option<ServerInfo> {
        self.client.try_server_info().map(|info| ServerInfo {
            jetstream: info.jetstream,
            max_payload: self.max_payload(),
            host_port: format!("{}:{}", info.host, info.port),
            name: info.server_name,
            version: info.version,
        })
    }

    /// Whether the connected server is one of a cluster, as far as is known.
    pub(super) fn clustered(&self) -> bool {
        let info = self.client.try_server_info();
        info.is_none_or(|info| info.cluster.is_some())
    }

    /// Sends a request and waits for one answer. `what` begins the text of an error.
    pub(super) async fn request(
        &self,
        what: &str,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
        limit: Duration,
    ) -> Result<async_nats::Message, Error> {
        if self.health.inbox_refused() {
            return Err(permission(what, subject));
        }
        let size = payload.len();
        let mut vigil = self.health.vigil();
        let request = async_nats::Request {
            payload: Some(payload),
            headers,
            timeout: Some(None),
            inbox: None,
        };
        tokio::select! {
            answer = self.client.send_request(subject.to_owned(), request) => {
                answer.map_err(|error| self.request_error(what, subject, size, error))
            }
            error = vigil.trouble(what, subject) => Err(error),
            () = tokio::time::sleep(limit) => {
                Err(vigil.found(what, subject).unwrap_or_else(|| timeout(what, limit)))
            }
        }
    }

    fn request_error(
        &self,
        what: &str,
        subject: &str,
        size: usize,
        error: async_nats::RequestError,
    ) -> Error {
        match error.kind() {
            RequestErrorKind::NoResponders => Error::new(
                ErrorKind::NoResponders,
                format!("{what}: nobody listens on {subject}"),
            ),
            RequestErrorKind::TimedOut => timeout(what, self.limit),
            RequestErrorKind::InvalidSubject => message::bad_subject(subject),
            RequestErrorKind::MaxPayloadExceeded => self.too_large(what, size),
            RequestErrorKind::Other => self.broken(what).caused_by(error),
        }
    }

    /// Publishes, and waits until the server has handled it: an empty message to an own inbox
    /// follows on the same connection, and the server handles a connection's messages in order.
    /// (`Client::flush` only says that the bytes left this process.)
    pub(super) async fn publish(&self, what: &str, msg: Outgoing) -> Result<(), Error> {
        let headers = message::headers(&msg.headers, &[])?;
        let subject = msg.subject.clone();
        let size = msg.payload.len();
        let echo = self.client.new_inbox();
        let mut vigil = self.health.exact_vigil();
        let mut echo_vigil = self.health.exact_vigil();
        let work = async {
            let mut echoes = self.subscribe(what, &echo).await?;
            self.send(msg.subject, None, headers, msg.payload)
                .await
                .map_err(|error| self.publish_error(what, &subject, size, error))?;
            self.send(echo.clone(), None, None, Bytes::new())
                .await
                .map_err(|error| self.publish_error(what, &echo, 0, error))?;
            echoes
                .next()
                .await
                .map(drop)
                .ok_or_else(|| self.broken(what))
        };
        let done = tokio::select! {
            done = work => done,
            error = vigil.trouble(what, &subject) => Err(error),
            error = echo_vigil.trouble(what, &echo) => match error.kind() {
                // This user may not use inboxes: there is no proof, but a refusal of the message
                // itself would follow at once.
                ErrorKind::Permission => {
                    tokio::time::sleep(REFUSAL_GRACE).await;
                    Ok(())
                }
                _ => Err(error),
            },
            () = tokio::time::sleep(self.limit) => Err(timeout(what, self.limit)),
        };
        // A refusal is reported on another task than the echo: let it catch up.
        tokio::task::yield_now().await;
        if vigil.refused(&subject) {
            return Err(permission(what, &subject));
        }
        done
    }

    pub(super) async fn subscribe(&self, what: &str, subject: &str) -> Result<Subscriber, Error> {
        self.client
            .subscribe(subject.to_owned())
            .await
            .map_err(|error| self.broken(what).caused_by(error))
    }

    /// Hands a message to the connection; does not wait for the server.
    pub(super) async fn send(
        &self,
        subject: String,
        reply: Option<String>,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), async_nats::PublishError> {
        use async_nats::client::traits::Publisher as _;
        self.client
            .publish_message(async_nats::message::OutboundMessage {
                subject: subject.into(),
                reply: reply.map(Into::into),
                payload,
                headers,
            })
            .await
    }

    pub(super) fn publish_error(
        &self,
        what: &str,
        subject: &str,
        size: usize,
        error: async_nats::PublishError,
    ) -> Error {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => self.too_large(what, size),
            PublishErrorKind::InvalidSubject => message::bad_subject(subject),
            PublishErrorKind::Send => self.broken(what).caused_by(error),
        }
    }

    /// The most bytes that the server takes of a message.
    pub(super) fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    fn too_large(&self, what: &str, size: usize) -> Error {
        Error::new(
            ErrorKind::TooLarge,
            format!(
                "{what}: the payload of {size} bytes (and its headers) is more than the {} bytes (max_payload) the server takes",
                self.max_payload()
            ),
        )
    }

    pub(super) fn broken(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Disconnected,
            format!("{what}: the connection to {} ended", self.shown),
        )
    }
}

pub(super) fn timeout(what: &str, limit: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout,
        format!("{what}: no answer from NATS within {limit:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_told_apart() {
        let info = |version: &str, jetstream| async_nats::ServerInfo {
            version: version.to_owned(),
            jetstream,
            ..Default::default()
        };
        for (version, good) in [
            ("2.15.1", true),
            ("2.11.0", true),
            ("v2.12.0-RC.1", true),
            ("3.0.0", true),
            ("2.10.26", false),
            ("2.9.10", false),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(
                unsupported(&info(version, true)).is_none(),
                good,
                "{version}"
            );
        }
        assert!(unsupported(&info("2.15.1", false)).is_some());
    }
}
