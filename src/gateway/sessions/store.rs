//! The records of sessions on NATS: read, written by compare-and-set, and asked back from the gateway that has one.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::live::{Live, Stored};
use super::record::{Record, VERSION, merge};
use crate::bus::permits::{OnBucket, Permits};
use crate::bus::{Bucket, BucketSpec, Bus, Error, ErrorKind, Operation, Outgoing};
use crate::gateway::clock::now;

/// The bucket of all sessions.
const BUCKET: &str = "jacquard-sessions";
/// How often a record that others change at the same time is read and written again.
const ATTEMPTS: usize = 8;
/// How long another gateway may take to let a session go. One that is gone is noticed at once.
const RELEASE: Duration = Duration::from_millis(700);

/// Where records are kept.
pub(super) struct Store {
    bus: Bus,
    bucket: Bucket,
    /// This gateway, as records name it.
    gateway: String,
}

/// Who has a session once its record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This gateway.
    Here,
    /// None: whoever is asked next goes on with it.
    Nobody,
}

/// What became of writing a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is written.
    Written,
    /// It is written, and another gateway has the session now.
    Taken,
    /// The session was ended by its client.
    Ended,
}

impl Store {
    pub(super) fn new(bus: &Bus, expire: Duration) -> Self {
        let spec = BucketSpec {
            name: BUCKET.to_owned(),
            description: Some("Sessions of MCP clients over HTTP".to_owned()),
            ttl: Some(expire),
            ..BucketSpec::default()
        };
        Self {
            bus: bus.clone(),
            bucket: bus.bucket(spec),
            gateway: Uuid::new_v4().simple().to_string(),
        }
    }

    /// Where this gateway is asked to let sessions go.
    pub(super) fn releases(&self) -> String {
        release_of(&self.gateway)
    }

