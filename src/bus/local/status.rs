//! What `jacquard nats up`, `down` and `status` do.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::error::{Error, ErrorKind};
use super::folder::{Folder, remove, size_within, write_private};
use super::notice::Notice;
use super::paths::Options;
use super::process::{self, Found, Signal};
use super::server::{LocalServer, cancelled};
use super::supervise::{self, START_LOCK_LIMIT, lock_start};

/// How long a silent server gets to answer a status question.
const STATUS_PATIENCE: Duration = Duration::from_millis(500);
/// How long `down` waits for the end of the server.
const DOWN_LIMIT: Duration = Duration::from_secs(10);
/// How long a killed server may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// The most files of the store that are counted.
const MAX_FILES: usize = 200_000;

/// The state of the user's local server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether a server process lives.
    pub running: bool,
    /// Why a living server is no use; absent if it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Where it answers, without the token.
    pub url: Option<String>,
    /// Its version, as it says itself.
    pub version: Option<String>,
    /// Its process id.
    pub pid: Option<u32>,
    /// Whether any process uses it.
    pub in_use: bool,
    /// Whether it runs on without users (`up`).
    pub kept: bool,
    /// Whether a supervisor waits to stop it after its last user.
    pub supervised: bool,
    /// The server's folder.
    pub data_dir: PathBuf,
    /// Bytes of JetStream's files (the first 200 000 of them).
    pub store_bytes: u64,
}

/// Starts the local server if it is not running, and keeps it running without users until [`down`]. If it ends in
/// between (say the machine restarts), the next gateway starts it, and it is kept again.
///
/// # Errors
/// As [`LocalServer::join`].
pub async fn up(options: Options, notify: &(dyn Fn(Notice) + Sync)) -> Result<Status, Error> {
    let server = LocalServer::join(options.clone(), notify).await?;
    let folder = Folder::at(server.data_dir());
    tokio::task::spawn_blocking(move || {
        let _start = lock_start(&folder, START_LOCK_LIMIT)?;
        write_private(&folder.keep_marker(), b"")
    })
    .await
    .map_err(cancelled)??;
    server.leave().await?;
    status(&options).await
}

/// Stops the local server and ends what [`up`] asked for. `false`: none was running.
///
/// With `force` it also stops a server that gateways use (they start it again when they need it) and kills one that
/// does not end within 10 s.
///
/// # Errors
/// [`ErrorKind::InUse`] if processes use the server and `force` is not set, [`ErrorKind::StopFailed`] if it does not
/// end, [`ErrorKind::Busy`] or [`ErrorKind::Io`] for locks and files.
pub async fn down(options: &Options, force: bool) -> Result<bool, Error> {
    let folder = Folder::at(&options.data_dir);
    tokio::task::spawn_blocking(move || down_blocking(&folder, force))
        .await
        .map_err(cancelled)?
}

/// Looks at the local server. Starts nothing, and makes no folder if there is none.
///
/// # Errors
/// [`ErrorKind::Busy`] if the server is being started or stopped for over 40 s, [`ErrorKind::Io`] for the folder.
pub async fn status(options: &Options) -> Result<Status, Error> {
    let folder = Folder::at(&options.data_dir);
    tokio::task::spawn_blocking(move || status_blocking(&folder))
        .await
        .map_err(cancelled)?
}

/// The address of the local server with the token in it, if one answers. Joins nothing and starts nothing.
///
/// # Errors
/// As [`status`].
pub async fn address(options: &Options) -> Result<Option<String>, Error> {
    let folder = Folder::at(&options.data_dir);
    tokio::task::spawn_blocking(move || address_blocking(&folder))
        .await
        .map_err(cancelled)?
}

fn address_blocking(folder: &Folder) -> Result<Option<String>, Error> {
    if !folder.dir().is_dir() {
        return Ok(None);
    }
    let _start = lock_start(folder, START_LOCK_LIMIT)?;
    match process::look(folder, STATUS_PATIENCE)? {
        Found::Running(running) => Ok(Some(running.address(&folder.token(None)?))),
        Found::Nothing | Found::Silent(_) => Ok(None),
    }
}

fn down_blocking(folder: &Folder, force: bool) -> Result<bool, Error> {
    if !folder.dir().is_dir() {
        return Ok(false);
    }
    let _start = lock_start(folder, START_LOCK_LIMIT)?;
    if !force && supervise::in_use(folder)? {
        return Err(Error::new(
            ErrorKind::InUse,
            format!(
                "gateways are using the local nats-server in {}; stop them first, or use `jacquard nats down --force`",
                folder.dir().display()
            ),
        ));
    }
    remove(&folder.keep_marker())?;
    match process::stop(folder, Signal::Quit, DOWN_LIMIT) {
        Err(error) if force && error.kind() == ErrorKind::StopFailed => {
            process::stop(folder, Signal::Kill, KILL_LIMIT)
        }
        other => other,
    }
}

fn status_blocking(folder: &Folder) -> Result<Status, Error> {
    let mut status = Status {
        running: false,
        problem: None,
        url: None,
        version: None,
        pid: None,
        in_use: false,
        kept: false,
        supervised: false,
        data_dir: folder.dir().to_owned(),
        store_bytes: 0,
    };
    if !folder.dir().is_dir() {
        return Ok(status);
    }
    status.store_bytes = size_within(&folder.store(), MAX_FILES);
    let _start = lock_start(folder, START_LOCK_LIMIT)?;
    status.in_use = supervise::in_use(folder)?;
    status.kept = supervise::is_kept(folder);
    status.supervised = supervise::is_supervised(folder)?;
    match process::look(folder, STATUS_PATIENCE)? {
        Found::Nothing => {}
        Found::Silent(why) => {
            status.running = true;
            status.pid = folder.pid()?;
            status.problem = Some(why);
        }
        Found::Running(running) => {
            status.running = true;
            status.url = Some(running.url());
            status.pid = Some(running.pid);
            status.version = Some(running.version);
        }
    }
    Ok(status)
}
