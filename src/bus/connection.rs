//! The connection: made in the background, kept for ever, and honest about its state.

use super::bucket::Bucket;
use super::bucket_spec::BucketSpec;
use super::config::{BusConfig, Target};
use super::error::{Error, ErrorKind};
use super::events::{Health, State};
use super::link::{Link, ServerInfo, unsupported};
use super::message::{Message, Outgoing, check_subject};
use super::stream::{Stream, StreamSpec};
use arc_swap::ArcSwap;
use async_nats::Event;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// How long a call waits for a first attempt that is still going on. One that has failed is not waited for.
const GRACE: Duration = Duration::from_secs(1);
/// Limit of one attempt to connect (TCP, TLS, INFO).
const ATTEMPT: Duration = Duration::from_secs(2);
/// First and longest delay between two attempts.
const DELAY: (u64, u64) = (100, 400);

/// The connection to NATS. Cheap to clone; all clones share one connection.
///
/// A call made while there is no connection fails at once with [`ErrorKind::Disconnected`]
/// ([`ErrorKind::Unauthorized`] when the server refuses the credentials).
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    health: Arc<Health>,
    link: ArcSwap<Link>,
    /// What [`Bus::replace_servers`] builds on; the lock makes replacements one at a time.
    config: Mutex<BusConfig>,
    closed: AtomicBool,
    /// Counts replacements of the link, and the end.
    links: watch::Sender<u64>,
}

impl Inner {
    fn relinked(&self) {
        self.links
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus")
            .field("servers", &self.0.link.load().shown)
            .field("state", &self.state())
            .finish()
    }
}

impl Bus {
    /// Starts to connect and returns at once, also when no server answers.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] when the configuration can never work: a bad address, seed,
    /// creds or TLS file, contradicting settings.
    pub async fn connect(config: BusConfig) -> Result<Self, Error> {
        Self::open(config, true).await
    }

    /// The same, but connects to nothing until [`Bus::replace_servers`] names the servers: for a server that is still
    /// being started.
    ///
    /// # Errors
    /// As [`Bus::connect`].
    pub async fn idle(config: BusConfig) -> Result<Self, Error> {
        Self::open(config, false).await
    }

    async fn open(config: BusConfig, active: bool) -> Result<Self, Error> {
        let health = Arc::new(Health::new(&config.inbox_prefix));
        // A client that counts as replaced from the beginning makes no attempt.
        let retired = Arc::new(AtomicBool::new(!active));
        let link = open(config.target().await?, &health, config.limit(), retired).await?;
        Ok(Self(Arc::new(Inner {
            health,
            link: ArcSwap::from(link),
            config: Mutex::new(config),
            closed: AtomicBool::new(false),
            links: watch::channel(0).0,
        })))
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.0.health.state()
    }

