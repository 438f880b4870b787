//! Listening on a stream from now on.

use super::source::Source;
use super::{Ear, Left};
use crate::bus::{FeedReader, FeedStart, Pace};
use crate::engine::call::Notes;
use crate::engine::outlet::Pressure;

impl Ear {
    /// Listens on a stream from now on, for a client that is there as long as the session. An engine that means the same
    /// messages goes on with the reader.
    pub(super) async fn follow(&mut self) -> Left {
        let mut open: Option<(Source, FeedReader)> = None;
        loop {
            let engine = self.engine();
            let (source, mut gate) = match (self.source(), self.gate(&engine)) {
                (Ok(source), Ok(gate)) => (source, gate),
                (Err(failure), _) | (_, Err(failure)) => return self.gives_up(failure).await,
            };
            if !self.connected().await {
                return Left::Over;
            }
            let reader = match &mut open {
                Some((of, reader)) if of.is(&source) => reader,
                before => match self.reader(&source, before.take()).await {
                    Some(reader) => &mut open.insert((source, reader)).1,
                    None => match self.rest().await {
                        Some(left) => return left,
                        None => continue,
                    },
                },
            };
            loop {
                let heard = tokio::select! {
                    biased;
                    () = self.routine.turned() => break,
                    heard = reader.next() => heard,
                };
                let Some(heard) = heard else {
                    return Left::Over;
                };
                let item = engine.decoded.of(&heard.message);
                if self.wanted(&mut gate, &item) {
                    // The messages wait in the stream while the client does not read.
                    let notes = Notes::Sent(Pressure::Waits);
                    let _ = self.handled(item, notes).await;
                }
            }
            if let Some(left) = self.turn() {
                return left;
            }
        }
    }

    /// A reader of what comes from now on; of the stream that was read before, from where that reader was.
    async fn reader(
        &mut self,
        source: &Source,
        before: Option<(Source, FeedReader)>,
    ) -> Option<FeedReader> {
        let before = before.filter(|(of, _)| of.has_stream_of(source));
        let position = before.map(|(_, reader)| reader.position());
        let start = match position.filter(|seq| *seq > 0) {
            Some(seq) => FeedStart::After(seq),
            None => FeedStart::Now,
        };
        let opened = source.reader(start, Pace::Live).await;
        self.open();
        match opened {
            Ok(reader) => {
                self.routine.note(Ok(()));
                Some(reader)
            }
            Err(failure) => {
                self.routine.note(Err(failure));
                None
            }
        }
    }
}
