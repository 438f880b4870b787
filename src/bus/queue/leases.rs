//! Lease records in their bucket: every change is a compare-and-set.

use super::record::Record;
use super::{Inner, Queue};
use crate::bus::bucket_spec::Entry;
use crate::bus::error::{Error, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a record is read again when others change it at the same time.
pub(super) const TRIES: u32 = 10;
/// How long a burial, a revival or a completion may take before others go on with it.
pub(super) const INTERRUPTED: Duration = Duration::from_secs(10);
/// How long a record stays that has nothing left to do: within that time a repeated `complete` is understood.
pub(super) const MEMORY: Duration = Duration::from_secs(30);
/// Most records that are listed.
pub(super) const MAX_RECORDS: usize = 100_000;

/// Somebody else changed the record first.
pub(super) fn lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists)
}

impl Queue {
    /// The record of a key and its revision.
    pub(super) async fn record(&self, key: &str) -> Result<Option<(Record, u64)>, Error> {
        let entry = self.0.spec.leases.get(key).await?;
        entry
            .map(|entry| Ok((Record::read(key, &entry.value)?, entry.revision)))
            .transpose()
    }

    /// The revision of what stands where a record belongs and is none, of no version.
    pub(super) async fn foreign(&self, key: &str) -> Result<Option<u64>, Error> {
        let entry = self.0.spec.leases.get(key).await?;
        let entry = entry.filter(|entry| !Record::is_later(&entry.value));
        Ok(entry
            .filter(|entry| Record::read(key, &entry.value).is_err())
            .map(|entry| entry.revision))
    }

    /// Writes a record in place of a revision, `None`: of nothing. Returns the new revision; see [`lost`].
    pub(super) async fn write(
        &self,
        key: &str,
        record: &Record,
        revision: Option<u64>,
    ) -> Result<u64, Error> {
        let (leases, value) = (&self.0.spec.leases, record.wire()?);
        match revision {
            None => leases.create(key, value, None).await,
            Some(revision) => leases.update(key, value, revision).await,
        }
    }

    /// Writes a record that has nothing left to do; it goes by itself. Somebody else may have done so before.
    pub(super) async fn retire(
        &self,
        key: &str,
        record: &Record,
        revision: u64,
    ) -> Result<(), Error> {
        let Inner { spec, lifeless, .. } = &*self.0;
        let value = record.wire()?;
        let done = if spec.leases.spec().limit_markers.is_none() || lifeless.load(Ordering::Relaxed)
        {
            spec.leases.update(key, value, revision).await
        } else {
            match spec
                .leases
                .update_for(key, value.clone(), revision, MEMORY)
                .await
            {
                // The bucket exists without limit markers: records stay as long as it says.
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    lifeless.store(true, Ordering::Relaxed);
                    spec.leases.update(key, value, revision).await
                }
                done => done,
            }
        };
        match done {
            Err(error) if !lost(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// The same without waiting. Should it not come about, a sweep does it.
    pub(super) async fn retire_unheard(&self, key: &str, record: &Record, revision: u64) {
        let Inner { spec, lifeless, .. } = &*self.0;
        if spec.leases.spec().limit_markers.is_none() || lifeless.load(Ordering::Relaxed) {
            return;
        }
        let Ok(value) = record.wire() else { return };
        let sent = spec
            .leases
            .update_unheard(key, value, revision, MEMORY)
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, key, "a lease record could not be shortened");
        }
    }

    /// The records whose key matches a filter, with their entries; what cannot be read is left out. At most [`MAX_RECORDS`].
    pub(super) async fn records(&self, filter: &str) -> Result<Vec<(Record, Arc<Entry>)>, Error> {
        let listing = self.0.spec.leases.list(filter, MAX_RECORDS).await?;
        let read = |entry: Arc<Entry>| match Record::read(&entry.key, &entry.value) {
            Ok(record) => Some((record, entry)),
            Err(error) => {
                tracing::debug!(%error, "a foreign entry in the bucket of leases");
                None
            }
        };
        Ok(listing.entries.into_iter().filter_map(read).collect())
    }
}
