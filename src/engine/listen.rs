//! What a session hears: the messages of a subject while it listens, and those of a stream, each once.

use std::sync::Arc;
use std::time::Duration;

use minijinja::value::Value;
use tokio::time::sleep;

use super::background::{Routine, guarded};
use super::call::Notes;
use super::failure::Failure;
use super::outlet::{Gone, Pressure};
use super::payload;
use super::resources::with_values;
use super::scope::Items;
use super::session::Ears;
use crate::bus::{FeedReader, FeedStart, Heard, Message, Outgoing, Pace, State, Stream};
use crate::catalog::Catalog;
use crate::catalog::templates::{Filter, Templates};
use crate::spec::model::Listener;
use crate::spec::token;

/// Messages of one listener that wait for their turn; more are dropped, and that is logged.
const QUEUE: usize = 256;
/// So many messages a listener looks at before everything else has its turn: with hundreds of them, calls would wait.
const TURN: u32 = 16;
/// How long after a refused subscription it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What the sessions of a catalog listen on.
pub(super) fn ears(catalog: &Catalog) -> Ears {
    let mut ears = Ears {
        served: catalog.served().clone(),
        ..Ears::default()
    };
    for loaded in &catalog.packs {
        for (name, listener) in loaded.pack.listeners.iter() {
            ears.listeners += 1;
            if listener.stream.is_some() {
                ears.streams.insert(key(&loaded.pack.name, name));
            }
        }
    }
    ears
}

/// By which name positions know a listener.
fn key(pack: &str, listener: &str) -> String {
    format!("{}.{}", token::encode(pack), token::encode(listener))
}

/// Runs a listener for as long as its session lasts.
pub(super) async fn listen(routine: Routine, name: String, listener: Listener, pace: Pace) {
    let mut ear = Ear {
        engine: Arc::clone(&routine.engine),
        routine,
        listener,
    };
    if ear.listener.stream.is_none() {
        return ear.hear().await;
    }
    let source = match ear.source() {
        Ok(source) => source,
        Err(failure) => return ear.gives_up(failure),
    };
    match pace {
        Pace::Live => ear.follow(source).await,
        Pace::Stored => {
            let packs = &ear.engine.catalog.packs;
            let pack = packs.get(ear.routine.pack).map(|p| &p.pack.name);
            let key = key(pack.map_or("", |name| name), &name);
            ear.replay(source, &key).await;
        }
    }
}

/// A stream, and those of its subjects that are listened on.
struct Source {
    stream: Stream,
    subjects: Vec<String>,
}

impl Source {
    async fn reader(&self, start: FeedStart, pace: Pace) -> Result<FeedReader, Failure> {
        let feed = self.stream.feed(&self.subjects);
        Ok(feed.reader(start, pace).await?)
    }

    /// The sequence of the stream's last message.
    async fn last(&self) -> Result<u64, Failure> {
        Ok(self.stream.feed(&self.subjects).last().await?)
    }
}

/// A listener of a session.
struct Ear {
    engine: Arc<super::Engine>,
    routine: Routine,
    listener: Listener,
}

impl Ear {
    /// What is looked up once can never be had.
    fn gives_up(&mut self, failure: Failure) {
        self.routine.note(Err(failure));
        self.routine.session.opened();
    }

    fn source(&self) -> Result<Source, Failure> {
        let (engine, pack) = (&self.engine, self.routine.pack);
        let templates = &engine.catalog.templates;
        let context = self.routine.call().context();
        let with = with_values(templates, self.listener.with.as_ref(), &context)?;
        let name = self.listener.stream.as_deref().unwrap_or_default();
        let stream = engine
            .resources
            .stream(&engine.catalog, pack, name, &with)?;
        let subjects = match &self.listener.subjects {
            None => stream.spec().subjects.clone(),
            Some(subjects) => subjects
                .iter()
                .map(|subject| Ok(templates.token(subject, &context)?))
                .collect::<Result<_, Failure>>()?,
        };
        Ok(Source { stream, subjects })
    }

    /// Waits for a connection: without one a subscription only begins some time after there is one, and the calls of this
    /// session could come before it. `false` once there will be none.
    async fn connected(&self) -> bool {
        let mut states = self.engine.bus.watch();
        states.wait_for(State::is_connected).await.is_ok()
    }

    /// Listens on a subject.
    async fn hear(&mut self) {
        let engine = Arc::clone(&self.engine);
        let context = self.routine.call().context();
        let subject = self.listener.subject.as_ref();
        let subject = subject.map(|subject| engine.catalog.templates.token(subject, &context));
        let (subjects, mut gate) = match (subject.transpose(), self.gate(&engine)) {
            (Ok(subject), Ok(gate)) => ([subject.unwrap_or_default()], gate),
            (Err(error), _) => return self.gives_up(error.into()),
            (_, Err(failure)) => return self.gives_up(failure),
        };
        let mut first = true;
        while self.connected().await {
            let opened = engine.bus.subscribe(&subjects, QUEUE).await;
            if std::mem::take(&mut first) {
                self.routine.session.opened();
            }
            match opened {
                Ok(mut messages) => {
                    self.routine.note(Ok(()));
                    while let Some(message) = messages.next().await {
                        let item = payload::message(&message);
                        if self.wanted(&mut gate, &item) {
                            let outcome = guarded(self.answer(item, message)).await;
                            self.routine.note(outcome);
                        }
                    }
                    // The connection was closed for good.
                    return;
                }
                Err(error) => self.routine.note(Err(error.into())),
            }
            sleep(RETRY).await;
        }
    }

