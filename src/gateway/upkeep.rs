//! What a gateway does beside the calls: it prepares streams, sweeps queues, watches resources.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Gateway, announced};
use crate::bus;

/// How long the resources of before are watched beside those that have taken their place.
const RETIRE: Duration = Duration::from_secs(2);

impl Gateway {
    /// Makes the streams of the catalog whenever the connection comes up: at start, and after a server came back empty.
    /// So messages of other programs are kept before the first call. Ends with the gateway's connection.
    pub async fn keep_prepared(&self) {
        let mut states = self.nats.bus().watch();
        let mut engines = self.engines.subscribe();
        while states.wait_for(bus::State::is_connected).await.is_ok() {
            let engine = Arc::clone(&engines.borrow_and_update());
            engine.prepare().await;
            loop {
                tokio::select! {
                    // Looked at within: what it answers with must not be held while others wait.
                    lost = async { states.wait_for(|s| !s.is_connected()).await.is_ok() } => {
                        if lost {
                            break;
                        }
                        return;
                    },
                    Ok(()) = engines.changed() => {
                        // Mostly it was prepared before it was served.
                        let engine = Arc::clone(&engines.borrow_and_update());
                        if !engine.unready().is_empty() {
                            engine.prepare().await;
                        }
                    }
                }
            }
        }
    }

    /// Looks after the queues of the catalog while there is a connection: what died with its holder becomes a dead letter
    /// although nobody claims. Ends with the gateway's connection.
    pub async fn keep_swept(&self) {
        let mut states = self.nats.bus().watch();
        while states.wait_for(bus::State::is_connected).await.is_ok() {
            let mut engines = self.engines.subscribe();
            let pause = self.serving.load_full().engine.sweep().await;
            let _ = timeout(pause, engines.changed()).await;
        }
    }

    /// Watches the folders of resources and tells clients what has changed. Ends never.
    pub async fn keep_watched(self: &Arc<Self>) {
        let gateway = Arc::downgrade(self);
        let tell = move |change| {
            if let Some(gateway) = gateway.upgrade() {
                gateway.announce(change);
            }
        };
        let mut engines = self.engines.subscribe();
        let mut old = JoinSet::new();
        loop {
            engines.mark_unchanged();
            let resources = Arc::clone(&self.serving.load().resources);
            let (watched, bus, tell) = (
                Arc::clone(&resources),
                self.nats.bus().clone(),
                tell.clone(),
            );
            let mut now = JoinSet::new();
            now.spawn(async move { watched.watch(&bus, tell).await });
            // Those before go on for a while: what they are about to tell is not lost.
            resources.watched().await;
            tokio::time::sleep(RETIRE).await;
            drop(std::mem::replace(&mut old, now));
            if engines.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Tells clients what steps announce, here and in the project's other gateways. Ends never.
    pub async fn keep_announced(self: &Arc<Self>) {
        announced::keep(Arc::downgrade(self), self.engines.subscribe()).await;
    }
}
