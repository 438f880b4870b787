//! What a session hears: the messages of a subject while it listens, and those of a stream, each once.

mod follow;
mod gate;
mod replay;
mod source;
mod subject;

use std::sync::Arc;
use std::time::Duration;

use minijinja::value::Value;
use tokio::time::sleep;

use super::background::{Routine, guarded};
use super::call::Notes;
use super::failure::{Failure, FailureKind};
use super::resources::with_values;
use super::session::Ears;
use crate::bus::{Pace, State};
use crate::catalog::Catalog;
use crate::catalog::templates::Templates;
use crate::spec::model::Listener;
use crate::spec::token;
use gate::Gate;
use source::Source;

/// How long after a refused subscription it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What the sessions of a catalog listen on.
pub(super) fn ears(catalog: &Catalog) -> Ears {
    let mut ears = Ears::default();
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

    /// A pause, after which it goes on with the engine of now. If it cannot go on in the way it does, why.
    async fn rest(&mut self) -> Option<Left> {
        self.paused().await;
        self.turn()
    }

    /// A pause. Whether it has ended early because there is another engine.
    async fn paused(&mut self) -> bool {
        tokio::select! {
            () = self.routine.turned() => true,
            () = sleep(RETRY) => false,
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
