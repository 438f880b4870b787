//! Which NATS a gateway talks to: the one that is configured, the one at the default address, or a local server of
//! its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{Setup, full};
use crate::bus::local::{LocalServer, Notice, Options};
use crate::bus::{Bus, BusConfig, Error, INBOX, State, Tls};
use crate::project::{DEFAULT_URL, Environment};
use crate::spec::tree::parse_span;

/// How long the default address may take to greet.
const PROBE: Duration = Duration::from_millis(300);
/// The longest part of the shut-down spent on each of: flushing, leaving the local server.
const CLOSE: Duration = Duration::from_millis(500);
/// How often a lost local server is looked after.
const REVIVE: Duration = Duration::from_millis(200);

/// How far the start of a local server has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Looking for a server, or starting one.
    Starting,
    /// Nothing more will happen by itself than connecting.
    Settled,
    /// There is no local server for this reason, and nobody at the default address so far.
    Failed(Arc<str>),
}

/// The connection and, if there is one, the local server behind it.
pub struct Nats {
    bus: Bus,
    required: bool,
    phase: watch::Receiver<Phase>,
    local: Arc<Mutex<Option<LocalServer>>>,
    /// What starts the local server and looks after it.
    starter: Option<AbortHandle>,
}

impl Nats {
    /// Starts to connect. A local server is started in the background.
    ///
    /// # Errors
    /// Settings that can never work.
    pub async fn start(setup: &Setup, env: &Environment) -> Result<Self, Error> {
        let Choice {
            config,
            local: wanted,
        } = choice(setup, env);
        let local = Arc::new(Mutex::new(None));
        let required = is_required(setup);
        let bus = if wanted {
            Bus::idle(config).await?
        } else {
            Bus::connect(config).await?
        };
        let (tell, phase) = watch::channel(if wanted {
            Phase::Starting
        } else {
            Phase::Settled
        });
        let starter =
            wanted.then(|| tokio::spawn(run_local(bus.clone(), Arc::clone(&local), tell)));
        Ok(Self {
            bus,
            required,
            phase,
            local,
            starter: starter.map(|task| task.abort_handle()),
        })
    }

    /// The connection.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Whether the gateway is of no use without it.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Waits, at most `limit`, while a local server is being started. Returns at once otherwise.
    pub async fn settle(&self, limit: Duration) {
        if *self.phase.borrow() != Phase::Starting || self.bus.state().is_connected() {
            return;
        }
        let mut phase = self.phase.clone();
        let wait = async {
            let settled = phase.wait_for(|p| *p != Phase::Starting).await;
            // An error means that the starter is gone: then there is nothing to wait for.
            if settled.is_ok_and(|p| *p == Phase::Settled) {
                let _ = self.bus.wait_connected(limit).await;
            }
        };
        let _ = timeout(limit, wait).await;
    }

    /// Why there is no local server, while there is no other either.
    pub fn failure(&self) -> Option<Arc<str>> {
        match &*self.phase.borrow() {
            Phase::Failed(reason) if !self.bus.state().is_connected() => Some(Arc::clone(reason)),
            _ => None,
        }
    }

    /// Flushes, disconnects, and leaves the local server.
    pub async fn close(&self) {
        if let Some(starter) = &self.starter {
            starter.abort();
        }
        self.bus.close(CLOSE).await;
        let local = timeout(CLOSE, self.local.lock()).await;
        if let Ok(Some(server)) = local.map(|mut l| l.take()) {
            match timeout(CLOSE, server.leave()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "leaving the local nats-server"),
                Err(_) => tracing::warn!("leaving the local nats-server takes too long"),
            }
        }
    }
}

/// Which NATS a gateway uses.
pub struct Choice {
    /// The settings of the connection.
    pub config: BusConfig,
    /// Nobody has chosen one: without a server at the default address, a local one is run.
    pub local: bool,
}

/// Which NATS a gateway would use. Nothing is asked of any.
pub fn choice(setup: &Setup, env: &Environment) -> Choice {
    let (config, chosen) = bus_config(setup, env);
    let local = is_required(setup) && setup.config.nats.local != Some(false);
    Choice {
        config,
        local: !chosen && setup.allow_local && local,
    }
}

/// Whether a gateway is of no use without NATS.
pub fn is_required(setup: &Setup) -> bool {
    setup.config.nats.required != Some(false)
}

