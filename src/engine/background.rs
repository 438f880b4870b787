//! What goes on beside the calls of a session: timers, listeners, and the steps at its end or when it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::watch;
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

/// The timers and listeners of one session, those of the catalog of now: when another engine takes its place, each goes on with
/// that one once it is done with the message or run that it is at. They stop when this is dropped; [`Background::end`] also runs
/// the steps that close a session. After either the session has no reader any more, until it begins again.
pub struct Background {
    engines: watch::Receiver<Arc<Engine>>,
    session: Arc<Session>,
    tasks: Tasks,
}

impl Background {
    /// Starts them. They go on with each engine that `engines` gives.
    pub fn begin(
        mut engines: watch::Receiver<Arc<Engine>>,
        session: &Arc<Session>,
        begin: Begin,
    ) -> Self {
        session
            .outlet()
            .open(begin.push_timeout, begin.pace == Pace::Stored);
        let tasks = Tasks::default();
        let mut roster = Roster {
            session: Arc::clone(session),
            begin,
            running: BTreeMap::new(),
            tasks: tasks.clone(),
        };
        let engine = Arc::clone(&engines.borrow_and_update());
        session.opening(engine.ears.listeners, false);
        roster.turn(&engine, false);
        tasks.spawn(roster.follow(engines.clone()));
        Self {
            engines,
            session: Arc::clone(session),
            tasks,
        }
    }

    /// Stops timers and listeners without closing the session, which is to go on another time. Once this returns, the session
    /// does not change by itself any more.
    pub async fn stop(self) {
        self.tasks.shutdown().await;
    }

    /// Stops timers and listeners, then runs the closing steps of all packs beside each other, for one second at the most
    /// and for `limit` if that is less.
    pub async fn end(self, limit: Duration) {
        // First of all: a timer must not bring back what the closing steps take away.
        self.tasks.shutdown().await;
        let limit = limit.min(MOMENT);
        let engine = Arc::clone(&self.engines.borrow());
        moment(&engine, &self.session, "close", |on| &on.close, limit).await;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.tasks.take());
        self.session.outlet().close();
    }
}

/// The tasks of one session; `None` once they are to stop, and none begins any more.
#[derive(Clone)]
struct Tasks(Arc<Mutex<Option<JoinSet<()>>>>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(JoinSet::new()))))
    }
}

impl Tasks {
    // A panic while the lock is held leaves the set whole.
    fn set(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(set) = &mut *self.set() {
            while set.try_join_next().is_some() {}
            set.spawn(work);
        }
    }

    fn take(&self) -> Option<JoinSet<()>> {
        self.set().take()
    }

    /// Waits until all have stopped.
    async fn shutdown(&self) {
        if let Some(mut set) = self.take() {
            set.shutdown().await;
        }
    }
}

/// What runs beside a session: a timer, or a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Timer,
    Listener,
}

/// A timer or listener, by the names of its pack and its own.
type Key = (Kind, String, String);

/// Who runs beside a session, and how each learns of another engine.
struct Roster {
    session: Arc<Session>,
    begin: Begin,
    running: BTreeMap<Key, watch::Sender<Arc<Engine>>>,
    tasks: Tasks,
}

impl Roster {
    /// Goes along with the engines, for ever.
    async fn follow(mut self, mut engines: watch::Receiver<Arc<Engine>>) {
        while engines.changed().await.is_ok() {
            let engine = Arc::clone(&engines.borrow_and_update());
            engine.fit(&self.session);
            self.turn(&engine, true);
        }
        // Those who run end when this is dropped.
        std::future::pending().await
    }

    /// Hands an engine to those who run, begins what it has besides, and ends what it has not. With `counted`, a listener that
    /// begins is one more that a call waits for.
    fn turn(&mut self, engine: &Arc<Engine>, counted: bool) {
        let wanted = wanted(engine, self.begin);
        // Who has given up gets another try.
        self.running
            .retain(|key, engines| wanted.contains(key) && !engines.is_closed());
        for key in wanted {
            if let Some(engines) = self.running.get(&key) {
                engines.send_replace(Arc::clone(engine));
                continue;
            }
            let (engines, turns) = watch::channel(Arc::clone(engine));
            self.start(&key, engine, turns, counted);
            self.running.insert(key, engines);
        }
    }

