//! The keys of an issuer (a JSON Web Key Set), from a URL or a file, kept and fetched anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use tokio::sync::Mutex;

/// The shortest time between two fetches while there are keys.
const PAUSE: Duration = Duration::from_secs(30);
/// The same while there are none.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// After this time keys are fetched anew, while the old ones go on to be used.
const MAX_AGE: Duration = Duration::from_secs(600);
/// The longest time of a fetch.
const FETCH: Duration = Duration::from_secs(5);
/// The largest key set, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The most keys that a token without a key's name is tried with.
const MAX_TRIED: usize = 8;

/// What is known of a key.
pub enum Lookup {
    /// The keys that a token may be signed by.
    Found(Vec<DecodingKey>),
    /// There are keys, but not this one.
    Unknown,
    /// There are no keys, for this reason.
    Unavailable(String),
}

/// The keys of an issuer.
#[derive(Debug)]
pub struct Jwks {
    source: Source,
    keys: ArcSwapOption<Keys>,
    /// When the last fetch began. Whoever holds it fetches.
    fetch: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone)]
enum Source {
    Url(String),
    File(PathBuf),
}

#[derive(Debug)]
struct Keys {
    keys: Vec<Jwk>,
    at: Instant,
}

impl Jwks {
    /// Keys of a URL, which are fetched when they are needed, or of a file, which is read now.
    ///
    /// # Errors
    /// A file that cannot be read or holds no keys.
    pub fn new(place: &str, base: &Path) -> Result<Self, String> {
        let source = if place.contains("://") {
            Source::Url(place.to_owned())
        } else {
            Source::File(base.join(place))
        };
        let keys = ArcSwapOption::empty();
        if matches!(source, Source::File(_)) {
            let found = source.read().map_err(|error| format!("auth: {error}"))?;
            keys.store(Some(Arc::new(found)));
        }
        Ok(Self {
            source,
            keys,
            fetch: Mutex::new(None),
        })
    }

    /// The keys that a token with this header may be signed by. Keys are fetched for a name that is not known, but seldom:
    /// anybody can make names up.
    pub async fn find(self: &Arc<Self>, kid: Option<&str>, algorithm: Algorithm) -> Lookup {
        if let Some(keys) = self.keys.load_full() {
            let found = fitting(&keys.keys, kid, algorithm);
            if !found.is_empty() {
                if keys.at.elapsed() > MAX_AGE {
                    let jwks = Arc::clone(self);
                    tokio::spawn(async move { jwks.refresh_logged().await });
                }
                return Lookup::Found(found);
            }
        }
        let outcome = self.refresh().await;
        match (self.keys.load_full(), outcome) {
            (Some(keys), _) => match fitting(&keys.keys, kid, algorithm) {
                found if found.is_empty() => Lookup::Unknown,
                found => Lookup::Found(found),
            },
            (None, Err(reason)) => Lookup::Unavailable(reason),
            (None, Ok(())) => Lookup::Unavailable("they could not be fetched".to_owned()),
        }
    }

    /// Whether there are keys.
    pub fn is_there(&self) -> bool {
        self.keys.load().is_some()
    }

    async fn refresh_logged(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!("the keys for access tokens are not renewed: {error}");
        }
    }

    /// Fetches the keys, unless that was done just now. The old ones stay when it fails.
    ///
    /// # Errors
    /// Why there are no new ones.
    pub async fn refresh(&self) -> Result<(), String> {
        let mut last = self.fetch.lock().await;
        let pause = if self.keys.load().is_some() {
            PAUSE
        } else {
            FIRST_PAUSE
        };
        if last.is_some_and(|at| at.elapsed() < pause) {
            return Ok(());
        }
        *last = Some(Instant::now());
        let source = self.source.clone();
        let fetched = tokio::task::spawn_blocking(move || source.read()).await;
        let keys = fetched.map_err(|_| "fetching them failed".to_owned())??;
        self.keys.store(Some(Arc::new(keys)));
        Ok(())
    }
}

impl Source {
    fn read(&self) -> Result<Keys, String> {
        let (text, name) = match self {
            Self::Url(url) => (fetched(url), url.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| e.to_string());
                (text, path.display().to_string())
            }
        };
        let keys = text.and_then(|text| parsed(&text));
        let keys = keys.map_err(|error| format!("the key set {name}: {error}"))?;
        Ok(Keys {
            keys,
            at: Instant::now(),
        })
    }
}

fn fetched(url: &str) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(FETCH))
        .https_only(url.starts_with("https:"))
        .max_redirects(3)
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    let body = response.body_mut().with_config().limit(MAX_BYTES);
    body.read_to_string().map_err(|error| error.to_string())
}

/// The keys of a set that are of a kind known here; others may stand beside them.
fn parsed(text: &str) -> Result<Vec<Jwk>, String> {
    let set: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let keys = set.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or("it has no list `keys`")?;
    let known = keys.iter().filter_map(|key| {
        let key: Jwk = serde_json::from_value(key.clone()).ok()?;
        let encrypts = key.common.public_key_use == Some(PublicKeyUse::Encryption);
        (!encrypts).then_some(key)
    });
    let known: Vec<Jwk> = known.collect();
    if known.is_empty() {
        return Err("it has no key for signatures".to_owned());
    }
    Ok(known)
}

fn fitting(keys: &[Jwk], kid: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
    keys.iter()
        .filter(|key| kid.is_none() || key.common.key_id.as_deref() == kid)
        .filter(|key| is_for(key, algorithm))
        .filter_map(|key| DecodingKey::from_jwk(key).ok())
        .take(MAX_TRIED)
        .collect()
}

/// Whether a key makes signatures of this kind.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let named = key.common.key_algorithm.map(|named| named.to_string());
    if named.is_some_and(|named| named != format!("{algorithm:?}")) {
        return false;
    }
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(
            algorithm,
            Algorithm::RS256
                | Algorithm::RS384
                | Algorithm::RS512
                | Algorithm::PS256
                | Algorithm::PS384
                | Algorithm::PS512
        ),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => algorithm == Algorithm::ES256,
            EllipticCurve::P384 => algorithm == Algorithm::ES384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(_) => algorithm == Algorithm::EdDSA,
        AlgorithmParameters::OctetKey(_) => false,
    }
}