    /// Runs the steps for a message, and answers it if it asks for that.
    async fn answer(&self, item: Value, message: Message) -> Result<(), Failure> {
        let mut call = self.routine.call();
        call.scope.bind("item", item);
        call.steps(&self.listener.steps).await?;
        let (Some(reply), Some(to)) = (&self.listener.reply, message.reply) else {
            return Ok(());
        };
        let answer = payload::encode(&call.templates().tree(reply, &call.context())?)?;
        call.bus().publish(Outgoing::new(to, answer)).await?;
        Ok(())
    }

    /// Listens on a stream from now on, for a client that is there as long as the session.
    async fn follow(&mut self, source: Source) {
        let engine = Arc::clone(&self.engine);
        let mut gate = match self.gate(&engine) {
            Ok(gate) => gate,
            Err(failure) => return self.gives_up(failure),
        };
        let mut first = true;
        while self.connected().await {
            let opened = source.reader(FeedStart::Now, Pace::Live).await;
            if std::mem::take(&mut first) {
                self.routine.session.opened();
            }
            match opened {
                Ok(mut reader) => {
                    self.routine.note(Ok(()));
                    while let Some(heard) = reader.next().await {
                        let item = engine.decoded.of(&heard.message);
                        if self.wanted(&mut gate, &item) {
                            // The messages wait in the stream while the client does not read.
                            let notes = Notes::Sent(Pressure::Waits);
                            let _ = self.handled(item, notes).await;
                        }
                    }
                    return;
                }
                Err(failure) => self.routine.note(Err(failure)),
            }
            sleep(RETRY).await;
        }
    }

    /// Listens on a stream from where the session is, while a client reads; so nothing is missed that came while none did.
    async fn replay(&mut self, source: Source, key: &str) {
        if !self.placed(&source, key).await {
            return;
        }
        let engine = Arc::clone(&self.engine);
        let outlet = Arc::clone(self.routine.session.outlet());
        let mut readers = outlet.readers();
        while self.connected().await {
            let Ok(reader) = readers.wait_for(|reader| *reader != 0).await.map(|r| *r) else {
                return;
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
                    if !self.serve(feed, key, reader, &mut gate).await {
                        return;
                    }
                }
                Err(failure) => {
                    self.routine.note(Err(failure));
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Fixes where a session begins that has not been anywhere: `false` when there is no connection any more.
    async fn placed(&mut self, source: &Source, key: &str) -> bool {
        let outlet = Arc::clone(self.routine.session.outlet());
        let mut first = true;
        while outlet.position(key).is_none() {
            if !self.connected().await {
                return false;
            }
            match source.last().await {
                Ok(last) => outlet.begin(key, last),
                Err(failure) => {
                    self.routine.note(Err(failure));
                    if std::mem::take(&mut first) {
                        self.routine.session.opened();
                    }
                    sleep(RETRY).await;
                }
            }
        }
        if first {
            self.routine.session.opened();
        }
        true
    }

    /// Handles messages for one reader, until it is gone; `false` when there will be no more.
    async fn serve(
        &mut self,
        mut feed: FeedReader,
        key: &str,
        reader: u64,
        gate: &mut Gate<'_>,
    ) -> bool {
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
                changed = readers.wait_for(|now| *now != reader) => return changed.is_ok(),
                heard = feed.next() => heard,
            };
            let Some(Heard { seq, message }) = heard else {
                return false;
            };
            let item = self.engine.decoded.of(&message);
            let notes = if self.wanted(gate, &item) {
                self.handled(item, Notes::Gathered(Vec::new())).await
            } else {
                Vec::new()
            };
            if outlet.replayed(reader, key, seq, notes).await == Err(Gone) {
                return true;
            }
        }
    }

    /// Runs the steps for a message of a stream; what is to be told of it, if that is gathered. A failure is noted.
    async fn handled(&mut self, item: Value, notes: Notes) -> Vec<super::outlet::Note> {
        let mut call = self.routine.call();
        call.scope.bind("item", item);
        call.notes = notes;
        let outcome = guarded(call.steps(&self.listener.steps)).await;
        let gathered = call.notes.gathered();
        self.routine.note(outcome);
        gathered
    }

    fn gate<'e>(&self, engine: &'e super::Engine) -> Result<Gate<'e>, Failure> {
        let templates: &Templates = &engine.catalog.templates;
        let filter = self
            .listener
            .when
            .as_ref()
            .map(|when| templates.filter(when));
        Ok(Gate {
            filter: filter.transpose()?,
            items: None,
        })
    }

    /// Whether a message is to be handled.
    fn wanted(&mut self, gate: &mut Gate<'_>, item: &Value) -> bool {
        match gate.lets(&self.routine, item) {
            Ok(wanted) => wanted,
            Err(error) => {
                self.routine.note(Err(error.into()));
                false
            }
        }
    }
}

/// The condition of a listener, ready to be asked of many messages.
struct Gate<'e> {
    filter: Option<Filter<'e>>,
    /// The names around the message, and of which look of the session.
    items: Option<(u64, Items)>,
}

impl Gate<'_> {
    fn lets(&mut self, routine: &Routine, item: &Value) -> Result<bool, minijinja::Error> {
        let Some(filter) = &self.filter else {
            return Ok(true);
        };
        let looks = routine.session.looks();
        let items = match &self.items {
            Some((seen, items)) if *seen == looks => items,
            _ => &self.items.insert((looks, routine.call().scope.items())).1,
        };
        filter.holds(&items.context(item.clone()))
    }
}
