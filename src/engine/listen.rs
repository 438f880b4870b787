//! What a session hears: the messages of a subject while it listens, and those of a stream, each once.

mod gate;
mod source;

use std::sync::Arc;
use std::time::Duration;

use minijinja::value::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::background::{Routine, guarded};
use super::call::Notes;
use super::failure::{Failure, FailureKind};
use super::outlet::{Gone, Pressure};
use super::payload;
use super::resources::with_values;
use super::session::Ears;
use crate::bus::{FeedReader, FeedStart, Heard, Message, Outgoing, Pace, State, Subscription};
use crate::catalog::Catalog;
use crate::catalog::templates::Templates;
use crate::spec::model::Listener;
use crate::spec::token;
use gate::Gate;
use source::Source;

/// Messages of one listener that wait for their turn; more are dropped, and that is logged.
const QUEUE: usize = 256;
/// So many messages a listener looks at before everything else has its turn: with hundreds of them, calls would wait.
const TURN: u32 = 16;
/// How long after a refused subscription it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What the sessions of a catalog listen on.
pub(super) fn ears(catalog: &Catalog) -> Ears {
    let mut ears = Ears { ..Ears::default() };
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

/// Runs a listener for as long as its session and its declaration last.
pub(super) async fn listen(routine: Routine, name: String, pace: Pace) {
    let mut ear = Ear {
        listener: None,
        routine,
        name,
        opened: false,
    };
    while let Some(listener) = ear.find() {
        ear.listener = Some(Arc::clone(&listener));
        let left = match (&listener.stream, pace) {
            (None, _) => ear.hear().await,
            (Some(_), Pace::Live) => ear.follow().await,
            (Some(_), Pace::Stored) => ear.replay().await,
        };
        if left == Left::Over {
            return;
        }
    }
}

/// Why a listener does not listen any more in the way it did.
#[derive(Debug, PartialEq, Eq)]
enum Left {
    /// It is declared in another way from now on.
    Anew,
    /// There is nothing to listen on any more.
    Over,
}

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

/// A listener of a session. It goes on with each engine that takes the place of the one before, between two messages.
struct Ear {
    routine: Routine,
    name: String,
    /// As it is declared now.
    listener: Option<Arc<Listener>>,
    /// Whether it has been noted that it has subscribed, or could not.
    opened: bool,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.open();
    }
}

impl Ear {
    fn engine(&self) -> Arc<super::Engine> {
        Arc::clone(&self.routine.engine)
    }

    fn find(&self) -> Option<Arc<Listener>> {
        let loaded = self.routine.engine.catalog.packs.get(self.routine.pack)?;
        let listener = loaded.pack.listeners.get(&self.name)?;
        Some(Arc::new(listener.clone()))
    }

    /// Notes that it has subscribed, or could not.
    fn open(&mut self) {
        if !std::mem::replace(&mut self.opened, true) {
            self.routine.session.opened();
        }
    }

    /// What is looked up once can never be had, unless it is declared in another way.
    async fn gives_up(&mut self, failure: Failure) -> Left {
        self.routine.note(Err(failure));
        self.open();
        self.routine.turned().await;
        self.turn().unwrap_or(Left::Anew)
    }

    /// Goes on with the engine of now. If it cannot go on in the way it does, why.
    fn turn(&mut self) -> Option<Left> {
        if !self.routine.turn() {
            return Some(Left::Over);
        }
        let Some(now) = self.find() else {
            return Some(Left::Over);
        };
        let same_kind = |before: &Arc<Listener>| before.stream.is_some() == now.stream.is_some();
        let goes_on = self.listener.as_ref().is_some_and(same_kind);
        self.listener = Some(now);
        (!goes_on).then_some(Left::Anew)
    }

    /// A pause, which ends when there is another engine.
    async fn rest(&mut self) {
        tokio::select! {
            () = self.routine.turned() => {}
            () = sleep(RETRY) => {}
        }
    }

    fn source(&self) -> Result<Source, Failure> {
        let (engine, pack) = (&self.routine.engine, self.routine.pack);
        let Some(listener) = &self.listener else {
            let text = format!("the listener `{}` is not declared", self.name);
            return Err(Failure::new(FailureKind::Internal, text));
        };
        let templates = &engine.catalog.templates;
        let context = self.routine.call().context();
        let with = with_values(templates, listener.with.as_ref(), &context)?;
        let name = listener.stream.as_deref().unwrap_or_default();
        let stream = engine
            .resources
            .stream(&engine.catalog, pack, name, &with)?;
        let subjects = match &listener.subjects {
            None => stream.spec().subjects.clone(),
            Some(subjects) => subjects
                .iter()
                .map(|subject| Ok(templates.token(subject, &context)?))
                .collect::<Result<_, Failure>>()?,
        };
        Ok(Source { stream, subjects })
    }

