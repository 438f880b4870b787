//! Listening on a stream from where the session is, so that nothing is missed while its client is away.

use std::sync::Arc;

use tokio::sync::watch;

use super::gate::Gate;
use super::source::Source;
use super::{Ear, Left, key};
use crate::bus::{FeedReader, FeedStart, Heard, Pace};
use crate::engine::call::Notes;
use crate::engine::outlet::Gone;

/// So many messages a listener looks at before everything else has its turn: with hundreds of them, calls would wait.
const TURN: u32 = 16;

/// For whom a listener on a stream works next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// For the next reader.
    Reader,
    /// For the same, with another engine.
    Engine,
    /// For nobody: there will be no more messages.
    End,
}

impl Ear {
    /// Listens on a stream from where the session is, while a client reads; so nothing is missed that came while none did.
    pub(super) async fn replay(&mut self) -> Left {
        let packs = &self.routine.engine.catalog.packs;
        let pack = packs.get(self.routine.pack).map(|p| &p.pack.name);
        let key = key(pack.map_or("", |name| name), &self.name);
        let outlet = Arc::clone(self.routine.session.outlet());
        let mut readers = outlet.readers();
        let mut before: Option<Source> = None;
        loop {
            let source = match self.source() {
                Ok(source) => source,
                Err(failure) => return self.gives_up(failure).await,
            };
            if before.is_some_and(|before| !before.has_stream_of(&source)) {
                outlet.forget(&key);
            }
            let mut next = self.place(&source, &key).await;
            if next == Next::Reader {
                next = self.serve_readers(&source, &key, &mut readers).await;
            }
            if next == Next::End {
                return Left::Over;
            }
            if let Some(left) = self.turn() {
                return left;
            }
            before = Some(source);
        }
    }

    /// Serves one reader after the other.
    async fn serve_readers(
        &mut self,
        source: &Source,
        key: &str,
        readers: &mut watch::Receiver<u64>,
    ) -> Next {
        let engine = self.engine();
        let outlet = Arc::clone(self.routine.session.outlet());
        while self.connected().await {
            let reader = tokio::select! {
                biased;
                () = self.routine.turned() => return Next::Engine,
                reader = readers.wait_for(|reader| *reader != 0) => reader.map(|reader| *reader),
            };
            let Ok(reader) = reader else {
                return Next::End;
            };
            let start = FeedStart::After(outlet.position(key).unwrap_or_default());
            // Not before: most sessions have no reader, and need no condition meanwhile.
            let opened = match self.gate(&engine) {
                Ok(gate) => source.reader(start, Pace::Stored).await.map(|f| (f, gate)),
                Err(failure) => Err(failure),
            };
            match opened {
                Ok((feed, mut gate)) => {
                    self.routine.note(Ok(()));
                    match self.serve(feed, key, reader, &mut gate).await {
                        Next::Reader => {}
                        next => return next,
                    }
                }
                Err(failure) => {
                    self.routine.note(Err(failure));
                    if self.paused().await {
                        return Next::Engine;
                    }
                }
            }
        }
        Next::End
    }

    /// Fixes where a session begins that has not been anywhere.
    async fn place(&mut self, source: &Source, key: &str) -> Next {
        let outlet = Arc::clone(self.routine.session.outlet());
        while outlet.position(key).is_none() {
            if !self.connected().await {
                return Next::End;
            }
            match source.last().await {
                Ok(last) => outlet.begin(key, last),
                Err(failure) => {
                    self.routine.note(Err(failure));
                    self.open();
                    if self.paused().await {
                        return Next::Engine;
                    }
                }
            }
        }
        self.open();
        Next::Reader
    }

    /// Handles messages for one reader, until it is gone.
    async fn serve(
        &mut self,
        mut feed: FeedReader,
        key: &str,
        reader: u64,
        gate: &mut Gate<'_>,
    ) -> Next {
        let outlet = Arc::clone(self.routine.session.outlet());
        let mut readers = outlet.readers();
        let mut turn = 0;
        loop {
            turn = (turn + 1) % TURN;
            if turn == 0 {
                tokio::task::yield_now().await;
            }
            let heard = tokio::select! {
                biased;
                changed = readers.wait_for(|now| *now != reader) => {
                    return if changed.is_ok() { Next::Reader } else { Next::End };
                }
                () = self.routine.turned() => return Next::Engine,
                heard = feed.next() => heard,
            };
            let Some(Heard { seq, message }) = heard else {
                return Next::End;
            };
            let item = self.routine.engine.decoded.of(&message);
            let notes = if self.wanted(gate, &item) {
                self.handled(item, Notes::Gathered(Vec::new())).await
            } else {
                Vec::new()
            };
            if outlet.replayed(reader, key, seq, notes).await == Err(Gone) {
                return Next::Reader;
            }
        }
    }
}
