//! How much is taken on: requests at once, and requests of one client in a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::spec::config::http::RateConfig;

/// The most clients whose requests are counted.
const MAX_CLIENTS: usize = 10_000;

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A user who has logged in.
    User(String),
    /// An address.
    Address(IpAddr),
}

/// Requests that are worked on now.
#[derive(Debug)]
pub struct InFlight {
    max: usize,
    permits: Arc<Semaphore>,
}

impl InFlight {
    /// At most so many.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            permits: Arc::new(Semaphore::new(max)),
        }
    }

    /// A place, until it is dropped; `None` when all are taken.
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// So many places at once, until they are dropped; `None` when there are not so many.
    pub fn take(&self, places: usize) -> Option<OwnedSemaphorePermit> {
        let places = u32::try_from(places).ok()?;
        let taken = Arc::clone(&self.permits).try_acquire_many_owned(places);
        taken.ok()
    }

    /// How many places are taken.
    pub fn count(&self) -> usize {
        self.max.saturating_sub(self.permits.available_permits())
    }

    /// Waits until no place is taken, at most `limit`.
    pub async fn drained(&self, limit: Duration) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(limit, self.permits.acquire_many(all)).await;
    }
}

/// How many requests each client has left: a bucket that fills evenly, for each.
#[derive(Debug)]
pub struct Rate {
    per_second: f64,
    burst: f64,
    clients: Mutex<HashMap<Key, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rate {
    /// As the config has it.
    pub fn new(config: RateConfig) -> Self {
        Self {
            per_second: config.per_second,
            burst: f64::from(config.burst),
            clients: Mutex::default(),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// How long to wait, when the client has made too many.
    pub fn take(&self, key: Key, now: Instant) -> Result<(), Duration> {
        // Plain values: a panic elsewhere cannot have left them half changed.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&key) {
            clients.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            if clients.len() >= MAX_CLIENTS {
                // Rather forget what was counted than refuse everybody who is new.
                clients.clear();
            }
        }
        let full = Bucket {
            left: self.burst,
            at: now,
        };
        let bucket = clients.entry(key).or_insert(full);
        let left = self.filled(bucket, now);
        if left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - left) / self.per_second));
        }
        *bucket = Bucket {
            left: left - 1.0,
            at: now,
        };
        Ok(())
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + passed * self.per_second).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_client_has_a_burst_and_then_its_rate() {
        let rate = Rate::new(RateConfig {
            per_second: 2.0,
            burst: 3,
        });
        let start = Instant::now();
        let ann = || Key::User("ann".into());
        for _ in 0..3 {
            rate.take(ann(), start).unwrap();
        }
        assert_eq!(rate.take(ann(), start), Err(Duration::from_millis(500)));
        rate.take(Key::Address([127, 0, 0, 1].into()), start)
            .unwrap();
        let later = start + Duration::from_millis(600);
        rate.take(ann(), later).unwrap();
        assert!(rate.take(ann(), later).is_err());
        let much_later = start + Duration::from_secs(60);
        for _ in 0..3 {
            rate.take(ann(), much_later).unwrap();
        }
        assert!(rate.take(ann(), much_later).is_err());
    }

    #[test]
    fn many_clients_take_bounded_memory() {
        let rate = Rate::new(RateConfig {
            per_second: 0.01,
            burst: 1,
        });
        let now = Instant::now();
        for index in 0..MAX_CLIENTS * 2 + 5 {
            rate.take(Key::User(index.to_string()), now).unwrap();
        }
        assert!(rate.clients.lock().unwrap().len() <= MAX_CLIENTS);
    }

    #[tokio::test]
    async fn places_come_back() {
        let places = InFlight::new(1);
        let place = places.enter().unwrap();
        assert!(places.enter().is_none());
        assert_eq!(places.count(), 1);
        drop(place);
        places.drained(Duration::from_secs(5)).await;
        assert_eq!(places.count(), 0);
        assert!(places.enter().is_some());
    }
}
