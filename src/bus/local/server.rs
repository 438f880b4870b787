//! A process's share in the local server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::binary;
use super::error::{Error, ErrorKind};
use super::folder::{Folder, Token};
use super::lock::Lock;
use super::notice::Notice;
use super::paths::Options;
use super::process::{self, Found, Running};
use super::supervise::{self, START_LOCK_LIMIT, lock_start};

/// How long a server process that is there gets to answer or to end: it may be starting or stopping.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How many notices may wait for a caller that is slow to show them.
const NOTICES: usize = 64;

/// This process's share in the one local `nats-server` of the user. The server runs at least as long as any share
/// exists, in whatever process; see [`LocalServer::leave`]. Debug shows no token.
pub struct LocalServer {
    shared: Arc<Shared>,
    /// Dropped when this process leaves; `None` after that.
    users: Option<Lock>,
    started_here: bool,
}

/// What the blocking parts work on.
struct Shared {
    options: Options,
    folder: Folder,
    token: Token,
    running: Mutex<Running>,
}

impl LocalServer {
    /// Joins the user's local server; finds (or fetches) a binary and starts it if it is not running.
    ///
    /// `notify` is called from the calling task, in order, with what takes time or needs attention. If this future is
    /// dropped, the work goes on in the background and its result leaves again.
    ///
    /// Bounds: a fetch takes at most [`Options::fetch_timeout`], a start 20 s, a wait for other processes 40 s.
    ///
    /// # Errors
    /// [`ErrorKind::NoBinary`], [`ErrorKind::TooOld`] or [`ErrorKind::FetchFailed`] when there is nothing to start,
    /// [`ErrorKind::StartFailed`] with the end of the server's log, [`ErrorKind::NotAnswering`] when a server lives
    /// there but is stuck, [`ErrorKind::Busy`] when another process is, [`ErrorKind::Io`] for the folder.
    pub async fn join(options: Options, notify: &(dyn Fn(Notice) + Sync)) -> Result<Self, Error> {
        telling(notify, move |tell| join_blocking(options, tell)).await
    }

    /// Where clients connect, with the token: `nats://TOKEN@127.0.0.1:PORT`. A secret of this user.
    pub fn address(&self) -> String {
        self.running().address(&self.shared.token)
    }

    /// Where clients connect: `nats://127.0.0.1:PORT`, without the token.
    pub fn url(&self) -> String {
        self.running().url()
    }

    /// The secret that clients present. Never to be logged.
    pub fn token(&self) -> &str {
        self.shared.token.as_str()
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.running().pid
    }

    /// The server's version, as it says itself.
    pub fn version(&self) -> String {
        self.running().version
    }

    /// The server's folder.
    pub fn data_dir(&self) -> &Path {
        self.shared.folder.dir()
    }

    /// Whether this process started the server when it joined.
    pub fn started_here(&self) -> bool {
        self.started_here
    }

    /// Starts the server anew if it is gone; for a gateway that has lost its connection. Tries the same port first.
    /// Of several processes that call it at once, one starts the server.
    ///
    /// Returns the new address if it is not the one that [`LocalServer::url`] gave before.
    ///
    /// # Errors
    /// As [`LocalServer::join`].
    pub async fn ensure_running(&self) -> Result<Option<String>, Error> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || ensure_blocking(&shared))
            .await
            .map_err(cancelled)?
    }

    /// Ends this process's use. The server is stopped after the last user: by the supervisor, which this does not wait
    /// for, or without one here, within 4 s. Dropping does the same, blocking, and only logs a failure.
    ///
    /// # Errors
    /// [`ErrorKind::StopFailed`] if the server did not end, [`ErrorKind::Busy`] or [`ErrorKind::Io`] for the locks.
    pub async fn leave(mut self) -> Result<(), Error> {
        let Some(users) = self.users.take() else {
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || supervise::leave(&shared.folder, users))
            .await
            .map_err(cancelled)?
    }

    fn running(&self) -> Running {
        self.shared.running()
    }
}

impl Shared {
    fn running(&self) -> Running {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        if let Some(users) = self.users.take()
            && let Err(error) = supervise::leave(&self.shared.folder, users)
        {
            tracing::warn!(%error, "the local nats-server could not be left in order");
        }
    }
}

impl fmt::Debug for LocalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalServer")
            .field("running", &self.running())
            .field("data_dir", &self.data_dir())
            .field("started_here", &self.started_here)
            .finish_non_exhaustive()
    }
}

/// Finds the `nats-server` that [`LocalServer::join`] would start, and fetches it if there is none. Starts nothing.
///
/// # Errors
/// [`ErrorKind::NoBinary`], [`ErrorKind::TooOld`] or [`ErrorKind::FetchFailed`].
pub async fn find_binary(
    options: Options,
    notify: &(dyn Fn(Notice) + Sync),
) -> Result<PathBuf, Error> {
    telling(notify, move |tell| binary::find(&options, tell))
        .await
        .map(|binary| binary.path)
}