    /// Reads a session's record and makes it this gateway's. The gateway that has the session lets it go first, if it is there.
    /// `None` when there is no such session, or `fits` does not hold for it.
    ///
    /// # Errors
    /// See [`Bucket`].
    pub(super) async fn take(
        &self,
        key: Uuid,
        fits: impl Fn(&Record) -> bool,
    ) -> Result<Option<(Record, Stored)>, Error> {
        let name = key.to_string();
        let mut asked = false;
        for _ in 0..ATTEMPTS {
            let Some(entry) = self.bucket.get(&name).await? else {
                return Ok(None);
            };
            let Some(mut record) = Record::read(&entry.value) else {
                tracing::warn!(session = %key, "a stored session is not understood and is passed over");
                return Ok(None);
            };
            if !fits(&record) {
                return Ok(None);
            }
            if !record.gateway.is_empty() && record.gateway != self.gateway && !asked {
                asked = true;
                if self.ask_back(&record.gateway, key).await {
                    continue;
                }
            }
            record.gateway.clone_from(&self.gateway);
            record.written = now();
            match self
                .bucket
                .update(&name, record.write(), entry.revision)
                .await
            {
                Ok(revision) => {
                    let stored = Stored {
                        revision: Some(revision),
                        state: record.state.clone(),
                        written: Some(Instant::now()),
                    };
                    return Ok(Some((record, stored)));
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(contended(key))
    }

    /// Asks another gateway to let a session go. Whether it answered: then the record may be newer.
    async fn ask_back(&self, gateway: &str, key: Uuid) -> bool {
        let request = Outgoing::new(release_of(gateway), key.to_string());
        match self.bus.request(request, RELEASE).await {
            Ok(_) => true,
            Err(error) => {
                if error.kind() != ErrorKind::NoResponders {
                    tracing::warn!(session = %key, %error, "the gateway that has a session does not let it go; it is taken over as it is stored");
                }
                false
            }
        }
    }

    /// Writes a session's record, if there is anything to write.
    ///
    /// # Errors
    /// See [`Bucket`]. What is not written now is written by the next attempt.
    pub(super) async fn save(&self, live: &Live, owner: Owner) -> Result<Outcome, Error> {
        let mut stored = live.stored.lock().await;
        for _ in 0..ATTEMPTS {
            let revision = live.session.revision();
            let state = live.session.snapshot();
            let record = self.record(live, owner, state);
            let written = self.write(live.key, &record, stored.revision).await;
            match written {
                Ok(revision_stored) => {
                    *stored = Stored {
                        revision: Some(revision_stored),
                        state: record.state,
                        written: Some(Instant::now()),
                    };
                    live.kept.store(revision, Ordering::Relaxed);
                    return Ok(Outcome::Written);
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
            if let Some(outcome) = self.reconcile(live, &mut stored, record).await? {
                return Ok(outcome);
            }
        }
        Err(contended(live.key))
    }

    async fn write(&self, key: Uuid, record: &Record, at: Option<u64>) -> Result<u64, Error> {
        let (key, value) = (key.to_string(), record.write());
        match at {
            Some(revision) => self.bucket.update(&key, value, revision).await,
            None => self.bucket.create(&key, value, None).await,
        }
    }

    /// The record was changed by somebody else: what to do about it. `None` to write again.
    async fn reconcile(
        &self,
        live: &Live,
        stored: &mut Stored,
        ours: Record,
    ) -> Result<Option<Outcome>, Error> {
        let key = live.key.to_string();
        let Some(entry) = self.bucket.get(&key).await? else {
            let history = self.bucket.history(&key).await?;
            if history
                .iter()
                .any(|entry| entry.operation != Operation::Put)
            {
                return Ok(Some(Outcome::Ended));
            }
            // The server lost it, or its time was over: it begins again.
            stored.revision = None;
            return Ok(None);
        };
        let theirs = Record::read(&entry.value);
        let another = theirs.filter(|r| !r.gateway.is_empty() && r.gateway != self.gateway);
        let Some(mut theirs) = another else {
            // Our own write, whose answer was lost.
            stored.revision = Some(entry.revision);
            return Ok(None);
        };
        let merged = merge(&stored.state, &ours.state, &theirs.state);
        if merged == theirs.state {
            return Ok(Some(Outcome::Taken));
        }
        theirs.state = merged;
        theirs.written = now();
        match self
            .bucket
            .update(&key, theirs.write(), entry.revision)
            .await
        {
            Ok(_) => Ok(Some(Outcome::Taken)),
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn record(&self, live: &Live, owner: Owner, state: serde_json::Value) -> Record {
        let client = live.client();
        Record {
            version: VERSION,
            created: live.created,
            written: now(),
            gateway: match owner {
                Owner::Here => self.gateway.clone(),
                Owner::Nobody => String::new(),
            },
            principal: client.principal.map(|p| p.id.clone()),
            toolset: client.toolset.map(|t| t.to_string()),
            initialize: live.initialize().cloned(),
            state,
        }
    }

    /// Removes a session's record.
    ///
    /// # Errors
    /// See [`Bucket`].
    pub(super) async fn remove(&self, live: &Live) -> Result<(), Error> {
        let stored = live.stored.lock().await;
        if stored.revision.is_none() {
            return Ok(());
        }
        self.bucket.delete(&live.key.to_string(), None).await
    }
}

/// What a gateway needs on NATS to keep sessions.
pub(in crate::gateway) fn permits(permits: &mut Permits) {
    let why = "sessions over HTTP";
    for used in [
        OnBucket::Ensure,
        OnBucket::Get("*"),
        OnBucket::Put("*"),
        OnBucket::History,
    ] {
        permits.bucket(why, BUCKET, used);
    }
    let release = release_of("*");
    permits.ask(why, &release);
    permits.listen(why, &release);
    permits.answer(why);
}

fn is_conflict(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists)
}

/// The subject on which a gateway is asked to let a session go; the body is the session's id.
fn release_of(gateway: &str) -> String {
    format!("jacquard.gateways.{gateway}.release")
}

fn contended(key: Uuid) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("the session {key} is changed by several gateways at once"),
    )
}
