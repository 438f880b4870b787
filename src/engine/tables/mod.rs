//! Tables: what the newest messages of a stream say, in the memory of the gateway, for all its sessions.

mod kept;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use minijinja::value::{Value, ValueKind};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::failure::{Failure, FailureKind};
use super::payload;
use super::resources::{Reader, Resources, cannot_be_made, with_values};
use crate::bus::{
    Bus, ErrorKind, FeedReader, FeedStart, Heard, Pace, Stand, State, Stored, Stream, Told,
};
use crate::catalog::Catalog;
use crate::spec::env::{is_omit, now};
use crate::spec::model::{TABLE_ENTRIES, TABLE_TTL, TableDecl};
use kept::Kept;

/// Entries when a declaration does not say.
const ENTRIES: usize = 10_000;
/// How long a step waits for a table that is behind the stream.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long after a feed could not be opened it is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How often a table drops what lives no more, although nobody looks.
const TIDY: Duration = Duration::from_secs(30);

/// All tables of a catalog.
pub(super) struct Tables(Vec<Arc<Table>>);

impl Tables {
    /// Reads the declarations. Nothing is asked of NATS.
    ///
    /// # Errors
    /// A declaration whose names or limits cannot be made from this project and config.
    pub(super) fn new(catalog: &Arc<Catalog>, resources: &Resources) -> Result<Self, Failure> {
        let mut all = Vec::new();
        for (pack, loaded) in catalog.packs.iter().enumerate() {
            for (name, decl) in loaded.pack.tables.iter() {
                let table = Table::new(catalog, resources, pack, name, decl)
                    .map_err(|error| cannot_be_made("table", catalog, pack, name, error))?;
                all.push(Arc::new(table));
            }
        }
        Ok(Self(all))
    }

    /// The table of a pack.
    ///
    /// # Errors
    /// [`FailureKind::Internal`]: the checks have let a name pass that is not declared.
    pub(super) fn get(&self, pack: usize, name: &str) -> Result<&Table, Failure> {
        let mut all = self.0.iter();
        all.find(|table| table.pack == pack && table.name == name)
            .map(AsRef::as_ref)
            .ok_or_else(|| {
                let text = format!("the table `{name}` is not declared");
                Failure::new(FailureKind::Internal, text)
            })
    }

    /// Waits until each has all that is stored, or cannot have it in time.
    pub(super) async fn catch_up(&self) {
        let all = self.0.iter().map(|table| async move {
            if let Err(error) = table.catch_up().await {
                tracing::debug!(table = %table.name, %error, "the table is not there yet");
            }
        });
        futures_util::future::join_all(all).await;
    }

    /// Feeds the tables, each by a task of its own, until the set is dropped or the bus is closed.
    pub(super) fn keep(&self, bus: &Bus) -> JoinSet<()> {
        let tables = self.0.iter().cloned();
        tables.map(|table| table.keep(bus.clone())).collect()
    }
}

/// One table.
pub(super) struct Table {
    name: String,
    pack: usize,
    decl: TableDecl,
    catalog: Arc<Catalog>,
    base: Value,
    stream: Stream,
    subjects: Vec<String>,
    ttl: Duration,
    most: usize,
    kept: Mutex<Kept>,
    /// How much of which stream is in the table; `None` while it is not fed.
    stand: watch::Sender<Option<Stand>>,
    /// Whether it was said already that a message cannot be read.
    complained: AtomicBool,
}

