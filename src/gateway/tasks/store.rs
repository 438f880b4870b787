//! The records of tasks on NATS: one key each, changed by compare-and-set. Beside them a small key for each task that has not
//! ended, so that looking for lost ones reads no records, and one for each gateway that shows that it lives.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

use super::record::Record;
use super::{BEAT, KEEP};
use crate::bus::permits::{OnBucket, Permits};
use crate::bus::{Bucket, BucketSpec, Bus, Error, ErrorKind, Outgoing};
use crate::gateway::clock::now;

/// The bucket of all tasks.
const BUCKET: &str = "jacquard-tasks";
/// How often a record that others change at the same time is read and written again.
const ATTEMPTS: usize = 8;
/// The most tasks that are looked at in one go.
const MAX_OPEN: usize = 10_000;
/// The most gateways that show that they live.
const MAX_GATEWAYS: usize = 1_000;

/// Where records are kept.
pub(super) struct Store {
    bus: Bus,
    bucket: Bucket,
    /// This gateway, as records name it.
    pub(super) gateway: String,
    /// When this gateway last showed that it lives.
    beaten: Mutex<Option<Instant>>,
}

/// A record as it was read or written last.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) record: Record,
    pub(super) revision: u64,
    /// When it was stored, by the clock of the server; `None` of what was just written.
    pub(super) at: Option<SystemTime>,
}

/// A task that has not ended.
pub(super) struct Open {
    /// Who runs it.
    pub(super) holder: String,
    /// When that was noted, by the clock of the server.
    pub(super) noted: Option<SystemTime>,
}

/// The gateways, and when they last showed that they live, by the clock of the server.
pub(super) struct Gateways {
    beats: HashMap<String, SystemTime>,
    /// The time of the server.
    pub(super) now: SystemTime,
}

impl Gateways {
    /// For how long nothing has been heard of a gateway; the longest time for one that nobody knows.
    pub(super) fn silent(&self, gateway: &str) -> Duration {
        let beat = self.beats.get(gateway);
        beat.map_or(Duration::MAX, |beat| {
            self.now.duration_since(*beat).unwrap_or_default()
        })
    }
}

impl Store {
    pub(super) fn new(bus: &Bus) -> Self {
        let spec = BucketSpec {
            name: BUCKET.to_owned(),
            description: Some("Calls of MCP clients that run as tasks".to_owned()),
            ttl: Some(KEEP),
            ..BucketSpec::default()
        };
        Self {
            bus: bus.clone(),
            bucket: bus.bucket(spec),
            gateway: Uuid::new_v4().simple().to_string(),
            beaten: Mutex::default(),
        }
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        self.bus.watch().borrow().is_connected()
    }

    /// Where this gateway is told that somebody has changed a task that it runs; the body is the task's id.
    pub(super) fn signals(&self) -> String {
        signals_of(&self.gateway)
    }

    /// Tells the gateway that runs a task to look at its record. One that does not hear it looks by itself, later.
    pub(super) async fn signal(&self, holder: &str, id: &str) {
        let message = Outgoing::new(signals_of(holder), id.to_owned());
        if let Err(error) = self.bus.publish(message).await {
            tracing::debug!(task = id, %error, "the gateway that runs a task is not told of a change");
        }
    }

    /// Shows that this gateway lives, unless it has just done so.
    pub(super) async fn beat(&self) -> Result<(), Error> {
        let fresh = |beaten: Option<Instant>| beaten.is_some_and(|at| at.elapsed() < BEAT);
        // A panic while the lock is held leaves a time behind, which is whole.
        let beaten = *self.beaten.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh(beaten) {
            return Ok(());
        }
        let begun = Instant::now();
        self.bucket.put(&gateway_key(&self.gateway), "").await?;
        *self.beaten.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
        Ok(())
    }

    /// Tells that this gateway is gone. Where this fails, it is found out after a while.
    pub(super) async fn farewell(&self) {
        let key = gateway_key(&self.gateway);
        if let Err(error) = self.bucket.delete(&key, None).await {
            tracing::debug!(%error, "others are not told that this gateway runs no tasks any more");
        }
    }

