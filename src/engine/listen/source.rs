//! What a listener on a stream reads.

use crate::bus::{FeedReader, FeedStart, Pace, Stream};
use crate::engine::failure::Failure;

/// A stream, and those of its subjects that are listened on.
pub(super) struct Source {
    pub(super) stream: Stream,
    pub(super) subjects: Vec<String>,
}

impl Source {
    /// A reader of its messages.
    pub(super) async fn reader(&self, start: FeedStart, pace: Pace) -> Result<FeedReader, Failure> {
        let feed = self.stream.feed(&self.subjects);
        Ok(feed.reader(start, pace).await?)
    }

    /// The sequence of the stream's last message.
    pub(super) async fn last(&self) -> Result<u64, Failure> {
        Ok(self.stream.feed(&self.subjects).last().await?)
    }

    /// Whether both are of the same stream: then a position in the one is a position in the other.
    pub(super) fn has_stream_of(&self, other: &Self) -> bool {
        self.stream.spec().name == other.stream.spec().name
    }

    /// Whether both mean the same messages.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.has_stream_of(other) && self.subjects == other.subjects
    }
}