    fn start(
        &self,
        (kind, pack, name): &Key,
        engine: &Arc<Engine>,
        turns: watch::Receiver<Arc<Engine>>,
        counted: bool,
    ) {
        let Some(index) = pack_of(engine, pack) else {
            return;
        };
        let label = match kind {
            Kind::Timer => format!("timer {name}"),
            Kind::Listener => format!("listener {name}"),
        };
        let mut routine = Routine::new(engine, &self.session, index, label);
        routine.turns = Some(turns);
        let name = name.clone();
        match kind {
            Kind::Timer => self.tasks.spawn(tick(routine, name)),
            Kind::Listener => {
                if counted {
                    self.session.opening(1, true);
                }
                self.tasks.spawn(listen(routine, name, self.begin.pace));
            }
        }
    }
}

/// What runs beside a session that begins so.
fn wanted(engine: &Engine, begin: Begin) -> BTreeSet<Key> {
    let packs = &engine.catalog.packs;
    let listeners = packs.iter().flat_map(|loaded| {
        let pack = &loaded.pack;
        let names = pack.listeners.keys();
        names.map(|name| (Kind::Listener, pack.name.to_string(), name.to_owned()))
    });
    let beats = engine.beats.iter().filter(|_| begin.timers);
    let timers = beats.filter_map(|beat| {
        let pack = packs.get(beat.pack)?.pack.name.to_string();
        Some((Kind::Timer, pack, beat.name.clone()))
    });
    listeners.chain(timers).collect()
}

/// The index of a pack.
fn pack_of(engine: &Engine, name: &str) -> Option<usize> {
    let mut packs = engine.catalog.packs.iter();
    packs.position(|loaded| loaded.pack.name == name)
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
    /// The engine to go on with; `None` for steps that run once.
    turns: Option<watch::Receiver<Arc<Engine>>>,
}

impl Routine {
    fn new(engine: &Arc<Engine>, session: &Arc<Session>, pack: usize, name: String) -> Self {
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            pack,
            name,
            failing: None,
            turns: None,
        }
    }

    /// Waits until there is another engine to go on with ([`Routine::turn`]), or none any more. Cancel-safe.
    pub(super) async fn turned(&mut self) {
        match &mut self.turns {
            // Who sent it is gone: that is told by `turn`.
            Some(turns) => drop(turns.changed().await),
            None => std::future::pending().await,
        }
    }

    /// Goes on with the engine of now. `false` when there is nothing to go on with.
    pub(super) fn turn(&mut self) -> bool {
        let Some(turns) = &mut self.turns else {
            return true;
        };
        if turns.has_changed().is_err() {
            return false;
        }
        let engine = Arc::clone(&turns.borrow_and_update());
        let packs = &self.engine.catalog.packs;
        let name = packs.get(self.pack).map(|p| p.pack.name.to_string());
        let Some(pack) = name.and_then(|name| pack_of(&engine, &name)) else {
            return false;
        };
        (self.engine, self.pack) = (engine, pack);
        true
    }

    /// A timer of the pack, and its period.
    fn beat(&self, name: &str) -> Option<(Timer, Duration)> {
        let mut beats = self.engine.beats.iter();
        let beat = beats.find(|beat| beat.pack == self.pack && beat.name == name)?;
        let loaded = self.engine.catalog.packs.get(self.pack)?;
        let timer = loaded.pack.timers.get(name)?;
        Some((timer.clone(), beat.every))
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

/// Runs a timer for as long as its session and its declaration last.
async fn tick(mut routine: Routine, name: String) {
    while let Some((timer, every)) = routine.beat(&name) {
        let mut timer = timer;
        let mut ticks = interval_at(Instant::now() + every, every);
        // After a run that took longer than a period, the next one comes a whole period later.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = routine.turned() => {
                    if !routine.turn() {
                        return;
                    }
                    match routine.beat(&name) {
                        // It keeps its pace.
                        Some((other, same)) if same == every => timer = other,
                        _ => break,
                    }
                    continue;
                }
                _ = ticks.tick() => {}
            }
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
}
