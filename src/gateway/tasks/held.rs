//! A task that this gateway runs: where it stands is written before each step, what it asks and is answered passes through its
//! record, and it stops when the record says so.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::LOOK;
use super::record::{End, Record};
use super::store::{Store, Stored};
use crate::bus::{Error, ErrorKind};
use crate::engine::contact::{Ask, Keep, Question, Stand};
use crate::engine::{Done, Failure, FailureKind};
use crate::gateway::clock::now;

/// How long a step waits for its place to be kept while NATS is away. Then the run ends here, and goes on when a gateway finds it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the end of a task is kept in memory while NATS is away.
const END_PATIENCE: Duration = Duration::from_secs(600);
/// How long after a refused or unanswered write it is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// A task that runs here.
pub(super) struct Held {
    pub(super) id: String,
    /// Whose it is.
    pub(super) owner: String,
    store: Arc<Store>,
    /// Which steps may be run again, by their index.
    again: Box<dyn Fn(usize) -> bool + Send + Sync>,
    /// Stops the run.
    pub(super) cancel: CancellationToken,
    /// Fires when the run has ended, whatever became of it.
    pub(super) over: CancellationToken,
    /// The record as it was last written or read. Only whoever has `turn` changes it.
    current: Mutex<(Record, u64)>,
    turn: tokio::sync::Mutex<()>,
    /// The task is no longer this gateway's business.
    lost: AtomicBool,
    /// The task is to be given away before its next step.
    leaving: AtomicBool,
    /// Fires when the record has been read again.
    looked: Notify,
    /// What the run tells.
    told: Mutex<Option<mpsc::Receiver<Done>>>,
    /// The questions of this step whose answers the run has had.
    heard: Mutex<HashSet<String>>,
}

/// Why a change of a record is not written.
pub(super) enum Unwritten {
    /// The task has ended, or another gateway runs it.
    Lost,
    /// NATS does not take it.
    Refused(Error),
    /// NATS has not been there for long enough.
    Away(Error),
}

