//! Sealing what a client keeps for a while and brings back: nobody but the gateways of one NATS can read or change it, it is good
//! for what it was made for alone, and it expires. PASETO v4.local; the keys stand in a bucket, so that every replica opens what
//! another one has sealed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pasetors::Local;
use pasetors::keys::SymmetricKey;
use pasetors::token::UntrustedToken;
use pasetors::version4::{LocalToken, V4};
use serde::{Deserialize, Serialize};

use super::clock::{millis, now};
use super::full;
use crate::bus::permits::{OnBucket, Permits};
use crate::bus::{self, Bucket, BucketSpec, Bus, ErrorKind};

/// The bucket of keys.
const BUCKET: &str = "jacquard-keys";
/// The key in it that has ours.
const KEY: &str = "request-state";
/// For how long a key seals; after that a new one does.
const SEALS: Duration = Duration::from_secs(24 * 3600);
/// The longest time for which something may be sealed. A key is kept that long after it has sealed for the last time.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// How often the keys are read and written again where others change them at the same time.
const ATTEMPTS: usize = 4;
/// Bytes of a key, as PASETO has them.
const KEY_BYTES: usize = 32;

/// Why something is not sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It was changed, belongs to something else, or was sealed under a key that is gone.
    #[error("it was changed, or was not made for this")]
    Tampered,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// The keys cannot be had.
    #[error("the keys that it is sealed with cannot be read: {}", full(.0))]
    Unavailable(#[source] bus::Error),
    /// The system has no random numbers, or the library refuses.
    #[error("it cannot be sealed: {0}")]
    Failed(String),
}

/// One key, as it is stored.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    id: String,
    key: String,
    /// When it was made, in milliseconds since 1970.
    made: u64,
}

/// The keys of all gateways, the newest last.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Ring {
    keys: Vec<Stored>,
}

impl Ring {
    /// The key that seals now.
    fn newest(&self) -> Option<&Stored> {
        let newest = self.keys.last()?;
        (now().saturating_sub(newest.made) < millis(SEALS)).then_some(newest)
    }

    fn key(&self, id: &str) -> Option<&Stored> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The same with a new key, and without those that nothing is sealed with any more.
    fn renewed(&self) -> Result<Self, SealError> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|error| SealError::Failed(error.to_string()))?;
        let oldest = now().saturating_sub(millis(SEALS + MAX_TTL));
        let kept = self.keys.iter().filter(|key| key.made > oldest);
        let new = Stored {
            id: uuid::Uuid::new_v4().simple().to_string(),
            key: URL_SAFE_NO_PAD.encode(key),
            made: now(),
        };
        Ok(Self {
            keys: kept.cloned().chain([new]).collect(),
        })
    }
}

impl Stored {
    fn symmetric(&self) -> Result<SymmetricKey<V4>, SealError> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.key).unwrap_or_default();
        SymmetricKey::from(&bytes).map_err(|_| SealError::Failed(format!("key {}", self.id)))
    }
}

/// Seals and opens. The keys are read once, and again when one is not known or too old.
pub struct Seal {
    bucket: Bucket,
    known: Mutex<Arc<Ring>>,
}

impl Seal {
    /// With the keys on this NATS; reads nothing yet.
    pub fn new(bus: &Bus) -> Self {
        let spec = BucketSpec {
            name: BUCKET.to_owned(),
            description: Some("Keys that seal what clients keep for gateways".to_owned()),
            ..BucketSpec::default()
        };
        Self {
            bucket: bus.bucket(spec),
            known: Mutex::default(),
        }
    }

    /// Seals a text for what `bound` says, for at most [`MAX_TTL`].
    ///
    /// # Errors
    /// [`SealError::Unavailable`] without NATS, unless the key is known; [`SealError::Failed`].
    pub async fn seal(
        &self,
        payload: &str,
        bound: &[u8],
        ttl: Duration,
    ) -> Result<String, SealError> {
        let known = self.known().clone();
        let ring = match known.newest() {
            Some(_) => known,
            None => self.renew().await?,
        };
        let Some(newest) = ring.newest() else {
            return Err(SealError::Failed("there is no key".to_owned()));
        };
        let expires = now().saturating_add(millis(ttl.min(MAX_TTL)));
        let message = format!("{expires} {payload}");
        let footer = Some(newest.id.as_bytes());
        LocalToken::encrypt(
            &newest.symmetric()?,
            message.as_bytes(),
            footer,
            Some(bound),
        )
        .map_err(|error| SealError::Failed(error.to_string()))
    }

