//! Looking after the queues in the background: what died with its holder becomes a dead letter although nobody claims, and what
//! was interrupted is finished.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::Engine;
use super::failure::Failure;
use super::resources::Queue;

/// The least and the most time between two looks at one queue.
const PACE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The most time that one look may take.
const LIMIT: Duration = Duration::from_secs(30);

/// When each queue is due, and whether the last look at it failed.
#[derive(Default)]
pub(super) struct Sweeps(Mutex<HashMap<(usize, String), Sweep>>);

#[derive(Clone, Copy)]
struct Sweep {
    due: Instant,
    failed: bool,
}

impl Engine {
    /// Looks after every queue that is due, and tells how long to wait before the next time: at least 1 s and at most 30 s.
    /// A failure is logged once, until it works again.
    pub async fn sweep(&self) -> Duration {
        for queue in self.resources.queues() {
            let before = self.sweeps.get(queue);
            if before.is_some_and(|sweep| sweep.due > Instant::now()) {
                continue;
            }
            let failed = self
                .sweep_one(queue, before.is_some_and(|s| s.failed))
                .await;
            let due = Instant::now() + spread(queue.lease / 2);
            self.sweeps.set(queue, Sweep { due, failed });
        }
        self.sweeps.pause()
    }

    /// Answers whether it failed.
    async fn sweep_one(&self, queue: &Queue, failed_before: bool) -> bool {
        let name = &queue.name;
        // It runs beside the session, and must not end it.
        let work = async {
            let swept = queue.handle.sweep().await?;
            let late = queue.expire(&self.resources, &self.catalog).await?;
            Ok::<_, Failure>((swept, late))
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        let error = match tokio::time::timeout(LIMIT, work).await {
            Ok(Ok(Ok((swept, late)))) => {
                tracing::debug!(queue = %name, ?swept, late, "queue looked after");
                return false;
            }
            Ok(Ok(Err(error))) => error.to_string(),
            // The panic hook has logged where it happened.
            Ok(Err(_)) => "a fault in the gateway".to_owned(),
            Err(_) => format!("it takes longer than {LIMIT:?}"),
        };
        if failed_before {
            tracing::debug!(queue = %name, %error, "the queue cannot be looked after");
        } else {
            tracing::warn!(queue = %name, %error, "the queue cannot be looked after; it is tried again");
        }
        true
    }
}

impl Sweeps {
    fn get(&self, queue: &Queue) -> Option<Sweep> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&queue.key()).copied()
    }

    fn set(&self, queue: &Queue, sweep: Sweep) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(queue.key(), sweep);
    }

    fn pause(&self) -> Duration {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = all.values().map(|sweep| sweep.due).min();
        next.map_or(PACE.1, |due| due.saturating_duration_since(Instant::now()))
            .clamp(PACE.0, PACE.1)
    }
}

/// The pace of a queue, up to a fifth shorter at random: gateways that started together must not all look at once.
fn spread(wanted: Duration) -> Duration {
    let whole = wanted.clamp(PACE.0, PACE.1);
    let random = RandomState::new().hash_one(Instant::now()) % 1_000;
    whole.saturating_sub(whole / 5 * u32::try_from(random).unwrap_or_default() / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_bounded_and_spread() {
        for (lease, least, most) in [
            (0, 800, 1_000),
            (10, 8_000, 10_000),
            (9_999, 24_000, 30_000),
        ] {
            let pace = spread(Duration::from_secs(lease)).as_millis();
            assert!((least..=most).contains(&pace), "{lease}: {pace}");
        }
    }
}
