//! What goes on beside the calls of a session: timers, listeners, and the steps at its end or when it goes on.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::call::Call;
use super::failure::{Failure, FailureKind};
use super::listen::listen;
use super::outlet::PUSH_TIMEOUT;
use super::resources::Reader;
use super::{Engine, Session};
use crate::bus::Pace;
use crate::catalog::Catalog;
use crate::spec::data::List;
use crate::spec::model::{On, TIMER_PERIOD, Timer};
use crate::spec::verbs::Step;

/// The longest time for the steps at one moment of a session, of all packs together.
const MOMENT: Duration = Duration::from_secs(1);

/// How a session goes on beside its calls.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// Whether its timers run; its listeners always do.
    pub timers: bool,
    /// [`Pace::Live`]: its client is there as long as the session, and hears of a stream's messages at once.
    /// [`Pace::Stored`]: its client comes and goes, and gets what was stored meanwhile; listeners on streams run only while
    /// somebody reads ([`Session::attach`]).
    pub pace: Pace,
    /// How long a reader may take no push although more wait than there is room for. Then it is dropped
    /// ([`Pace::Stored`]), or the oldest push that no stream can give again ([`Pace::Live`]).
    pub push_timeout: Duration,
}

impl Begin {
    /// For a client that is there as long as the session.
    pub const LIVE: Self = Self {
        timers: true,
        pace: Pace::Live,
        push_timeout: PUSH_TIMEOUT,
    };
    /// For a session of a single call: no timer would come to its first run.
    pub const ONCE: Self = Self {
        timers: false,
        ..Self::LIVE
    };
    /// For a client that comes and goes.
    pub const STORED: Self = Self {
        pace: Pace::Stored,
        ..Self::LIVE
    };
}

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
/// close a session. After either the session has no reader any more, until it begins again.
pub struct Background {
    engine: Arc<Engine>,
    session: Arc<Session>,
    tasks: JoinSet<()>,
}

impl Background {
    pub(super) fn begin(engine: &Arc<Engine>, session: &Arc<Session>, begin: Begin) -> Self {
        let outlet = session.outlet();
        outlet.open(begin.push_timeout, begin.pace == Pace::Stored);
        let mut tasks = JoinSet::new();
        for (pack, loaded) in engine.catalog.packs.iter().enumerate() {
            for (name, listener) in loaded.pack.listeners.iter() {
                let routine = Routine::new(engine, session, pack, format!("listener {name}"));
                let (name, listener) = (name.to_owned(), listener.clone());
                tasks.spawn(listen(routine, name, listener, begin.pace));
            }
        }
        for beat in engine.beats.iter().filter(|_| begin.timers) {
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

    /// Stops timers and listeners without closing the session, which is to go on another time. Once this returns, the session
    /// does not change by itself any more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Stops timers and listeners, then runs the closing steps of all packs beside each other, for one second at the most
    /// and for `limit` if that is less.
    pub async fn end(mut self, limit: Duration) {
        // First of all: a timer must not bring back what the closing steps take away.
        self.tasks.shutdown().await;
        let limit = limit.min(MOMENT);
        moment(&self.engine, &self.session, "close", |on| &on.close, limit).await;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.session.outlet().close();
    }
}

/// Runs the packs' steps for a session that goes on.
pub(super) async fn resume(engine: &Arc<Engine>, session: &Arc<Session>) {
    moment(engine, session, "resume", |on| &on.resume, MOMENT).await;
}

/// Runs the steps of all packs at one moment of a session, beside each other, for `limit` at the most.
async fn moment(
    engine: &Arc<Engine>,
    session: &Arc<Session>,
    name: &str,
    steps: fn(&On) -> &List<Step>,
    limit: Duration,
) {
    let packs = engine.catalog.packs.iter().enumerate();
    let packs = packs.map(|(index, loaded)| (index, steps(&loaded.pack.on)));
    let runs = packs.filter(|(_, steps)| !steps.is_empty());
    let runs = runs.map(|(pack, steps)| {
        let mut routine = Routine::new(engine, session, pack, format!("on {name}"));
        async move {
            let outcome = guarded(async { routine.call().steps(steps).await }).await;
            routine.note(outcome);
        }
    });
    if timeout(limit, join_all(runs)).await.is_err() {
        tracing::warn!(
            ?limit,
            moment = name,
            "the steps at a moment of the session took too long and were stopped"
        );
    }
}

/// Steps that run again and again for a session.
pub(super) struct Routine {
    pub(super) engine: Arc<Engine>,
    pub(super) session: Arc<Session>,
    pub(super) pack: usize,
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

    pub(super) fn call(&self) -> Call<'_> {
        let loaded = self.engine.catalog.packs.get(self.pack);
        let tools = loaded.map(|p| p.tools.clone()).unwrap_or_default();
        Call::new(&self.engine, &self.name, self.pack, &self.session, tools)
    }

    /// Logs the first of several failures of one kind in a row, and that it works again.
    pub(super) fn note(&mut self, outcome: Result<(), Failure>) {
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
pub(super) async fn guarded(
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
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