impl Table {
    fn new(
        catalog: &Arc<Catalog>,
        resources: &Resources,
        pack: usize,
        name: &str,
        decl: &TableDecl,
    ) -> Result<Self, Failure> {
        let base = catalog.base_context(pack);
        let templates = &catalog.templates;
        let reader = Reader {
            templates,
            context: &base,
        };
        let ttl = reader.span("ttl", Some(&decl.ttl))?.unwrap_or_default();
        if !TABLE_TTL.contains(&ttl) {
            let text = format!("`ttl` is {ttl:?}, and must be from 1s to 24h");
            return Err(Failure::new(FailureKind::Range, text));
        }
        let most = reader.count("max_entries", decl.max_entries.as_ref(), MAX_ENTRIES)?;
        let with = with_values(templates, decl.with.as_ref(), &base)?;
        let stream = resources.stream(catalog, pack, &decl.stream, &with)?;
        let subjects = match &decl.subjects {
            None => stream.spec().subjects.clone(),
            Some(subjects) => subjects
                .iter()
                .map(|subject| templates.token(subject, &base))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            name: name.to_owned(),
            pack,
            decl: decl.clone(),
            catalog: Arc::clone(catalog),
            base,
            stream,
            subjects,
            ttl,
            most: most.map_or(ENTRIES, |most: u32| most as usize),
            kept: Mutex::default(),
            stand: watch::Sender::new(None),
            complained: AtomicBool::new(false),
        })
    }

    /// The entries that live now: objects of `key`, `value` and `time`, sorted by key.
    pub(super) fn items(&self) -> Vec<Value> {
        self.kept().items(SystemTime::now())
    }

    /// Whether the table is being fed.
    pub(super) fn is_fed(&self) -> bool {
        self.stand.borrow().is_some()
    }

    /// Waits until the table has all that was stored before this was called.
    ///
    /// # Errors
    /// Those of the bus, and a timeout when the table is not there after a second.
    pub(super) async fn catch_up(&self) -> Result<(), Failure> {
        let mut stand = self.stand.subscribe();
        let before = stand.borrow_and_update().clone();
        let state = match self.stream.info().await? {
            None => {
                self.stream.ensure().await?;
                self.stream.info().await?
            }
            state => state,
        };
        let (created, end) = state.map_or((None, 0), |state| (state.created, state.last_seq));
        let same = |at: &Stand| at.created.is_some() && at.created == created;
        // Of messages that the server has lost the table knows still, under sequences that others get.
        let lost = |at: &Stand| same(at) && at.position > end;
        let known = before.as_ref().filter(|at| same(at) && !lost(at));
        if known.is_some_and(|at| at.position == end) {
            return Ok(());
        }
        if before.is_some() && known.is_none() {
            self.stream.doubt();
        }
        let stale = before.filter(lost);
        let last = self.stream.last(&self.subjects).await?;
        let wanted = last.filter(|last| self.is_young(last));
        let wanted = wanted.map_or(0, |last| last.seq);
        let there = |at: &Option<Stand>| {
            let at = at.as_ref().filter(|at| stale.as_ref() != Some(*at));
            at.is_some_and(|at| same(at) && at.position >= wanted)
        };
        if let Ok(Ok(_)) = timeout(PATIENCE, stand.wait_for(there)).await {
            return Ok(());
        }
        let stream = &self.stream.spec().name;
        Err(Failure::new(
            FailureKind::Bus(ErrorKind::Timeout),
            format!(
                "the table `{}` is behind the stream {stream}: what it holds is not all that there is; try again",
                self.name
            ),
        ))
    }

    /// Whether an entry of this message would still live.
    fn is_young(&self, message: &Stored) -> bool {
        let until = message.stored_at().and_then(|t| t.checked_add(self.ttl));
        until.is_none_or(|until| until > SystemTime::now())
    }

    // A panic while the lock is held leaves the table whole: what is put into it was made before.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(self: Arc<Self>, bus: Bus) {
        let mut states = bus.watch();
        let mut failed = false;
        while states.wait_for(State::is_connected).await.is_ok() {
            let feed = self.stream.feed(&self.subjects);
            match feed.reader(FeedStart::Ago(self.ttl), Pace::Stored).await {
                // It ends with the bus.
                Ok(reader) => return self.follow(reader).await,
                Err(error) if failed => {
                    tracing::debug!(table = %self.name, %error, "the table is still not fed");
                }
                Err(error) => {
                    failed = true;
                    tracing::warn!(table = %self.name, %error, "the table is not fed; it is tried again");
                }
            }
            sleep(RETRY).await;
        }
    }

    async fn follow(&self, mut reader: FeedReader) {
        loop {
            self.stand.send_replace(Some(reader.stand()));
            let heard = match timeout(TIDY, reader.told()).await {
                Ok(Some(Told::Heard(heard))) => heard,
                // What it holds lives on until it is told anew, or its time is over.
                Ok(Some(Told::Turned)) => continue,
                Ok(None) => break,
                Err(_) => {
                    self.kept().expire(SystemTime::now());
                    continue;
                }
            };
            // The panic hook has logged where it happened; the next message may be sound.
            let _ = AssertUnwindSafe(async { self.hear(&heard) })
                .catch_unwind()
                .await;
        }
        self.stand.send_replace(None);
    }

    /// Makes an entry of a message.
    fn hear(&self, heard: &Heard) {
        if !self.is_young(&heard.message) {
            return;
        }
        match self.read(&heard.message) {
            Ok(Some((key, Some(item)))) => {
                let stored = heard.message.stored_at().unwrap_or_else(SystemTime::now);
                let until = stored.checked_add(self.ttl).unwrap_or(stored);
                let bytes = heard.message.payload.len() + key.len();
                self.kept().put(key, item, until, bytes, self.most);
            }
            Ok(Some((key, None))) => self.kept().remove(&key),
            Ok(None) => {}
            Err(error) => {
                let subject = &heard.message.subject;
                if self.complained.swap(true, Ordering::Relaxed) {
                    tracing::debug!(table = %self.name, subject, %error, "message passed over");
                } else {
                    tracing::warn!(table = %self.name, subject, %error, "message passed over: it cannot be read");
                }
            }
        }
    }

    /// The key of a message, and its entry unless that is to go; `None` for a message that is passed over.
    fn read(&self, message: &Stored) -> Result<Option<(String, Option<Value>)>, minijinja::Error> {
        let templates = &self.catalog.templates;
        let context = minijinja::context!(item => payload::stored(message), ..self.base.clone());
        if let Some(when) = &self.decl.when
            && !templates.test(when, &context)?
        {
            return Ok(None);
        }
        let key = match templates.eval(&self.decl.key, &context) {
            Err(error) if error.kind() == minijinja::ErrorKind::UndefinedError => return Ok(None),
            key => key?,
        };
        if !matches!(key.kind(), ValueKind::String | ValueKind::Number) {
            return Ok(None);
        }
        let key = key.to_string();
        let value = templates.tree_or_omit(&self.decl.value, &context)?;
        if is_omit(&value) {
            return Ok(Some((key, None)));
        }
        let time = match message.time.is_empty() {
            true => now(),
            false => message.time.clone(),
        };
        let item = minijinja::context!(key => key.as_str(), value => value, time => time);
        Ok(Some((key, Some(item))))
    }
}

/// [`TABLE_ENTRIES`], as it is counted.
const MAX_ENTRIES: u32 = TABLE_ENTRIES as u32;
