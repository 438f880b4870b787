//! What goes on beside the calls of a session: timers, listeners, and the steps at its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use super::call::Call;
use super::failure::{Failure, FailureKind};
use super::resources::Reader;
use super::{Engine, Session, payload};
use crate::bus::{Message, Outgoing, State};
use crate::catalog::Catalog;
use crate::spec::model::{Listener, TIMER_PERIOD, Timer};

/// The longest time for the steps at the end of a session, of all packs together.
const CLOSE: Duration = Duration::from_secs(1);
/// Messages of one listener that wait for their turn; more are dropped, and that is logged.
const QUEUE: usize = 256;
/// How long after a refused subscription it is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// A timer of a pack, by their index and name, and its period.
pub(super) struct Beat {
    pack: usize,
    name: String,
    every: Duration,
}

/// The timers of a catalog.
///
/// # Errors
/// [`FailureKind::Range`] for a period outside of [`TIMER_PERIOD`], or whatever its expression runs into.
pub(super) fn beats(catalog: &Catalog) -> Result<Vec<Beat>, Failure> {
    let mut beats = Vec::new();
    for (pack, loaded) in catalog.packs.iter().enumerate() {
        let context = catalog.base_context(pack);
        let reader = Reader {
            templates: &catalog.templates,
            context: &context,
        };
        for (name, timer) in loaded.pack.timers.iter() {
            let within = |why: String, kind| {
                let pack = &loaded.pack.name;
                Failure::new(
                    kind,
                    format!("the timer `{name}` of the pack `{pack}`: {why}"),
                )
            };
            let every = reader
                .span("every", Some(&timer.every))
                .map_err(|e| within(e.to_string(), e.kind))?
                .unwrap_or_default();
            if !TIMER_PERIOD.contains(&every) {
                let why = format!("`every` is {every:?}, and must be from 1s to 24h");
                return Err(within(why, FailureKind::Range));
            }
            beats.push(Beat {
                pack,
                name: name.to_owned(),
                every,
            });
        }
    }
    Ok(beats)
}

/// The timers and listeners of one session. They stop when this is dropped; [`Background::end`] also runs the steps that
/// close a session.
pub struct Background {
    engine: Arc<Engine>,
    session: Arc<Session>,
    tasks: JoinSet<()>,
}

impl Background {
    /// Starts what goes on beside a session's calls. Without `timers` only the listeners: for a session of a single call.
    pub(super) fn begin(engine: &Arc<Engine>, session: &Arc<Session>, timers: bool) -> Self {
        let mut tasks = JoinSet::new();
        for (pack, loaded) in engine.catalog.packs.iter().enumerate() {
            for (name, listener) in loaded.pack.listeners.iter() {
                let routine = Routine::new(engine, session, pack, format!("listener {name}"));
                tasks.spawn(listen(routine, listener.clone()));
            }
        }
        for beat in engine.beats.iter().filter(|_| timers) {
            let loaded = engine.catalog.packs.get(beat.pack);
            if let Some(timer) = loaded.and_then(|p| p.pack.timers.get(&beat.name)) {
                let name = format!("timer {}", beat.name);
                let routine = Routine::new(engine, session, beat.pack, name);
                tasks.spawn(tick(routine, timer.clone(), beat.every));
            }
        }
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            tasks,
        }
    }

    /// Stops timers and listeners, then runs the closing steps of all packs beside each other, for one second at the most
    /// and for `limit` if that is less.
    pub async fn end(mut self, limit: Duration) {
        // First of all: a timer must not bring back what the closing steps take away.
        self.tasks.shutdown().await;
        let packs = self.engine.catalog.packs.iter().enumerate();
        let closing = packs.filter(|(_, loaded)| !loaded.pack.on.close.is_empty());
        let runs = closing.map(|(pack, loaded)| {
            let name = "on close".to_owned();
            let mut routine = Routine::new(&self.engine, &self.session, pack, name);
            async move {
                let outcome = guarded(async {
                    let mut call = routine.call();
                    call.steps(&loaded.pack.on.close).await
                });
                let outcome = outcome.await;
                routine.note(outcome);
            }
        });
        let limit = limit.min(CLOSE);
        if timeout(limit, join_all(runs)).await.is_err() {
            tracing::warn!(
                ?limit,
                "the steps at the end of the session took too long and were stopped"
            );
        }
    }
}

