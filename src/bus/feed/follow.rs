//! The task that follows a stream for all readers of a feed: over gaps, lost connections, replaced servers, and streams
//! that were made anew.

use super::Pace;
use super::consumer::{Consumer, Flow, HEARTBEAT, Said, passes};
use super::hub::Shared;
use crate::bus::api::{self, Info, code};
use crate::bus::connection::Bus;
use crate::bus::error::{Error, ErrorKind};
use crate::bus::events::State;
use crate::bus::link::Link;
use crate::bus::read::Stored;
use crate::bus::subscribe::Subscription;
use crate::bus::time::rfc3339_short;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Heartbeats that may be missing.
const SILENCE: u32 = 3;
/// First and longest pause after something failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often a stream is looked at again that changed, or that seems to have lost messages: a leader that has just been
/// chosen may not know the last ones yet.
const LOOKS: u32 = 5;
/// How long after the other.
const LAG: Duration = Duration::from_millis(100);

/// Follows one stream.
pub(super) struct Follower {
    shared: Arc<Shared>,
    what: String,
    /// The consumer that there is, or may be.
    consumer: Option<Consumer>,
    links: watch::Receiver<u64>,
    states: watch::Receiver<State>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            what: format!("following the {}", shared.resource.label),
            consumer: None,
            links: shared.resource.bus.links(),
            states: shared.resource.bus.watch(),
            shared,
        }
    }

    fn bus(&self) -> &Bus {
        &self.shared.resource.bus
    }

    /// Follows until the end, and leaves nothing on the server.
    pub(super) async fn run(mut self, end: CancellationToken) {
        tokio::select! {
            () = end.cancelled() => {}
            () = self.listen() => self.shared.change(|state| state.closed = true),
        }
        if self.bus().state().is_connected() && !self.bus().is_closed() {
            self.delete().await;
        }
    }

    async fn listen(&mut self) {
        match self.shared.pace {
            Pace::Stored => self.follow().await,
            Pace::Live => {
                let Some(subscription) = self.subscribe().await else {
                    return;
                };
                let shared = Arc::clone(&self.shared);
                tokio::join!(hear(&shared, subscription), self.follow());
            }
        }
    }

    /// Listens on core NATS; `None`: the bus was closed.
    async fn subscribe(&mut self) -> Option<Subscription> {
        let mut pause = PAUSE.0;
        let mut joint = self.shared.filters.joint();
        loop {
            let subjects = match &joint {
                Some(joint) => std::slice::from_ref(joint),
                None => self.shared.filters.subjects(),
            };
            let opened = self.bus().subscribe(subjects, Subscription::CAPACITY).await;
            match opened {
                Ok(subscription) => return Some(subscription),
                // This user may have just the subjects.
                Err(error) if joint.is_some() && error.kind() == ErrorKind::Permission => {
                    joint = None;
                }
                Err(error) => self.pause(error, &mut pause).await,
            }
            if self.bus().is_closed() {
                return None;
            }
        }
    }

    /// Until the bus is closed.
    async fn follow(&mut self) {
        let mut pause = PAUSE.0;
        while !self.bus().is_closed() {
            // What happens from now on ends what is opened now.
            self.links.mark_unchanged();
            self.states.mark_unchanged();
            match self.open().await {
                Ok(flow) => {
                    pause = PAUSE.0;
                    self.shared.opened();
                    let begin = Instant::now();
                    let why = self.drain(flow).await;
                    tracing::debug!(stream = %self.shared.resource.name, why, "a feed is opened again");
                    self.shared.lost();
                    // Whatever it is that ends it at once must not keep the server busy.
                    if begin.elapsed() < HEARTBEAT {
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(error) => self.pause(error, &mut pause).await,
            }
        }
    }

    /// Waits after an error, at most until the connection changes.
    async fn pause(&mut self, error: Error, pause: &mut Duration) {
        let told = self
            .shared
            .with(|state| state.trouble().map(|error| error.kind()));
        if !passes(error.kind()) && told != Some(error.kind()) {
            tracing::warn!(%error, "a feed cannot be followed; it is tried again");
        }
        self.shared.failed(error);
        tokio::select! {
            () = tokio::time::sleep(*pause) => *pause = (*pause * 2).min(PAUSE.1),
            _ = self.links.changed() => *pause = PAUSE.0,
            _ = self.states.changed() => *pause = PAUSE.0,
        }
    }

    /// Makes a consumer that goes on where the last one ended, on the stream that there is.
    async fn open(&mut self) -> Result<Flow, Error> {
        let mut link = self.shared.resource.ready(&self.what).await?;
        let mut info = self.info(&mut link).await?;
        self.shared.found(&info);
        for _ in 0..LOOKS {
            self.delete().await;
            let consumer = Consumer::new(&link, &self.shared.resource.name);
            self.consumer = Some(consumer.clone());
            let first = self.shared.with(|state| state.position) + 1;
            let made = consumer.make(&self.what, &self.shared.filters, first).await;
            // Whose consumer it is: a stream may have been made anew in between.
            info = self.info(&mut link).await?;
            let changed = self.shared.found(&info);
            match made {
                Ok(flow) if !changed => return Ok(flow),
                Err(failure) if failure.code() != code::STREAM_NOT_FOUND => {
                    return Err(failure.into_error(&self.what));
                }
                _ => {}
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!("{}: it is made anew again and again", self.what),
        ))
    }

    /// What the stream is. One that vanished is made again.
    async fn info(&self, link: &mut Arc<Link>) -> Result<Info, Error> {
        let resource = &self.shared.resource;
        let mut looks = 0;
        loop {
            looks += 1;
            let info = match api::info(link, &self.what, &resource.name).await {
                Err(failure) if failure.code() == code::STREAM_NOT_FOUND && looks <= LOOKS => {
                    *link = resource.again(&self.what).await?;
                    continue;
                }
                info => info.map_err(|failure| failure.into_error(&self.what))?,
            };
            let short = self.shared.with(|state| {
                let known = state.origin.as_ref();
                let same = known.is_some_and(|known| known.created == info.created);
                same && info.state.last_seq < state.position
            });
            if !short || looks >= LOOKS {
                return Ok(info);
            }
            tokio::time::sleep(LAG).await;
        }
    }

    /// Takes what comes, for as long as nothing is missing. Gives why it ended.
    async fn drain(&mut self, mut flow: Flow) -> &'static str {
        let mut ticks = tokio::time::interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silence = 0;
        loop {
            let said = tokio::select! {
                said = flow.next() => said,
                _ = self.states.changed() => return "the connection changed",
                _ = self.links.changed() => return "the servers were replaced",
                () = self.shared.doubt.notified() => return "the stream may be another one",
                _ = ticks.tick() => {
                    silence += 1;
                    if silence > SILENCE {
                        return "no heartbeat came";
                    }
                    continue;
                }
            };
            silence = 0;
            match said {
                Some(Said::Message { stored, pending }) => self.shared.store(stored, pending),
                Some(Said::Idle) => self.shared.rest(),
                Some(Said::Asks(subject)) => flow.answer(subject).await,
                Some(Said::Gap) => return "a message is missing",
                None => return "the client ended",
            }
        }
    }

    /// Deletes the consumer that there may be.
    async fn delete(&mut self) {
        let link = self.bus().current();
        if let Some(consumer) = self.consumer.take().filter(|old| old.is_of(&link)) {
            consumer.delete().await;
        }
    }
}

/// Takes what core NATS brings.
async fn hear(shared: &Shared, mut subscription: Subscription) {
    while let Some(message) = subscription.next().await {
        // The subscription may be wider than the feed.
        if !shared.filters.takes(&message.subject) {
            continue;
        }
        shared.hear(Stored {
            seq: 0,
            time: rfc3339_short(SystemTime::now()),
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
        });
    }
}
