//! What steps announce (the verb `announce`), told to clients: of this gateway, and of the project's other gateways by NATS.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Change, Gateway};
use crate::bus::{Message, Subscription};
use crate::engine::Engine;
use crate::engine::announced::{Announcement, subject};

/// How long after a subscription was refused it is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// The most addresses of resources of one announcement; of others it is taken that anything may have changed.
const MOST: usize = 100;

/// Tells what is announced, for as long as it is polled.
pub(super) async fn keep(gateway: Weak<Gateway>, mut engines: watch::Receiver<Arc<Engine>>) {
    let engine = Arc::clone(&engines.borrow_and_update());
    let (mut own, id) = (engine.announcements(), engine.gateway_id());
    drop(engine);
    let here = async {
        loop {
            match own.recv().await {
                Ok(announcement) => tell(&gateway, announcement).await,
                // Steps announce faster than it can be told: what is told next says enough of lists.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    };
    let elsewhere = async {
        loop {
            let engine = Arc::clone(&engines.borrow_and_update());
            tokio::select! {
                () = hear(&gateway, &engine, &id) => {}
                changed = engines.changed() => if changed.is_err() { return },
            }
        }
    };
    tokio::join!(here, elsewhere);
    std::future::pending().await
}

/// Hears what other gateways announce, if this one's packs announce anything themselves.
async fn hear(gateway: &Weak<Gateway>, engine: &Engine, id: &str) {
    let Some(subject) = subject(engine.catalog()) else {
        return std::future::pending().await;
    };
    let (subjects, mut complained) = ([subject], false);
    loop {
        let heard = engine.bus().subscribe(&subjects, Subscription::CAPACITY);
        match heard.await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    if let Some(announcement) = read(&message).filter(|it| it.from != id) {
                        tell(gateway, announcement).await;
                    }
                }
            }
            Err(error) if !std::mem::replace(&mut complained, true) => {
                tracing::warn!(subject = %subjects[0], %error, "what other gateways announce is not heard yet");
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

fn read(message: &Message) -> Option<Announcement> {
    let read: Announcement = serde_json::from_slice(&message.payload).ok()?;
    (read.updated.len() <= MOST).then_some(read)
}

async fn tell(gateway: &Weak<Gateway>, announcement: Announcement) {
    let Some(gateway) = gateway.upgrade() else {
        return;
    };
    for (said, change) in [
        (announcement.tools, Change::Tools),
        (announcement.prompts, Change::Prompts),
        (announcement.resources, Change::Resources),
    ] {
        if said {
            gateway.announce(change);
        }
    }
    let resources = gateway.resources().await;
    for uri in announcement.updated {
        let known = resources.canonical(None, &uri);
        gateway.announce(Change::Updated(known.unwrap_or(uri)));
    }
}