    /// The subject that is listened on.
    fn subject(&self) -> Result<String, Failure> {
        let context = self.routine.call().context();
        let templates = &self.routine.engine.catalog.templates;
        let subject = self.listener.as_ref().and_then(|l| l.subject.as_ref());
        let subject = subject.map(|subject| templates.token(subject, &context));
        Ok(subject.transpose()?.unwrap_or_default())
    }

    /// Waits for a connection: without one a subscription only begins some time after there is one, and the calls of this
    /// session could come before it. `false` once there will be none.
    async fn connected(&self) -> bool {
        let mut states = self.routine.engine.bus.watch();
        states.wait_for(State::is_connected).await.is_ok()
    }

    /// Listens on a subject. An engine that means the same subject goes on with the subscription.
    async fn hear(&mut self) -> Left {
        let mut open: Option<(String, Subscription)> = None;
        loop {
            let engine = self.engine();
            let (subject, mut gate) = match (self.subject(), self.gate(&engine)) {
                (Ok(subject), Ok(gate)) => (subject, gate),
                (Err(failure), _) | (_, Err(failure)) => return self.gives_up(failure).await,
            };
            if !self.connected().await {
                return Left::Over;
            }
            let messages = match &mut open {
                Some((of, messages)) if *of == subject => messages,
                _ => match self.subscribe(&subject).await {
                    Some(messages) => &mut open.insert((subject, messages)).1,
                    None => {
                        self.rest().await;
                        if let Some(left) = self.turn() {
                            return left;
                        }
                        continue;
                    }
                },
            };
            loop {
                let message = tokio::select! {
                    biased;
                    () = self.routine.turned() => break,
                    message = messages.next() => message,
                };
                // The connection was closed for good.
                let Some(message) = message else {
                    return Left::Over;
                };
                let item = payload::message(&message);
                if self.wanted(&mut gate, &item) {
                    let outcome = guarded(self.answer(item, message)).await;
                    self.routine.note(outcome);
                }
            }
            if let Some(left) = self.turn() {
                return left;
            }
        }
    }

    async fn subscribe(&mut self, subject: &str) -> Option<Subscription> {
        let subjects = [subject.to_owned()];
        let opened = self.routine.engine.bus.subscribe(&subjects, QUEUE).await;
        self.open();
        match opened {
            Ok(messages) => {
                self.routine.note(Ok(()));
                Some(messages)
            }
            Err(error) => {
                self.routine.note(Err(error.into()));
                None
            }
        }
    }

    /// Runs the steps for a message, and answers it if it asks for that.
    async fn answer(&self, item: Value, message: Message) -> Result<(), Failure> {
        let Some(listener) = &self.listener else {
            return Ok(());
        };
        let mut call = self.routine.call();
        call.scope.bind("item", item);
        call.steps(&listener.steps).await?;
        let (Some(reply), Some(to)) = (&listener.reply, message.reply) else {
            return Ok(());
        };
        let answer = payload::encode(&call.templates().tree(reply, &call.context())?)?;
        call.bus().publish(Outgoing::new(to, answer)).await?;
        Ok(())
    }

    /// Listens on a stream from now on, for a client that is there as long as the session. An engine that means the same
    /// messages goes on with the reader.
    async fn follow(&mut self) -> Left {
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
                    None => {
                        self.rest().await;
                        if let Some(left) = self.turn() {
                            return left;
                        }
                        continue;
                    }
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

    /// Listens on a stream from where the session is, while a client reads; so nothing is missed that came while none did.
    async fn replay(&mut self) -> Left {
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
                    tokio::select! {
                        () = self.routine.turned() => return Next::Engine,
                        () = sleep(RETRY) => {}
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
                    tokio::select! {
                        () = self.routine.turned() => return Next::Engine,
                        () = sleep(RETRY) => {}
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

    /// Runs the steps for a message of a stream; what is to be told of it, if that is gathered. A failure is noted.
    async fn handled(&mut self, item: Value, notes: Notes) -> Vec<super::outlet::Note> {
        let mut call = self.routine.call();
        call.scope.bind("item", item);
        call.notes = notes;
        let steps = self.listener.as_ref().map(|listener| &listener.steps);
        let outcome = match steps {
            Some(steps) => guarded(call.steps(steps)).await,
            None => Ok(()),
        };
        let gathered = call.notes.gathered();
        self.routine.note(outcome);
        gathered
    }

    fn gate<'e>(&self, engine: &'e super::Engine) -> Result<Gate<'e>, Failure> {
        let templates: &Templates = &engine.catalog.templates;
        let when = self.listener.as_ref().and_then(|l| l.when.as_ref());
        let filter = when.map(|when| templates.filter(when));
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