    /// The gateways that live, of which this is one.
    pub(super) async fn gateways(&self) -> Result<Gateways, Error> {
        self.bucket.put(&gateway_key(&self.gateway), "").await?;
        let listed = self.bucket.list(&gateway_key("*"), MAX_GATEWAYS).await?;
        let beats: HashMap<String, SystemTime> = listed
            .entries
            .iter()
            .filter_map(|entry| Some((name_of(&entry.key).to_owned(), entry.stored_at()?)))
            .collect();
        let now = beats.get(&self.gateway).copied();
        Ok(Gateways {
            now: now.unwrap_or_else(SystemTime::now),
            beats,
        })
    }

    /// The tasks that have not ended, as far as is known without reading their records.
    pub(super) async fn open(&self) -> Result<BTreeMap<String, Open>, Error> {
        let listed = self.bucket.list(&open_key("*"), MAX_OPEN).await?;
        let entries = listed.entries.iter();
        let named = entries.map(|entry| {
            let open = Open {
                holder: String::from_utf8_lossy(&entry.value).into_owned(),
                noted: entry.stored_at(),
            };
            (name_of(&entry.key).to_owned(), open)
        });
        Ok(named.collect())
    }

    /// Notes who runs a task.
    pub(super) async fn note(&self, id: &str, holder: &str) -> Result<(), Error> {
        let stored = self.bucket.put(&open_key(id), holder.to_owned()).await;
        stored.map(drop)
    }

    /// Notes that a task has ended. Where this fails, whoever looks for lost tasks does it.
    pub(super) async fn close(&self, id: &str) {
        if let Err(error) = self.bucket.delete(&open_key(id), None).await {
            tracing::debug!(task = id, %error, "not noted that a task has ended");
        }
    }

    /// Stores a new record; its revision.
    pub(super) async fn create(&self, id: &str, record: &Record) -> Result<u64, Error> {
        self.bucket
            .create(&task_key(id), record.write(), None)
            .await
    }

    /// Reads a record. `None` when there is none that this program understands.
    pub(super) async fn read(&self, id: &str) -> Result<Option<Stored>, Error> {
        let Some(entry) = self.bucket.get(&task_key(id)).await? else {
            return Ok(None);
        };
        let Some(record) = Record::read(&entry.value) else {
            tracing::warn!(
                task = id,
                "a stored task is not understood and is passed over"
            );
            return Ok(None);
        };
        Ok(Some(Stored {
            record,
            revision: entry.revision,
            at: entry.stored_at(),
        }))
    }

    /// Writes a record if this is still its revision; the next one.
    pub(super) async fn write(
        &self,
        id: &str,
        record: &Record,
        revision: u64,
    ) -> Result<u64, Error> {
        self.bucket
            .update(&task_key(id), record.write(), revision)
            .await
    }

    /// Changes a record, whoever else changes it meanwhile. `change` says whether there is anything to write. The record as it is
    /// then, and whether it was changed here; `None` when there is none.
    pub(super) async fn change(
        &self,
        id: &str,
        change: impl Fn(&mut Record) -> bool,
    ) -> Result<Option<(Record, bool)>, Error> {
        for _ in 0..ATTEMPTS {
            let Some(Stored {
                mut record,
                revision,
                ..
            }) = self.read(id).await?
            else {
                return Ok(None);
            };
            if !change(&mut record) {
                return Ok(Some((record, false)));
            }
            record.updated = now();
            match self.write(id, &record, revision).await {
                Ok(_) => return Ok(Some((record, true))),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("the task {id} is changed by others all the time"),
        ))
    }
}

/// What a gateway needs on NATS to keep tasks.
pub(in crate::gateway) fn permits(permits: &mut Permits) {
    let why = "tasks";
    let keys = [gateway_key("*"), open_key("*"), task_key("*")];
    permits.bucket(why, BUCKET, OnBucket::Ensure);
    permits.bucket(why, BUCKET, OnBucket::List);
    permits.bucket(why, BUCKET, OnBucket::Get(&task_key("*")));
    for key in &keys {
        permits.bucket(why, BUCKET, OnBucket::Put(key));
    }
    permits.send(why, &signals_of("*"));
    permits.listen(why, &signals_of("*"));
}

fn signals_of(gateway: &str) -> String {
    format!("jacquard.gateways.{gateway}.tasks")
}

fn task_key(id: &str) -> String {
    format!("task.{id}")
}

fn open_key(id: &str) -> String {
    format!("open.{id}")
}

fn gateway_key(id: &str) -> String {
    format!("gateway.{id}")
}

/// A key without what stands before its last dot.
fn name_of(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, name)| name)
}