/// Does blocking work; what it has to tell reaches `notify` on the calling task, in order.
async fn telling<T: Send + 'static>(
    notify: &(dyn Fn(Notice) + Sync),
    work: impl FnOnce(&dyn Fn(Notice)) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (send, mut notices) = tokio::sync::mpsc::channel(NOTICES);
    let work = tokio::task::spawn_blocking(move || {
        work(&|notice| {
            // Nobody listens any more if the future was dropped; the work goes on all the same.
            let _ = send.blocking_send(notice);
        })
    });
    while let Some(notice) = notices.recv().await {
        notify(notice);
    }
    work.await.map_err(cancelled)?
}

/// The work behind the future ended without a result: the runtime is shutting down.
pub(super) fn cancelled(error: tokio::task::JoinError) -> Error {
    Error::with_source(
        ErrorKind::Cancelled,
        "the work on the local nats-server was cut off because the program is stopping",
        error,
    )
}

pub(super) fn join_blocking(
    options: Options,
    notify: &dyn Fn(Notice),
) -> Result<LocalServer, Error> {
    let folder = Folder::create(&options.data_dir)?;
    let users = {
        let _start = lock_start(&folder, START_LOCK_LIMIT)?;
        let users = supervise::become_user(&folder)?;
        // First the supervisor, then the server: however soon this process is killed, somebody stops the server.
        supervise::ensure_supervisor(&folder, options.supervisor.as_deref())?;
        users
    };
    match run(&options, &folder, None, notify) {
        Ok((running, token, started_here)) => Ok(LocalServer {
            shared: Arc::new(Shared {
                options,
                folder,
                token,
                running: Mutex::new(running),
            }),
            users: Some(users),
            started_here,
        }),
        Err(error) => {
            // Others may have left the stopping to this one.
            if let Err(error) = supervise::leave(&folder, users) {
                tracing::debug!(%error, "leaving after a failed join failed too");
            }
            Err(error)
        }
    }
}

fn ensure_blocking(shared: &Shared) -> Result<Option<String>, Error> {
    let folder = &shared.folder;
    {
        let _start = lock_start(folder, START_LOCK_LIMIT)?;
        supervise::ensure_supervisor(folder, shared.options.supervisor.as_deref())?;
    }
    let notify = |notice: Notice| match notice {
        // The usual answer, and a gateway may ask often.
        Notice::Joined { .. } => tracing::debug!("{notice}"),
        _ => tracing::info!("{notice}"),
    };
    let (running, _, _) = run(&shared.options, folder, Some(&shared.token), &notify)?;
    let url = running.url();
    let before = std::mem::replace(
        &mut *shared
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
        running,
    );
    Ok((url != before.url()).then_some(url))
}

/// The running server, started if need be; `true` if it was started here. The caller is a user already.
fn run(
    options: &Options,
    folder: &Folder,
    known: Option<&Token>,
    notify: &dyn Fn(Notice),
) -> Result<(Running, Token, bool), Error> {
    if let Some((running, token)) = running(folder, known, &lock_start(folder, START_LOCK_LIMIT)?)?
    {
        notify(Notice::Joined { url: running.url() });
        return Ok((running, token, false));
    }
    // Without the lock: a fetch takes longer than others should have to wait for it.
    let binary = binary::find(options, notify)?;
    let start = lock_start(folder, START_LOCK_LIMIT)?;
    if let Some((running, token)) = running(folder, known, &start)? {
        notify(Notice::Joined { url: running.url() });
        return Ok((running, token, false));
    }
    notify(Notice::Starting {
        binary: binary.path.clone(),
        version: binary.version,
        data_dir: folder.dir().to_owned(),
    });
    let token = matching_token(folder, known)?;
    let running = process::start(folder, &binary, &token)?;
    Ok((running, token, true))
}

/// The server that runs already, if any. `_start` proves that the lock is held.
fn running(
    folder: &Folder,
    known: Option<&Token>,
    _start: &Lock,
) -> Result<Option<(Running, Token)>, Error> {
    match process::look(folder, ANSWER_LIMIT)? {
        Found::Nothing => Ok(None),
        Found::Running(running) => Ok(Some((running, matching_token(folder, known)?))),
        Found::Silent(why) => Err(Error::new(
            ErrorKind::NotAnswering,
            format!(
                "a local nats-server lives in {} but does not answer ({why}). See {}, or end it with `jacquard nats down \
                 --force`; if it runs in another container, give this one its own JACQUARD_DATA_DIR",
                folder.dir().display(),
                folder.log().display()
            ),
        )),
    }
}

fn matching_token(folder: &Folder, known: Option<&Token>) -> Result<Token, Error> {
    let token = folder.token(known)?;
    if known.is_some_and(|known| *known != token) {
        return Err(Error::new(
            ErrorKind::StartFailed,
            format!(
                "the token in {} was replaced while this process was running; start it anew",
                folder.dir().display()
            ),
        ));
    }
    Ok(token)
}
