//! Key-value buckets: streams in the layout of NATS KV (ADR-8), one round trip per verb.
//!
//! Other clients can read and write them: bucket `b` is the stream `KV_b`, key `k` its subject `$KV.b.k`.

use super::bucket_spec::{BucketSpec, Entry, Listing, OPERATION, Operation};
use super::connection::Bus;
use super::direct::{self, Trouble};
use super::ensure::{Drift, Resource, Standing};
use super::error::{Error, ErrorKind};
use super::leader;
use super::link::Link;
use super::message::Bytes;
use super::mirror::Mirror;
use super::publish::{Letter, stored};
use super::read::{self, From, MAX_PAGE, ReadRequest, Stored};
use super::{api, message};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
const TTL: &str = "Nats-TTL";
/// Stored messages looked at when a bucket is too large to be listed at once.
const MAX_LISTED: usize = 100_000;

/// A handle on a bucket. Cheap to clone; clones share what is known about it. Like a
/// [`Stream`](super::Stream) it is created on first use, never changed, and made again when it vanished.
///
/// Errors of all verbs: [`ErrorKind::InvalidKey`], [`ErrorKind::InvalidConfig`],
/// [`ErrorKind::Timeout`], [`ErrorKind::Permission`], and those of the connection.
#[derive(Clone)]
pub struct Bucket {
    resource: Arc<Resource>,
    spec: Arc<BucketSpec>,
    /// `$KV.<bucket>.`
    prefix: Arc<str>,
    /// The existing bucket does not allow direct get: ask the leader.
    by_leader: Arc<AtomicBool>,
    mirror: Option<Arc<Mirror>>,
}

impl Bucket {
    pub(super) fn new(bus: Bus, spec: BucketSpec) -> Self {
        let label = format!("bucket {}", spec.name);
        let resource = Arc::new(Resource::new(bus, label, spec.wire(), spec.problem()));
        let prefix: Arc<str> = format!("$KV.{}.", spec.name).into();
        let mirror = || Arc::new(Mirror::new(Arc::clone(&resource), Arc::clone(&prefix)));
        Self {
            mirror: spec.mirror.then(mirror),
            resource,
            prefix,
            spec: Arc::new(spec),
            by_leader: Arc::default(),
        }
    }

    /// Why the declaration can never work, if so.
    pub fn problem(&self) -> Option<&str> {
        self.resource.problem()
    }

    /// The declaration.
    pub fn spec(&self) -> &BucketSpec {
        &self.spec
    }

    /// Creates the bucket if it is absent; asks the server at most once per handle.
    ///
    /// # Errors
    /// As [`Stream::ensure`](super::Stream::ensure).
    pub async fn ensure(&self) -> Result<(), Error> {
        self.resource.ready("ensuring a bucket").await.map(drop)
    }

    /// How the existing bucket differs from the declaration, as found when it was last ensured.
    pub fn drift(&self) -> Vec<Drift> {
        self.resource.drift()
    }

    /// How the bucket really is; `None` when it does not exist. Nothing is made or changed.
    ///
    /// # Errors
    /// Those of the connection and of the JetStream API.
    pub async fn look(&self) -> Result<Option<Standing>, Error> {
        self.resource.look().await
    }

