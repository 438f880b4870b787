//! Core subscriptions: what is sent while one listens, at most once.

use super::connection::Bus;
use super::error::Error;
use super::message::{Message, check_filter};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;

/// A core subscription on one or more subjects. Dropping it unsubscribes.
pub struct Subscription {
    messages: SelectAll<async_nats::Subscriber>,
}

impl Subscription {
    /// The next message; `None` once the connection is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.next().await.map(Message::from)
    }
}

impl Bus {
    /// Subscribes to `subjects` (wildcards allowed) on core NATS.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSubject`](super::ErrorKind::InvalidSubject), and those of the connection.
    pub async fn subscribe(
        &self,
        subjects: &[String],
        _capacity: usize,
    ) -> Result<Subscription, Error> {
        let what = "subscribing";
        let link = self.link(what).await?;
        let mut messages = SelectAll::new();
        for subject in subjects {
            check_filter(subject)?;
            messages.push(link.subscribe(what, subject).await?);
        }
        Ok(Subscription { messages })
    }
}
