//! On which subjects somebody listens, as far as is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::bus::{Bus, ErrorKind};
use crate::engine::failure::{Failure, FailureKind};

/// The most subjects that are remembered.
const MOST: usize = 10_000;

/// What is known of subjects.
#[derive(Debug, Default)]
pub(in crate::engine) struct Served {
    /// When somebody was found on a subject.
    found: Mutex<HashMap<String, Instant>>,
    /// Held by whoever asks: the others will know then.
    asking: tokio::sync::Mutex<()>,
}

impl Served {
    /// Finds out whether somebody listens on one of these subjects; that is remembered for `every`, also when whoever asks
    /// waits no more.
    ///
    /// # Errors
    /// Nobody does ([`ErrorKind::NoResponders`]), or the connection was lost.
    pub(in crate::engine) async fn check(
        self: &Arc<Self>,
        bus: &Bus,
        subjects: Vec<String>,
        every: Duration,
    ) -> Result<(), Failure> {
        if subjects.is_empty() || self.is_known(&subjects, every) {
            return Ok(());
        }
        let (this, bus) = (Arc::clone(self), bus.clone());
        let asking = tokio::spawn(async move { this.ask(&bus, &subjects, every).await });
        // It ends without an outcome only with the program.
        asking.await.unwrap_or(Ok(()))
    }

    async fn ask(&self, bus: &Bus, subjects: &[String], every: Duration) -> Result<(), Failure> {
        let _turn = self.asking.lock().await;
        if self.is_known(subjects, every) {
            return Ok(());
        }
        let heard = match bus.listened(subjects).await {
            Ok(heard) => heard,
            Err(error) if error.kind() == ErrorKind::Permission => {
                tracing::debug!(%error, "whether somebody listens is not known");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let served = subjects.iter().zip(heard).filter(|(_, heard)| *heard);
        if self.remember(served.map(|(subject, _)| subject)) {
            return Ok(());
        }
        let text = format!(
            "nobody listens on {} (start the service that answers on one of these subjects)",
            subjects.join(", ")
        );
        Err(Failure::new(
            FailureKind::Bus(ErrorKind::NoResponders),
            text,
        ))
    }

    fn is_known(&self, subjects: &[String], every: Duration) -> bool {
        let found = self.found();
        let mut known = subjects.iter().filter_map(|subject| found.get(subject));
        known.any(|at| at.elapsed() < every)
    }

    /// Remembers subjects; whether there is any.
    fn remember<'a>(&self, subjects: impl Iterator<Item = &'a String>) -> bool {
        let mut found = self.found();
        let mut any = false;
        for subject in subjects {
            any = true;
            if found.len() >= MOST && !found.contains_key(subject) {
                // They are asked again.
                found.clear();
            }
            found.insert(subject.clone(), Instant::now());
        }
        any
    }

    // A panic while the lock is held leaves the map whole: every change is one insert or clear.
    fn found(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_forgotten_in_time_and_bounded() {
        let served = Served::default();
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let every = Duration::from_secs(10);
        assert!(!served.remember(std::iter::empty()));
        assert!(served.remember([&a].into_iter()));
        assert!(served.is_known(&[b.clone(), a.clone()], every));
        assert!(!served.is_known(&[b], every));
        tokio::time::advance(every).await;
        assert!(!served.is_known(&[a], every));
        for n in 0..3 * MOST {
            served.remember([&n.to_string()].into_iter());
        }
        assert!(served.found().len() <= MOST);
    }
}
