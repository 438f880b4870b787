//! Waiting for something to take.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::bus::{Bus, ErrorKind, Message, Stream, Subscription};
use crate::engine::failure::Failure;

/// Two looks are at least so far apart: a busy stream rings all the time.
const APART: Duration = Duration::from_millis(50);
/// A message rings when it is sent, and can be read once it is stored: if the look after a ring finds nothing, there is
/// another one after this time.
const STORED: Duration = Duration::from_millis(100);
/// The next look when nothing rings: the connection may be away, or the stream filled from elsewhere.
const QUIET: Duration = Duration::from_secs(1);

/// A subscription to what a stream stores, and when to look again.
pub struct Bell {
    /// None where this user may not listen: then only time rings.
    messages: Option<Subscription>,
    looked: Instant,
    rang: bool,
    until: Instant,
}

impl Bell {
    /// Nothing that is sent from now on is missed.
    pub async fn new(bus: &Bus, stream: &Stream, until: Instant) -> Result<Self, Failure> {
        let subjects = &stream.spec().subjects;
        let messages = match bus.subscribe(subjects, Subscription::CAPACITY).await {
            Ok(messages) => Some(messages),
            Err(error) if error.kind() == ErrorKind::Permission => {
                tracing::debug!(%error, "waiting by looking once a second");
                None
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            messages,
            looked: Instant::now(),
            rang: false,
            until,
        })
    }

    /// Waits until it is time for another look, the last one at the end of the time; false after that.
    pub async fn rings(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        let patience = if self.rang { STORED } else { QUIET };
        let quiet = (self.looked + patience).min(self.until);
        self.rang = matches!(timeout_at(quiet, self.next()).await, Ok(Some(_)));
        if !self.rang {
            // Also when the bus is closed and nothing will come: not at once, again and again.
            sleep_until(quiet).await;
        }
        sleep_until((self.looked + APART).min(self.until)).await;
        // All that came meanwhile is seen by the one look.
        while let Ok(Some(_)) = timeout_at(self.looked, self.next()).await {}
        self.looked = Instant::now();
        true
    }

    async fn next(&mut self) -> Option<Message> {
        match &mut self.messages {
            Some(messages) => messages.next().await,
            None => None,
        }
    }
}