/// Steps that run again and again for a session.
struct Routine {
    engine: Arc<Engine>,
    session: Arc<Session>,
    pack: usize,
    name: String,
    /// The kind of the last failures in a row, which is logged once.
    failing: Option<FailureKind>,
}

impl Routine {
    fn new(engine: &Arc<Engine>, session: &Arc<Session>, pack: usize, name: String) -> Self {
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            pack,
            name,
            failing: None,
        }
    }

    fn call(&self) -> Call<'_> {
        let loaded = self.engine.catalog.packs.get(self.pack);
        let tools = loaded.map(|p| p.tools.clone()).unwrap_or_default();
        Call::new(&self.engine, &self.name, self.pack, &self.session, tools)
    }

    /// Logs the first of several failures of one kind in a row, and that it works again.
    fn note(&mut self, outcome: Result<(), Failure>) {
        let packs = &self.engine.catalog.packs;
        let pack = packs.get(self.pack).map_or("", |p| p.pack.name.as_ref());
        let (steps, failed) = (&self.name, self.failing.take());
        match outcome {
            Ok(()) if failed.is_some() => tracing::info!(pack, steps, "works again"),
            Ok(()) => {}
            Err(error) => {
                self.failing = Some(error.kind);
                let kind = error.kind.as_str();
                if failed == Some(error.kind) {
                    tracing::debug!(pack, steps, kind, %error, "failed again");
                } else {
                    tracing::warn!(pack, steps, kind, %error, "failed");
                }
            }
        }
    }
}

/// A panic as a failure; the panic hook has logged where it happened.
async fn guarded(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let fault = || Failure::new(FailureKind::Internal, "a fault in the gateway");
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(fault()))
}

async fn tick(mut routine: Routine, timer: Timer, every: Duration) {
    let mut ticks = interval_at(Instant::now() + every, every);
    // After a run that took longer than a period, the next one comes a whole period later.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let outcome = guarded(async {
            let mut call = routine.call();
            if let Some(when) = &timer.when
                && !call.templates().test(when, &call.context())?
            {
                return Ok(());
            }
            call.steps(&timer.steps).await
        });
        let outcome = outcome.await;
        routine.note(outcome);
    }
}

async fn listen(mut routine: Routine, listener: Listener) {
    let context = routine.call().context();
    let subject = routine
        .engine
        .catalog
        .templates
        .token(&listener.subject, &context);
    let subjects = match subject {
        Ok(subject) => [subject],
        Err(error) => {
            routine.note(Err(error.into()));
            return routine.session.opened();
        }
    };
    let bus = routine.engine.bus.clone();
    let mut states = bus.watch();
    let mut first = true;
    loop {
        // Without a connection a subscription only begins some time after there is one, and the calls of this session
        // could come before it.
        if states.wait_for(State::is_connected).await.is_err() {
            return;
        }
        let opened = bus.subscribe(&subjects, QUEUE).await;
        if std::mem::take(&mut first) {
            routine.session.opened();
        }
        match opened {
            Ok(mut messages) => {
                routine.note(Ok(()));
                while let Some(message) = messages.next().await {
                    let outcome = guarded(handle(&routine, &listener, message)).await;
                    routine.note(outcome);
                }
                // The connection was closed for good.
                return;
            }
            Err(error) => routine.note(Err(error.into())),
        }
        sleep(RETRY).await;
    }
}

/// Runs a listener's steps for a message, and answers it if it asks for that.
async fn handle(routine: &Routine, listener: &Listener, message: Message) -> Result<(), Failure> {
    let mut call = routine.call();
    call.scope.bind("item", payload::message(&message));
    call.steps(&listener.steps).await?;
    let (Some(reply), Some(to)) = (&listener.reply, message.reply) else {
        return Ok(());
    };
    let answer = payload::encode(&call.templates().tree(reply, &call.context())?)?;
    call.bus().publish(Outgoing::new(to, answer)).await?;
    Ok(())
}