// A panic while one of these locks is held leaves a whole value behind: each change is one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held {
    pub(super) fn new(
        id: String,
        store: Arc<Store>,
        record: Record,
        revision: u64,
        again: impl Fn(usize) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            id,
            owner: record.owner.clone(),
            store,
            again: Box::new(again),
            cancel: CancellationToken::new(),
            over: CancellationToken::new(),
            current: Mutex::new((record, revision)),
            turn: tokio::sync::Mutex::default(),
            lost: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            looked: Notify::new(),
            told: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    /// The record as it was last written or read.
    pub(super) fn record(&self) -> Record {
        locked(&self.current).0.clone()
    }

    /// From now on what the run tells becomes the task's message.
    pub(super) fn listen(&self, told: mpsc::Receiver<Done>) {
        *locked(&self.told) = Some(told);
    }

    /// The newest that the run has told and is not written.
    fn news(&self) -> Option<String> {
        let mut told = locked(&self.told);
        let told = told.as_mut()?;
        let mut newest = None;
        while let Ok(done) = told.try_recv() {
            newest = Some(worded(&done));
        }
        newest
    }

    /// Writes what the run has told since.
    pub(super) async fn tell(&self) {
        let Some(message) = self.news() else { return };
        let write = |record: &mut Record| record.message = Some(message.clone());
        if let Err(Unwritten::Refused(error) | Unwritten::Away(error)) =
            self.change(Duration::ZERO, write).await
        {
            tracing::debug!(task = %self.id, %error, "what a task tells is not written");
        }
    }

    /// Reads the record again: somebody may have changed it.
    pub(super) async fn look(&self) {
        let _turn = self.turn.lock().await;
        if let Err(Unwritten::Away(error) | Unwritten::Refused(error)) = self.refresh().await {
            tracing::debug!(task = %self.id, %error, "a task that runs is not looked at");
        }
        self.looked.notify_waiters();
    }

    /// Gives the task up: the run stops, and writes nothing more.
    fn lose(&self) -> Unwritten {
        self.lost.store(true, Ordering::Relaxed);
        self.cancel.cancel();
        Unwritten::Lost
    }

    /// Whether the task is still this gateway's.
    pub(super) fn is_held(&self) -> bool {
        !self.lost.load(Ordering::Relaxed)
    }

    async fn refresh(&self) -> Result<(), Unwritten> {
        let found = self.store.read(&self.id).await.map_err(Unwritten::Away)?;
        let ours = |record: &Record| record.end.is_none() && record.holder == self.store.gateway;
        match found {
            Some(Stored {
                record, revision, ..
            }) if ours(&record) => {
                *locked(&self.current) = (record, revision);
                Ok(())
            }
            _ => Err(self.lose()),
        }
    }

    /// Changes the record, for as long as the task is this gateway's. While NATS is away it is tried again for so long.
    pub(super) async fn change(
        &self,
        patience: Duration,
        change: impl Fn(&mut Record),
    ) -> Result<(), Unwritten> {
        let _turn = self.turn.lock().await;
        let end = Instant::now() + patience;
        loop {
            if !self.is_held() {
                return Err(Unwritten::Lost);
            }
            let (mut record, revision) = locked(&self.current).clone();
            change(&mut record);
            record.updated = now();
            let error = match self.store.write(&self.id, &record, revision).await {
                Ok(revision) => {
                    *locked(&self.current) = (record, revision);
                    return Ok(());
                }
                Err(error) => error,
            };
            let error = match error.kind() {
                // Somebody has answered or cancelled; or it was written, and the acknowledgement was lost.
                ErrorKind::Conflict => match self.refresh().await {
                    Ok(()) => continue,
                    Err(Unwritten::Away(error)) => error,
                    Err(unwritten) => return Err(unwritten),
                },
                ErrorKind::TooLarge | ErrorKind::Permission | ErrorKind::InvalidConfig => {
                    return Err(Unwritten::Refused(error));
                }
                _ => error,
            };
            if Instant::now() >= end {
                return Err(Unwritten::Away(error));
            }
            sleep(RETRY).await;
        }
    }

    /// The run has ended so. Whether that is what its client is told.
    pub(super) async fn end(&self, end: End) -> bool {
        let message = self.news();
        let ended = |record: &mut Record| {
            record.message = message.clone().or_else(|| record.message.take());
            record.end(end.clone());
        };
        let written = match self.change(END_PATIENCE, ended).await {
            Err(Unwritten::Refused(error)) => {
                let text = format!("the call is done, and its result cannot be kept: {error}");
                let failed = |record: &mut Record| record.end(End::failed(text.clone()));
                self.change(END_PATIENCE, failed).await
            }
            written => written,
        };
        match written {
            Ok(()) => {
                self.store.close(&self.id).await;
                true
            }
            Err(Unwritten::Lost) => false,
            Err(Unwritten::Refused(error) | Unwritten::Away(error)) => {
                tracing::warn!(task = %self.id, %error, "the end of a task is not stored");
                false
            }
        }
    }

    /// Gives the task to whichever gateway comes first, as soon as nothing is lost by that: at once if the step that runs can be run
    /// again, else before the next one. At the latest at `deadline`: then the task has failed.
    pub(super) async fn leave(&self, deadline: Instant) {
        self.leaving.store(true, Ordering::Relaxed);
        if (self.again)(self.record().stand.next) {
            let free = |record: &mut Record| record.holder.clear();
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = timeout(left, self.change(left, free)).await;
            self.lose();
            return;
        }
        if tokio::time::timeout_at(deadline, self.over.cancelled())
            .await
            .is_ok()
        {
            return;
        }
        let text = cut_off(&self.record());
        let failed = |record: &mut Record| record.end(End::failed(text.clone()));
        if self.change(RETRY, failed).await.is_ok() {
            self.store.close(&self.id).await;
        }
        self.lose();
    }

    async fn kept(&self, stand: &Stand) -> Result<(), Failure> {
        let leaving = self.leaving.load(Ordering::Relaxed);
        let before = self.record();
        let message = self.news();
        let same = before.begun && before.stand == *stand && message.is_none() && !leaving;
        if same && self.is_held() {
            return Ok(());
        }
        if before.stand.next != stand.next {
            locked(&self.heard).clear();
        }
        let kept = |record: &mut Record| {
            if record.stand.next != stand.next {
                record.answers.clear();
                record.pending.clear();
            }
            record.stand.clone_from(stand);
            record.begun = !leaving;
            if message.is_some() {
                record.message.clone_from(&message);
            }
            if leaving {
                record.holder.clear();
            }
        };
        let written = self.change(PATIENCE, kept).await;
        if leaving {
            self.lose();
        }
        match written {
            Ok(()) if !leaving => Ok(()),
            Ok(()) | Err(Unwritten::Lost) => Err(elsewhere()),
            Err(Unwritten::Away(error)) => {
                tracing::warn!(task = %self.id, %error, "where a task stands cannot be kept: it goes on when NATS is back");
                self.lose();
                Err(elsewhere())
            }
            Err(Unwritten::Refused(error)) => Err(Failure::new(
                FailureKind::Bus(error.kind()),
                format!("where the task stands cannot be kept, so it ends here: {error}"),
            )),
        }
    }

    async fn asked(
        &self,
        questions: Vec<Question>,
        within: Duration,
    ) -> Result<Map<String, Value>, Failure> {
        let end = Instant::now() + within;
        let again = |name: &str| locked(&self.heard).contains(name);
        let old: Vec<&str> = questions
            .iter()
            .map(|q| q.name.as_str())
            .filter(|name| again(name))
            .collect();
        self.put(|record| {
            // What is asked again has been answered in a way that does not do.
            record
                .answers
                .retain(|name, _| !old.contains(&name.as_str()));
            let open = |asked: &&Question| !record.answers.contains_key(&asked.name);
            record.pending = questions.iter().filter(open).cloned().collect();
        })
        .await?;
        loop {
            let looked = self.looked.notified();
            tokio::pin!(looked);
            looked.as_mut().enable();
            let mut record = self.record();
            if record.pending.is_empty() {
                let names: HashSet<String> = questions.into_iter().map(|q| q.name).collect();
                record.answers.retain(|name, _| names.contains(name));
                locked(&self.heard).extend(names);
                return Ok(record.answers);
            }
            let now = Instant::now();
            if now >= end {
                self.put(|record| record.pending.clear()).await?;
                let text = format!("the client has not answered within {within:?}");
                return Err(Failure::new(FailureKind::Timeout, text));
            }
            let pause = LOOK.min(end - now);
            if timeout(pause, looked).await.is_err() {
                self.look().await;
            }
        }
    }

    async fn put(&self, change: impl Fn(&mut Record)) -> Result<(), Failure> {
        self.change(PATIENCE, change)
            .await
            .map_err(|unwritten| match unwritten {
                Unwritten::Lost => elsewhere(),
                Unwritten::Refused(error) | Unwritten::Away(error) => error.into(),
            })
    }
}

impl Keep for Held {
    fn keep<'a>(&'a self, stand: &'a Stand) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.kept(stand))
    }
}

impl Ask for Held {
    fn ask(
        &self,
        questions: Vec<Question>,
        within: Duration,
    ) -> BoxFuture<'_, Result<Map<String, Value>, Failure>> {
        Box::pin(self.asked(questions, within))
    }
}

/// Nobody reads it: the run ends, and the task does not.
fn elsewhere() -> Failure {
    Failure::new(
        FailureKind::Internal,
        "the task has ended, or goes on in another gateway",
    )
}

/// What is said of a task whose step cannot be run again.
pub(super) fn cut_off(record: &Record) -> String {
    format!(
        "the gateway that ran the task stopped in step {} of `{}`: what this step does may have been done or not, and the steps \
         after it have not. Look at what is there before you call the tool again",
        record.stand.next + 1,
        record.tool
    )
}

/// How far a task is.
fn worded(done: &Done) -> String {
    let total = done.total.map(|total| format!(" of {total}"));
    let message = done.message.as_ref().map(|text| format!(": {text}"));
    format!(
        "{}{}{}",
        done.done,
        total.unwrap_or_default(),
        message.unwrap_or_default()
    )
}
