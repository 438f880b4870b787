//! What is done for sessions beside their requests: idle ones leave memory, what has changed is written, and other gateways
//! get what they ask for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::live::Live;
use super::registry::Sessions;
use crate::bus::{Outgoing, Subscription};

/// Sessions that are parked or written at the same time.
const AT_ONCE: usize = 32;
/// How long after a refused subscription it is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Looks after sessions until they are dropped or told to stop.
pub(super) async fn sweep(sessions: Weak<Sessions>, period: Duration) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(sessions) = sessions.upgrade() else {
            return;
        };
        if sessions.stop.is_cancelled() {
            return;
        }
        let all = stream::iter(sessions.all());
        all.for_each_concurrent(AT_ONCE, |live| {
            let sessions = Arc::clone(&sessions);
            async move { sessions.look_after(&live).await }
        })
        .await;
    }
}

/// Lets sessions go that other gateways ask for.
pub(super) async fn release(sessions: Weak<Sessions>) {
    let mut told = false;
    loop {
        let opened = {
            let Some(sessions) = sessions.upgrade() else {
                return;
            };
            let subjects = [sessions.store.releases()];
            let bus = sessions.gateway.nats().bus().clone();
            bus.subscribe(&subjects, Subscription::CAPACITY).await
        };
        match opened {
            Ok(mut requests) => {
                while let Some(request) = requests.next().await {
                    let Some(sessions) = sessions.upgrade() else {
                        return;
                    };
                    // One that takes its time does not hold the others up.
                    tokio::spawn(async move { answer(&sessions, request).await });
                }
                return;
            }
            Err(error) if !std::mem::replace(&mut told, true) => {
                tracing::warn!(%error, "other gateways cannot ask this one for sessions yet, and take them over as they are stored");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn answer(sessions: &Sessions, request: crate::bus::Message) {
    let key = std::str::from_utf8(&request.payload).ok();
    if let Some(key) = key.and_then(|text| Uuid::try_parse(text).ok()) {
        sessions.release(key).await;
    }
    if let Some(to) = request.reply {
        let bus = sessions.gateway.nats().bus();
        if let Err(error) = bus.publish(Outgoing::new(to, "")).await {
            tracing::debug!(%error, "another gateway is not told that it can have a session");
        }
    }
}

impl Sessions {
    async fn look_after(&self, live: &Arc<Live>) {
        let options = &self.options;
        let patience = if live.session.is_bound() {
            options.idle
        } else {
            options.unbound
        };
        if live.idle().is_some_and(|idle| idle >= patience) {
            self.park(live, patience).await;
        } else if self.is_due(live).await {
            self.write(live).await;
        }
    }

    /// Whether a session that is in use should be written.
    async fn is_due(&self, live: &Live) -> bool {
        if live.is_changed() {
            return true;
        }
        let stored = live.stored.lock().await;
        if has_moved(live, &stored.state) {
            return true;
        }
        let Some(written) = stored.written else {
            return true;
        };
        let age = written.elapsed();
        // Without a request it is still here while a stream is open, and must not expire.
        let used = live.last_used() > written && age >= self.options.idle / 4;
        used || age >= self.options.expire / 4
    }

    /// Writes a session if its client has seen more than is stored.
    pub(super) async fn keep_seen(&self, live: &Arc<Live>) {
        let moved = has_moved(live, &live.stored.lock().await.state);
        if moved && !live.gone.is_cancelled() {
            self.write(live).await;
        }
    }
}

/// Whether the client has seen more than is stored.
fn has_moved(live: &Live, state: &serde_json::Value) -> bool {
    let seen = live.session.seen().positions;
    let stored = state.get("seen").and_then(|seen| seen.as_object());
    let known = |listener: &str| stored.and_then(|s| s.get(listener)?.as_u64());
    seen.iter()
        .any(|(listener, seq)| known(listener) != Some(*seq))
}
