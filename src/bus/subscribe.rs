//! Core subscriptions: what is sent while one listens, at most once.

use super::connection::Bus;
use super::error::{Error, ErrorKind};
use super::link::{Link, REFUSAL_GRACE};
use super::message::{Bytes, Message, Outgoing, check_filter};
use async_nats::Subscriber;
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;

/// A core subscription on one or more subjects. It outlives lost connections and replaced servers; what is sent
/// meanwhile is missed. Dropping it unsubscribes. It keeps the connection open as a clone of the [`Bus`] does.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Message>,
    dropped: Arc<AtomicU64>,
}

impl Subscription {
    /// Messages that wait to be read, when nothing speaks for another number.
    pub const CAPACITY: usize = 1024;

    /// The next message; of one subject in the order of sending. `None` once the bus is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// How many messages came while [`Subscription::next`] was too far behind, and are lost.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

type Merged = SelectAll<Subscriber>;

/// What fills a [`Subscription`], on a task of its own.
struct Feeder {
    bus: Bus,
    /// Changes when the link is replaced, and when the bus is closed.
    links: watch::Receiver<u64>,
    subjects: Vec<String>,
    messages: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Bus {
    /// Subscribes to `subjects` (wildcards allowed) on core NATS. At most `capacity` messages wait to be read (see
    /// [`Subscription::CAPACITY`]); what comes when they do is dropped and counted.
    ///
    /// When connected, one round trip: `Ok` means that nothing sent from now on is missed. Without a connection it is
    /// `Ok` at once, and the subscription begins when there is one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSubject`], [`ErrorKind::Permission`], [`ErrorKind::Timeout`], [`ErrorKind::Closed`].
    pub async fn subscribe(
        &self,
        subjects: &[String],
        capacity: usize,
    ) -> Result<Subscription, Error> {
        let what = format!("subscribing to {}", subjects.join(", "));
        if subjects.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidSubject,
                "subscribing: no subject is given",
            ));
        }
        for subject in subjects {
            check_filter(subject)?;
        }
        // Before the link is looked at, so that no replacement is missed.
        let links = self.links();
        let opened = match self.link(&what).await {
            Ok(link) => open_now(&link, &what, subjects).await?,
            Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
            Err(_) => None,
        };
        let (sender, messages) = mpsc::channel(capacity.max(1));
        let dropped = Arc::default();
        let feeder = Feeder {
            bus: self.clone(),
            links,
            subjects: subjects.to_vec(),
            messages: sender,
            dropped: Arc::clone(&dropped),
        };
        tokio::spawn(feeder.run(opened));
        Ok(Subscription { messages, dropped })
    }
}

/// Subscribes, and waits until the server has handled it; `None` when the connection was lost meanwhile.
async fn open_now(link: &Link, what: &str, subjects: &[String]) -> Result<Option<Merged>, Error> {
    let vigil = link.health.exact_vigil();
    let merged = open(link, what, subjects).await?;
    // The server handles a connection's messages in order: what comes back of a message that follows proves that it has
    // come this far. A request that nobody answers would not do: whoever watches `>` keeps the server from saying so.
    let proof = Outgoing::new(link.client.new_inbox(), Bytes::new());
    match link
        .publish(what, proof)
        .await
        .map_err(|error| error.kind())
    {
        Err(ErrorKind::Timeout) => return Err(super::link::timeout(what, link.limit)),
        Err(ErrorKind::Disconnected) => return Ok(None),
        // This user may not ask: there is no proof, but a refusal of the subjects would follow at once.
        Err(ErrorKind::Permission) => tokio::time::sleep(REFUSAL_GRACE).await,
        _ => {}
    }
    // A refusal is reported on another task than the answer: let it catch up.
    tokio::task::yield_now().await;
    match subjects.iter().find(|subject| vigil.refused(subject)) {
        Some(refused) => Err(super::link::permission(what, refused)),
        None => Ok(Some(merged)),
    }
}

async fn open(link: &Link, what: &str, subjects: &[String]) -> Result<Merged, Error> {
    let mut merged = SelectAll::new();
    for subject in subjects {
        merged.push(link.subscribe(what, subject).await?);
    }
    Ok(merged)
}

impl Feeder {
    async fn run(mut self, mut opened: Option<Merged>) {
        loop {
            tokio::select! {
                () = self.messages.closed() => return,
                _ = self.links.changed() => opened = None,
                () = feed(&self.bus, &self.subjects, &self.messages, &self.dropped, opened.take()) => {
                    // The client ended: its successor is about to come, or the bus is closed.
                    tokio::select! {
                        () = self.messages.closed() => return,
                        _ = self.links.changed() => {}
                    }
                }
            }
            if self.bus.is_closed() {
                return;
            }
        }
    }
}

/// Passes on what comes, for as long as the client lives that the bus has now.
async fn feed(
    bus: &Bus,
    subjects: &[String],
    messages: &mpsc::Sender<Message>,
    dropped: &AtomicU64,
    opened: Option<Merged>,
) {
    let mut merged = match opened {
        Some(merged) => merged,
        // Without a connection the client keeps the subscription in mind until there is one.
        None => match open(&bus.current(), "subscribing", subjects).await {
            Ok(merged) => merged,
            Err(_) => return,
        },
    };
    while let Some(message) = merged.next().await {
        match messages.try_send(message.into()) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => return,
            Err(TrySendError::Full(message)) => {
                if dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(
                        subject = message.subject,
                        capacity = messages.max_capacity(),
                        "messages come faster than they are handled; some are dropped"
                    );
                }
            }
        }
    }
}