    /// Follows the state.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.health.watch()
    }

    /// Waits until connected, at most `limit`.
    ///
    /// # Errors
    /// Why there is no connection, when the limit is reached.
    pub async fn wait_connected(&self, limit: Duration) -> Result<(), Error> {
        let mut states = self.watch();
        let connected = states.wait_for(State::is_connected);
        match tokio::time::timeout(limit, connected).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.down("connecting to NATS")),
        }
    }

    /// The server last connected to; `None` before the first connection.
    pub fn server(&self) -> Option<ServerInfo> {
        self.0.link.load().info()
    }

    /// The addresses, without credentials.
    pub fn servers(&self) -> String {
        self.0.link.load().shown.clone()
    }

    /// Limit of one request.
    pub fn request_timeout(&self) -> Duration {
        self.0.link.load().limit
    }

    /// Connects to other servers from now on, for example when the managed local server came back
    /// on another port. Credentials in the new addresses count. Calls in flight on the old
    /// connection end by their own limits.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`]; the old servers stay in use then.
    pub async fn replace_servers(&self, servers: Vec<String>) -> Result<(), Error> {
        let mut config = self.0.config.lock().await;
        let old = self.0.link.load_full();
        let idle = old.retired.load(Ordering::Relaxed);
        if (config.servers == servers && !idle) || self.0.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let new = BusConfig {
            servers,
            ..config.clone()
        };
        // A new client, because async_nats takes no new server into the pool while it is down.
        let target = new.target().await?;
        if !old.retired.swap(true, Ordering::Relaxed) {
            self.0
                .health
                .down("the servers were replaced", false, &target.shown);
        }
        match open(target, &self.0.health, new.limit(), Arc::default()).await {
            Ok(link) => {
                self.0.link.store(link);
                self.0.relinked();
                *config = new;
                Ok(())
            }
            Err(error) => {
                old.retired.store(idle, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Publishes on core NATS. `Ok` means that the server has handled the message.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`], [`ErrorKind::Timeout`], [`ErrorKind::Permission`],
    /// [`ErrorKind::TooLarge`], [`ErrorKind::InvalidSubject`], [`ErrorKind::InvalidHeader`].
    pub async fn publish(&self, msg: Outgoing) -> Result<(), Error> {
        check_subject(&msg.subject)?;
        let what = format!("publishing to {}", msg.subject);
        self.link(&what).await?.publish(&what, msg).await
    }

    /// Sends a request on core NATS and waits for the first answer, at most `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::NoResponders`] at once when nobody listens, [`ErrorKind::Timeout`], and those
    /// of [`Bus::publish`].
    pub async fn request(&self, msg: Outgoing, timeout: Duration) -> Result<Message, Error> {
        check_subject(&msg.subject)?;
        let what = format!("asking {}", msg.subject);
        let link = self.link(&what).await?;
        let headers = super::message::headers(&msg.headers, &[])?;
        link.request(&what, &msg.subject, headers, msg.payload, timeout)
            .await
            .map(Message::from)
    }

    /// A handle on a stream. No I/O; make it once and keep it: it remembers what was ensured.
    pub fn stream(&self, spec: StreamSpec) -> Stream {
        Stream::new(self.clone(), spec)
    }

    /// A handle on a key-value bucket. No I/O; make it once and keep it.
    pub fn bucket(&self, spec: BucketSpec) -> Bucket {
        Bucket::new(self.clone(), spec)
    }

    /// Sends what is still queued and closes the connection, within `limit`. Calls fail with
    /// [`ErrorKind::Closed`] from now on.
    pub async fn close(&self, limit: Duration) {
        self.0.closed.store(true, Ordering::Relaxed);
        let link = self.0.link.load_full();
        if !self.0.health.is_connected() {
            // Ends the attempts to connect.
            link.retired.store(true, Ordering::Relaxed);
            self.0.relinked();
            return;
        }
        let drained = async {
            link.client.flush().await.ok();
            link.client.drain().await.ok();
            let mut states = self.watch();
            states.wait_for(|state| !state.is_connected()).await.ok();
        };
        if tokio::time::timeout(limit, drained).await.is_err() {
            tracing::warn!(
                ?limit,
                "NATS did not take everything before the limit of closing"
            );
        }
        self.0.relinked();
    }

    /// Changes when the link is replaced, and when the bus is closed.
    pub(super) fn links(&self) -> watch::Receiver<u64> {
        self.0.links.subscribe()
    }

    /// The link, connected or not.
    pub(super) fn current(&self) -> Arc<Link> {
        self.0.link.load_full()
    }

    /// Another one for every connection: what the server said on an earlier one may no longer hold.
    pub fn epoch(&self) -> (u64, u64) {
        let links = *self.0.links.borrow();
        let statistics = self.current().client.statistics();
        (links, statistics.connects.load(Ordering::Relaxed))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// The link, when connected.
    pub(super) async fn link(&self, what: &str) -> Result<Arc<Link>, Error> {
        if self.is_closed() {
            return Err(Error::new(
                ErrorKind::Closed,
                format!("{what}: the connection is closed"),
            ));
        }
        let link = self.0.link.load_full();
        if self.0.health.is_connected() && link.is_up() {
            return Ok(link);
        }
        self.settle(&link).await;
        if self.0.health.is_connected() {
            return Ok(self.0.link.load_full());
        }
        Err(self.down(what))
    }

    /// The link, when connected to a server that has what streams and buckets need.
    pub(super) async fn jetstream(&self, what: &str) -> Result<Arc<Link>, Error> {
        let link = self.link(what).await?;
        match link.lacks() {
            None => Ok(link),
            Some(lacks) => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{what}: {lacks}"),
            )),
        }
    }

    /// Waits for a first attempt that is under way, and repairs the state should an event have been lost.
    async fn settle(&self, link: &Link) {
        if link.is_up() {
            link.came_up().await;
        } else if self.0.health.is_connected() && !link.retired.load(Ordering::Relaxed) {
            self.0.health.event(Event::Disconnected, &link.shown);
        } else if self.state() == State::Connecting {
            let mut states = self.watch();
            let settled = states.wait_for(|state| *state != State::Connecting);
            tokio::time::timeout(GRACE, settled).await.ok();
        }
    }

    fn down(&self, what: &str) -> Error {
        let servers = self.servers();
        match self.state() {
            State::Disconnected {
                reason,
                refused: true,
                ..
            } => Error::new(
                ErrorKind::Unauthorized,
                format!("{what}: {reason} ({servers})"),
            ),
            State::Disconnected { reason, since, .. } => Error::new(
                ErrorKind::Disconnected,
                format!(
                    "{what}: no connection to {servers} for {:.1?}: {reason}",
                    since.elapsed()
                ),
            ),
            _ => Error::new(
                ErrorKind::Disconnected,
                format!("{what}: not yet connected to {servers}"),
            ),
        }
    }
}

impl Link {
    fn is_up(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Called when the client is connected: reads the facts about the server, then says so.
    async fn came_up(&self) {
        // `async_nats` says "connected" a moment before it stores the server's INFO. A flush passes
        // through the same task after that.
        tokio::time::timeout(self.limit, self.client.flush())
            .await
            .ok();
        if self.retired.load(Ordering::Relaxed) || !self.is_up() {
            return;
        }
        if self.health.is_connected() {
            return;
        }
        if let Some(info) = self.client.try_server_info() {
            let lacks = unsupported(&info);
            match &lacks {
                None => {
                    tracing::info!(server = %info.server_name, version = %info.version, "connected to NATS")
                }
                Some(lacks) => {
                    tracing::warn!(server = %info.server_name, version = %info.version, "connected to NATS, but {lacks}: streams and buckets cannot be used")
                }
            }
            self.set_lacks(lacks);
        }
        self.health.connected();
    }
}

/// Starts a client in the background.
async fn open(
    target: Target,
    health: &Arc<Health>,
    limit: Duration,
    retired: Arc<AtomicBool>,
) -> Result<Arc<Link>, Error> {
    let Target {
        addresses,
        options,
        shown,
    } = target;
    // Weak: the callback lives as long as the client, and must not keep it alive.
    let slot: Arc<OnceLock<Weak<Link>>> = Arc::default();
    let options = options
        .retry_on_initial_connect()
        .connection_timeout(ATTEMPT)
        .request_timeout(Some(limit))
        .reconnect_delay_callback(delays(addresses.len()))
        .event_callback(on_event(health, &retired, &slot, &shown))
        .reconnect_to_server_callback(on_attempt(health, &retired, &shown));
    let client = options.connect(addresses).await.map_err(|error| {
        Error::new(ErrorKind::InvalidConfig, format!("connecting to {shown}")).caused_by(error)
    })?;
    let link = Arc::new(Link::new(client, health.clone(), retired, shown, limit));
    slot.set(Arc::downgrade(&link)).ok();
    Ok(link)
}

type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + Sync>>;

fn on_event(
    health: &Arc<Health>,
    retired: &Arc<AtomicBool>,
    slot: &Arc<OnceLock<Weak<Link>>>,
    shown: &str,
) -> impl Fn(Event) -> BoxFuture<()> + Send + Sync + 'static {
    let (health, retired, slot) = (health.clone(), retired.clone(), slot.clone());
    let shown: Arc<str> = shown.into();
    move |event| {
        if retired.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(()));
        }
        let link = slot.get().and_then(Weak::upgrade);
        match (event, link) {
            (Event::Connected, _) => {
                tokio::spawn(greet(slot.clone()));
            }
            // Old news of an attempt before the one that succeeded.
            (Event::ClientError(_), Some(link)) if link.is_up() => {}
            (event, _) => health.event(event, &shown),
        }
        Box::pin(std::future::ready(()))
    }
}

/// Tells the link that it is connected. The event can come before `open` has made the link.
async fn greet(slot: Arc<OnceLock<Weak<Link>>>) {
    for _ in 0..100 {
        if let Some(link) = slot.get() {
            if let Some(link) = link.upgrade() {
                link.came_up().await;
            }
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Called by `async_nats` before each attempt. It is used to learn why the last one failed, and
/// to stop a retired client, which would go on for ever.
fn on_attempt(
    health: &Arc<Health>,
    retired: &Arc<AtomicBool>,
    shown: &str,
) -> impl Fn(
    Vec<async_nats::Server>,
    async_nats::ServerInfo,
) -> BoxFuture<Option<async_nats::ReconnectToServer>>
+ Send
+ Sync
+ 'static {
    let (health, retired) = (health.clone(), retired.clone());
    let shown: Arc<str> = shown.into();
    move |servers, _| {
        if retired.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        let mut reasons: Vec<String> = servers
            .into_iter()
            .filter_map(|server| server.last_error)
            .collect();
        reasons.dedup();
        if !reasons.is_empty() {
            health.failed_attempt(&reasons.join("; "), &shown);
        }
        Box::pin(std::future::ready(None))
    }
}

/// Delay before an attempt: none before the very first, then 100 ms growing to 400 ms for each
/// round over the servers, with up to a fifth of jitter.
fn delays(servers: usize) -> impl Fn(usize) -> Duration + Send + Sync + 'static {
    let first = AtomicBool::new(true);
    let random = RandomState::new();
    let servers = servers.max(1);
    move |attempt| {
        if first.swap(false, Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let round = attempt.saturating_sub(1) / servers;
        let (shortest, longest) = DELAY;
        let whole = shortest.saturating_mul(1 << round.min(8)).min(longest) * 1000;
        let jitter = random.hash_one((attempt, std::time::Instant::now())) % (whole / 5);
        Duration::from_micros((whole - jitter) / servers as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_short_and_bounded() {
        let delay = delays(1);
        assert_eq!(delay(1), Duration::ZERO);
        for attempt in 1..200 {
            let delay = delay(attempt);
            assert!(delay >= Duration::from_millis(80), "{attempt}: {delay:?}");
            assert!(delay <= Duration::from_millis(400), "{attempt}: {delay:?}");
        }
        assert!(delays(4)(2) <= Duration::from_millis(100));
    }
}