    /// The entry of a key; `None` when there is none or it was deleted.
    ///
    /// # Errors
    /// See [`Bucket`].
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        let last = self.last(key).await?;
        Ok(last.filter(|entry| entry.operation == Operation::Put))
    }

    /// Sets a key; returns the revision.
    ///
    /// # Errors
    /// See [`Bucket`]; [`ErrorKind::TooLarge`] and [`ErrorKind::LimitExceeded`] when it does not fit.
    pub async fn put(&self, key: &str, value: impl Into<Bytes>) -> Result<u64, Error> {
        self.store(key, value.into(), &[]).await
    }

    /// Sets a key that must not exist; returns the revision. With `ttl` the entry ends by itself
    /// (whole seconds, rounded up); that needs `limit_markers` in the declaration.
    ///
    /// # Errors
    /// As [`Bucket::put`]; [`ErrorKind::AlreadyExists`].
    pub async fn create(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        ttl: Option<Duration>,
    ) -> Result<u64, Error> {
        if ttl.is_some() && self.spec.limit_markers.is_none() {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "creating {key} in the {}: a life of its own needs limit_markers in the declaration",
                    self.resource.label
                ),
            ));
        }
        let value = value.into();
        let life = ttl.map(seconds);
        match self.create_at(key, value.clone(), life.as_deref(), 0).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            done => return done,
        }
        // Something is stored for the key. After a deletion it may be created again.
        let revision = match self.last(key).await? {
            Some(entry) if entry.operation == Operation::Put => return Err(self.exists(key)),
            Some(entry) => entry.revision,
            None => 0,
        };
        self.create_at(key, value, life.as_deref(), revision)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::Conflict => self.exists(key),
                _ => error,
            })
    }

    async fn create_at(
        &self,
        key: &str,
        value: Bytes,
        life: Option<&str>,
        revision: u64,
    ) -> Result<u64, Error> {
        let revision = revision.to_string();
        match life {
            None => self.store(key, value, &[(EXPECTED, &revision)]).await,
            Some(life) => {
                self.store(key, value, &[(EXPECTED, &revision), (TTL, life)])
                    .await
            }
        }
    }

    /// Sets a key if `revision` is still its last one; returns the new revision.
    ///
    /// # Errors
    /// As [`Bucket::put`]; [`ErrorKind::Conflict`] when it was changed meanwhile.
    pub async fn update(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        revision: u64,
    ) -> Result<u64, Error> {
        let revision = revision.to_string();
        self.store(key, value.into(), &[(EXPECTED, &revision)])
            .await
    }

    /// Like [`Bucket::update`]; the entry ends by itself after `life` (whole seconds, rounded up).
    ///
    /// # Errors
    /// As [`Bucket::update`]; [`ErrorKind::Unsupported`] when the existing bucket takes no `limit_markers`.
    pub(super) async fn update_for(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        revision: u64,
        life: Duration,
    ) -> Result<u64, Error> {
        self.create_at(key, value.into(), Some(&seconds(life)), revision)
            .await
    }

    /// The same without waiting for the server: it is stored, or it is not.
    pub(super) async fn update_unheard(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        revision: u64,
        life: Duration,
    ) -> Result<(), Error> {
        let subject = self.subject(key, false)?;
        let what = self.resource.storing.as_str();
        let link = self.resource.link(what).await?;
        let (revision, life, value) = (revision.to_string(), seconds(life), value.into());
        let headers = message::headers(&[], &[(EXPECTED, &revision), (TTL, &life)])?;
        let size = value.len();
        link.send(subject.clone(), None, headers, value)
            .await
            .map_err(|error| link.publish_error(what, &subject, size, error))
    }

    /// Deletes a key; its history stays. Deleting what does not exist is no error. With `revision`
    /// only if that is still the last one.
    ///
    /// # Errors
    /// See [`Bucket`]; [`ErrorKind::Conflict`] when it was changed meanwhile.
    pub async fn delete(&self, key: &str, revision: Option<u64>) -> Result<(), Error> {
        let deletion = (OPERATION, "DEL");
        let stored = match revision.map(|revision| revision.to_string()) {
            None => self.store(key, Bytes::new(), &[deletion]).await,
            Some(expected) => {
                self.store(key, Bytes::new(), &[deletion, (EXPECTED, &expected)])
                    .await
            }
        };
        stored.map(drop)
    }

    /// The entries whose key matches `filter` (`>` for all, `a.>`, `a.*`), deletions left out,
    /// sorted by key, at most `limit`. One round trip up to 1024 keys; with `mirror` one small one whatever there
    /// is, and a second one for what is new. Either way it has every write acknowledged before.
    ///
    /// # Errors
    /// See [`Bucket`].
    pub async fn list(&self, filter: &str, limit: usize) -> Result<Listing, Error> {
        let subject = self.subject(filter, true)?;
        let what = format!("listing {filter} in the {}", self.resource.label);
        if let Some(mirror) = &self.mirror
            && let Some(listing) = mirror.list(&what, filter, limit).await?
        {
            return Ok(listing);
        }
        let link = self.resource.ready(&what).await?;
        let (found, mut more) = match self.latest(&link, &what, &subject).await? {
            Some(found) => found,
            None => self.latest_by_pages(&subject).await?,
        };
        let mut entries: Vec<Arc<Entry>> = found
            .into_iter()
            .map(|stored| Arc::new(self.entry(stored)))
            .filter(|entry| entry.operation == Operation::Put)
            .collect();
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        more |= entries.len() > limit;
        entries.truncate(limit);
        Ok(Listing { entries, more })
    }

    /// All kept revisions of a key, oldest first, with deletions.
    ///
    /// # Errors
    /// See [`Bucket`].
    pub async fn history(&self, key: &str) -> Result<Vec<Entry>, Error> {
        let request = ReadRequest {
            subjects: vec![self.subject(key, false)?],
            limit: MAX_PAGE,
            from: From::After(0),
            scan: MAX_PAGE,
        };
        let page = read::page(&self.resource, &request, &mut |_| true).await?;
        Ok(page
            .messages
            .into_iter()
            .map(|stored| self.entry(stored))
            .collect())
    }

    async fn store(&self, key: &str, payload: Bytes, extra: &[(&str, &str)]) -> Result<u64, Error> {
        let subject = self.subject(key, false)?;
        let letter = Letter {
            subject: &subject,
            headers: &[],
            extra,
            payload,
        };
        stored(&self.resource, &letter).await.map(|ack| ack.seq)
    }

    fn exists(&self, key: &str) -> Error {
        Error::new(
            ErrorKind::AlreadyExists,
            format!("the key {key} exists in the {}", self.resource.label),
        )
    }

    /// The last revision of a key, also a deletion.
    async fn last(&self, key: &str) -> Result<Option<Entry>, Error> {
        let subject = self.subject(key, false)?;
        let what = format!("reading {key} in the {}", self.resource.label);
        let link = self.resource.ready(&what).await?;
        let found = if self.by_leader.load(Ordering::Relaxed) {
            self.last_by_leader(&link, &what, &subject).await?
        } else {
            match self.last_direct(&link, &what, &subject).await {
                Err(Trouble::NoDirect) => {
                    if self.is_there_without_direct(&link, &what).await? {
                        self.last_by_leader(&link, &what, &subject).await?
                    } else {
                        None
                    }
                }
                Err(trouble) => return Err(trouble.into_error(&what)),
                Ok(found) => found,
            }
        };
        Ok(found.map(|stored| self.entry(stored)))
    }

    async fn last_direct(
        &self,
        link: &Link,
        what: &str,
        subject: &str,
    ) -> Result<Option<Stored>, Trouble> {
        let api = format!("$JS.API.DIRECT.GET.{}.{subject}", self.resource.name);
        let answer = tokio::select! {
            answer = link.request(what, &api, None, Bytes::new(), link.limit) => answer,
            () = self.resource.missing(link, what, true) => return Err(Trouble::NoDirect),
        };
        let answer = answer.map_err(|error| match error.kind() {
            ErrorKind::NoResponders => Trouble::NoDirect,
            _ => Trouble::Failed(error),
        })?;
        match answer.status.map(|status| status.as_u16()) {
            None => direct::stored(what, answer)
                .map(|(stored, _)| Some(stored))
                .map_err(Trouble::Failed),
            Some(404) => Ok(None),
            Some(status) => Err(Trouble::Failed(Error::new(
                ErrorKind::Protocol,
                format!("{what}: the direct get was answered with status {status}"),
            ))),
        }
    }

    async fn last_by_leader(
        &self,
        link: &Link,
        what: &str,
        subject: &str,
    ) -> Result<Option<Stored>, Error> {
        let body = json!({ "last_by_subj": subject });
        match leader::get(link, what, &self.resource.name, &body).await {
            Err(failure) if failure.code() == api::code::STREAM_NOT_FOUND => {
                // Made anew it allows direct get, and is empty.
                self.by_leader.store(false, Ordering::Relaxed);
                self.resource.again(what).await.map(|_| None)
            }
            found => found.map_err(|failure| failure.into_error(what)),
        }
    }

    /// Nobody answered a direct get: the bucket allows none, or it is gone and is made again.
    async fn is_there_without_direct(&self, link: &Link, what: &str) -> Result<bool, Error> {
        match api::info(link, what, &self.resource.name).await {
            Ok(info) => {
                self.by_leader
                    .store(!info.allows_direct(), Ordering::Relaxed);
                Ok(true)
            }
            Err(failure) if failure.code() == api::code::STREAM_NOT_FOUND => {
                self.resource.again(what).await?;
                Ok(false)
            }
            Err(failure) => Err(failure.into_error(what)),
        }
    }

    /// The last message of each subject in one batch, and whether there are more; `None` when the
    /// bucket cannot be listed so.
    async fn latest(
        &self,
        link: &Link,
        what: &str,
        subject: &str,
    ) -> Result<Option<(Vec<Stored>, bool)>, Error> {
        if self.by_leader.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let body = json!({ "multi_last": [subject] });
        let batch = tokio::select! {
            batch = direct::batch(link, what, &self.resource.name, &body, u64::MAX) => batch,
            () = self.resource.missing(link, what, true) => Err(Trouble::NoDirect),
        };
        match batch {
            Ok(batch) if batch.complete => Ok(Some((batch.messages, false))),
            // Cut by the server's own bound of bytes.
            Ok(_) | Err(Trouble::TooMany) => Ok(None),
            Err(Trouble::NoDirect) => {
                let there = self.is_there_without_direct(link, what).await?;
                Ok(if there {
                    None
                } else {
                    Some((Vec::new(), false))
                })
            }
            Err(Trouble::Failed(error)) => Err(error),
        }
    }

    /// The last message of each subject by reading everything, at most [`MAX_LISTED`] messages.
    async fn latest_by_pages(&self, subject: &str) -> Result<(Vec<Stored>, bool), Error> {
        let mut latest: BTreeMap<String, Stored> = BTreeMap::new();
        let mut looked = 0;
        let mut from = Some(0);
        while let Some(after) = from.filter(|_| looked < MAX_LISTED) {
            let request = ReadRequest {
                subjects: vec![subject.to_owned()],
                limit: MAX_PAGE,
                from: From::After(after),
                scan: MAX_PAGE,
            };
            let page = read::page(&self.resource, &request, &mut |_| true).await?;
            looked += page.messages.len();
            for stored in page.messages {
                latest.insert(stored.subject.clone(), stored);
            }
            from = page.next;
        }
        Ok((latest.into_values().collect(), from.is_some()))
    }

    fn entry(&self, stored: Stored) -> Entry {
        Entry::read(&self.prefix, stored)
    }

    /// The subject of a key, or of a filter of keys.
    fn subject(&self, key: &str, filter: bool) -> Result<String, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.".contains(c);
        let good = if filter {
            key.chars().all(|c| plain(c) || matches!(c, '*' | '>'))
                && message::check_filter(key).is_ok()
        } else {
            key.chars().all(plain) && message::check_subject(key).is_ok()
        };
        if !good {
            return Err(Error::new(
                ErrorKind::InvalidKey,
                format!("{key:?} is not a usable key of the {}", self.resource.label),
            ));
        }
        Ok(format!("{}{key}", self.prefix))
    }
}

/// A life as NATS wants it: whole seconds, rounded up.
fn seconds(life: Duration) -> String {
    format!("{}s", life.as_millis().div_ceil(1000).max(1))
}