/// The settings of the connection, and whether anybody chose them.
fn bus_config(setup: &Setup, env: &Environment) -> (BusConfig, bool) {
    let nats = &setup.config.nats;
    let var = |name: &str, given: &Option<String>| env.get(name).or_else(|| given.clone());
    let file = |name: &str, given: &Option<String>| {
        env.get(name)
            .map(Into::into)
            .or_else(|| given.as_ref().map(|path| setup.base.join(path)))
    };
    let found = setup.facts.nats_url.as_ref();
    let url = found.map(|u| u.url.expose().to_owned());
    let config = BusConfig {
        user: var("NATS_USER", &nats.user),
        password: var("NATS_PASS", &nats.password),
        token: var("NATS_TOKEN", &nats.token),
        nkey_seed: var("NATS_NKEY_SEED", &nats.nkey),
        creds_file: file("NATS_CREDS", &nats.credentials),
        tls: Tls {
            ca: file("NATS_CA", &nats.tls.ca),
            cert: file("NATS_CERT", &nats.tls.cert),
            key: file("NATS_KEY", &nats.tls.key),
            required: nats.tls.required,
        },
        name: format!(
            "jacquard {}",
            setup.config.name.as_deref().unwrap_or_default()
        )
        .trim()
        .to_owned(),
        request_timeout: nats
            .request_timeout
            .as_deref()
            .and_then(parse_span)
            .unwrap_or(crate::bus::MAX_REQUEST_TIMEOUT),
        inbox_prefix: inbox_prefix(setup, env),
        servers: vec![url.clone().unwrap_or_else(|| DEFAULT_URL.to_owned())],
    };
    let chosen = url.is_some()
        || config.user.is_some()
        || config.token.is_some()
        || config.nkey_seed.is_some()
        || config.creds_file.is_some();
    (config, chosen)
}

/// What the subjects of answers begin with.
pub(super) fn inbox_prefix(setup: &Setup, env: &Environment) -> String {
    let given = env.get("NATS_INBOX_PREFIX");
    given
        .or_else(|| setup.config.nats.inbox_prefix.clone())
        .unwrap_or_else(|| INBOX.to_owned())
}

/// Whether a NATS server greets at the default address.
pub async fn default_answers() -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect("127.0.0.1:4222").await.ok()?;
        let mut head = [0u8; 5];
        stream.read_exact(&mut head).await.ok()?;
        Some(head == *b"INFO ")
    };
    timeout(PROBE, greeting).await.ok().flatten() == Some(true)
}

async fn run_local(bus: Bus, slot: Arc<Mutex<Option<LocalServer>>>, phase: watch::Sender<Phase>) {
    // Without a server of our own, somebody may start one at the default address yet.
    let mut url = DEFAULT_URL.to_owned();
    let mut outcome = Phase::Settled;
    if !default_answers().await {
        match join().await {
            Ok(server) => {
                url = server.address();
                *slot.lock().await = Some(server);
            }
            Err(error) => {
                tracing::error!("there is no NATS: {error}");
                outcome = Phase::Failed(error.into());
            }
        }
    }
    if let Err(error) = bus.replace_servers(vec![url]).await {
        tracing::error!(%error, "the address of NATS cannot be used");
    }
    let _ = phase.send(outcome);
    keep_alive(&bus, &slot).await;
}

async fn join() -> Result<LocalServer, String> {
    let mut options = Options::from_env().map_err(|e| full(&e))?;
    options.supervisor = std::env::current_exe().ok();
    let tell = |notice: Notice| tracing::info!("{notice}");
    LocalServer::join(options, &tell)
        .await
        .map_err(|e| full(&e))
}

/// Starts the local server anew when it is gone.
async fn keep_alive(bus: &Bus, slot: &Mutex<Option<LocalServer>>) {
    let mut states = bus.watch();
    loop {
        let lost = |s: &State| matches!(s, State::Disconnected { .. });
        if states.wait_for(lost).await.is_err() {
            return;
        }
        tokio::time::sleep(REVIVE).await;
        if bus.state().is_connected() {
            continue;
        }
        let guard = slot.lock().await;
        let Some(server) = guard.as_ref() else {
            return;
        };
        match server.ensure_running().await {
            Ok(Some(_)) => {
                if let Err(error) = bus.replace_servers(vec![server.address()]).await {
                    tracing::error!(%error, "the local nats-server has a new address that cannot be used");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!("the local nats-server is gone: {}", full(&error)),
        }
    }
}