    /// Opens what [`Seal::seal`] has made, here or in another gateway, for the same `bound`.
    ///
    /// # Errors
    /// [`SealError::Tampered`], [`SealError::Expired`], [`SealError::Unavailable`].
    pub async fn open(&self, sealed: &str, bound: &[u8]) -> Result<String, SealError> {
        let token = UntrustedToken::<Local, V4>::try_from(sealed);
        let token = token.map_err(|_| SealError::Tampered)?;
        let id = std::str::from_utf8(token.untrusted_footer()).map_err(|_| SealError::Tampered)?;
        let known = self.known().clone();
        let ring = match known.key(id) {
            Some(_) => known,
            None => self.read().await?.0,
        };
        let key = ring.key(id).ok_or(SealError::Tampered)?.symmetric()?;
        let opened = LocalToken::decrypt(&key, &token, Some(id.as_bytes()), Some(bound));
        let opened = opened.map_err(|_| SealError::Tampered)?;
        let (expires, payload) = opened
            .payload()
            .split_once(' ')
            .ok_or(SealError::Tampered)?;
        match expires.parse::<u64>() {
            Ok(expires) if now() < expires => Ok(payload.to_owned()),
            Ok(_) => Err(SealError::Expired),
            Err(_) => Err(SealError::Tampered),
        }
    }

    // A panic while the lock is held leaves the keys whole: every change is one assignment.
    fn known(&self) -> MutexGuard<'_, Arc<Ring>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as they are stored, and their revision.
    async fn read(&self) -> Result<(Arc<Ring>, Option<u64>), SealError> {
        let entry = self.bucket.get(KEY).await;
        let Some(entry) = entry.map_err(SealError::Unavailable)? else {
            return Ok((Arc::default(), None));
        };
        // Keys that are not understood are replaced.
        let ring: Arc<Ring> = Arc::new(serde_json::from_slice(&entry.value).unwrap_or_default());
        *self.known() = Arc::clone(&ring);
        Ok((ring, Some(entry.revision)))
    }

    /// The keys with one that seals now, which is added where there is none.
    async fn renew(&self) -> Result<Arc<Ring>, SealError> {
        for _ in 0..ATTEMPTS {
            let (ring, revision) = self.read().await?;
            if ring.newest().is_some() {
                return Ok(ring);
            }
            let ring = ring.renewed()?;
            let text = serde_json::to_vec(&ring);
            let text = text.map_err(|error| SealError::Failed(error.to_string()))?;
            let written = match revision {
                Some(revision) => self.bucket.update(KEY, text, revision).await,
                None => self.bucket.create(KEY, text, None).await,
            };
            match written {
                Ok(_) => {
                    let ring = Arc::new(ring);
                    *self.known() = Arc::clone(&ring);
                    return Ok(ring);
                }
                // Another gateway has made one.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
                Err(error) => return Err(SealError::Unavailable(error)),
            }
        }
        Err(SealError::Failed(
            "the keys are changed by several gateways at once".to_owned(),
        ))
    }
}

/// What sealing needs of NATS.
pub(super) fn permits(permits: &mut Permits) {
    let why = "what clients keep between the rounds of a call";
    for used in [OnBucket::Ensure, OnBucket::Get(KEY), OnBucket::Put(KEY)] {
        permits.bucket(why, BUCKET, used);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_take_turns_and_go_when_nothing_needs_them() {
        let ring = Ring::default().renewed().unwrap();
        let first = ring.newest().unwrap().id.clone();
        let aged = |ring: &Ring, by: Duration| {
            let mut ring = ring.clone();
            for key in &mut ring.keys {
                key.made -= millis(by);
            }
            ring
        };
        let ring = aged(&ring, SEALS);
        assert!(ring.newest().is_none(), "too old to seal with");
        let ring = ring.renewed().unwrap();
        let second = ring.newest().unwrap().id.clone();
        assert!(ring.key(&first).is_some() && first != second);
        let ring = aged(&ring, MAX_TTL).renewed().unwrap();
        assert!(ring.key(&first).is_none(), "nothing of it is open any more");
        assert!(ring.key(&second).is_some());
        assert!(ring.keys.iter().all(|key| key.symmetric().is_ok()));
    }
}
