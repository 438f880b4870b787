//! The server process: looking for it, starting it, stopping it. All of it is done under the start lock.
//!
//! How a server is recognised (Unix): it inherits `server.lock` locked, as its standard input. The lock is free exactly
//! when that process is gone, however it ended; the pid file was removed before it started, so while the lock is held
//! the pid in it is this server's. No recycled pid can be taken for it. What remains is a folder that two containers
//! share, each with pids of its own: so before a signal the command line of the process is looked at as well.
//! On other systems the server's `INFO` has to name the instance that was started last.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::binary::Binary;
use super::config;
use super::error::{Error, ErrorKind};
use super::exec::{self, last_lines};
use super::folder::{Folder, Record, Token, random_hex, tail, write_private};
#[cfg(unix)]
use super::lock::{Lock, Mode};
use super::probe::{ProbeError, probe};

/// How long a server may take from its start until JetStream answers; usually 20 ms, more with a large store.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(5);
/// How long one run of a signalling command may take.
const SIGNAL_LIMIT: Duration = Duration::from_secs(5);
/// Bytes and lines of the server's log that go into an error.
const LOG_BYTES: u64 = 8 * 1024;
const LOG_LINES: usize = 12;

/// A server that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) port: u16,
    pub(super) pid: u32,
    pub(super) version: String,
}

impl Running {
    /// Where clients connect; holds no credential.
    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The same with the token in it. Never to be logged.
    pub(super) fn address(&self, token: &Token) -> String {
        format!("nats://{}@127.0.0.1:{}", token.as_str(), self.port)
    }
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No server process.
    Nothing,
    /// A server process that does not answer, and why.
    Silent(String),
    Running(Running),
}

/// Looks for the server, giving one that lives but is silent `patience` to answer or to end.
pub(super) fn look(folder: &Folder, patience: Duration) -> Result<Found, Error> {
    let deadline = Instant::now() + patience;
    loop {
        if !may_live(folder)? {
            return Ok(Found::Nothing);
        }
        let why = match answering(folder)? {
            Ok(running) => return Ok(Found::Running(running)),
            Err(why) => why,
        };
        if !cfg!(unix) {
            return Ok(Found::Nothing);
        }
        if Instant::now() >= deadline {
            return Ok(Found::Silent(why));
        }
        std::thread::sleep(POLL);
    }
}

/// Starts a server, on the port of the last one if that is free. Nothing may be running.
pub(super) fn start(folder: &Folder, binary: &Binary, token: &Token) -> Result<Running, Error> {
    let last = folder.last_port()?.filter(|port| is_free(*port));
    let started = match start_on(folder, binary, token, last) {
        // Somebody may have taken the port since it was looked at.
        Err(StartError::Ended(_)) if last.is_some() => start_on(folder, binary, token, None),
        other => other,
    };
    let running = started.map_err(|error| match error {
        StartError::Ended(message) | StartError::Slow(message) => {
            Error::new(ErrorKind::StartFailed, message)
        }
        StartError::Other(error) => error,
    })?;
    folder.write_port(running.port)?;
    Ok(running)
}

/// How a server is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Finish writing, then end (SIGINT).
    Quit,
    /// End at once (SIGKILL).
    Kill,
}

/// Stops the server if one lives and waits at most `limit` for its end. `false`: there was none.
pub(super) fn stop(folder: &Folder, signal: Signal, limit: Duration) -> Result<bool, Error> {
    let deadline = Instant::now() + limit;
    let mut signalled = false;
    while may_live(folder)? {
        if !signalled && let Some(pid) = live_pid(folder)? {
            send(folder, signal, pid)?;
            signalled = true;
        }
        if !signalled && !cfg!(unix) {
            return Ok(false);
        }
        if Instant::now() >= deadline {
            return Err(not_stopped(folder, signalled, limit));
        }
        std::thread::sleep(POLL);
    }
    folder.clear_traces()?;
    Ok(signalled)
}

fn not_stopped(folder: &Folder, signalled: bool, limit: Duration) -> Error {
    let dir = folder.dir().display();
    Error::new(
        ErrorKind::StopFailed,
        if signalled {
            format!(
                "the local nats-server in {dir} did not end within {} s; `jacquard nats down --force` kills it",
                limit.as_secs()
            )
        } else {
            format!(
                "a local nats-server holds {dir}, but no process here is it; stop it in the container where it runs"
            )
        },
    )
}

/// Whether a server process can be alive. Exact on Unix.
fn may_live(folder: &Folder) -> Result<bool, Error> {
    #[cfg(unix)]
    return Ok(Lock::try_take(&folder.server_lock(), Mode::Exclusive)?.is_none());
    #[cfg(not(unix))]
    return Ok(!folder.ports()?.is_empty() && answering(folder)?.is_ok());
}

/// The pid of the living server; `None` while it has not written it yet, or if that is not its pid here.
fn live_pid(folder: &Folder) -> Result<Option<u32>, Error> {
    #[cfg(unix)]
    return Ok(folder
        .pid()?
        .filter(|pid| runs_config(*pid, &folder.config())));
    #[cfg(not(unix))]
    return Ok(answering(folder)?.ok().map(|running| running.pid));
}

/// Whether the command line of the process names this configuration file.
#[cfg(target_os = "linux")]
fn runs_config(pid: u32, config: &Path) -> bool {
    let config = config.as_os_str().as_encoded_bytes();
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).any(|arg| arg == config))
}

/// Whether the command line of the process names this configuration file.
#[cfg(all(unix, not(target_os = "linux")))]
fn runs_config(pid: u32, config: &Path) -> bool {
    let mut ps = Command::new("ps");
    ps.args(["-ww", "-o", "command=", "-p", &pid.to_string()]);
    exec::run(&mut ps, SIGNAL_LIMIT, &mut |_| {})
        .is_ok_and(|done| done.output.contains(&*config.to_string_lossy()))
}

/// The server that was started last, if it answers; else why not.
fn answering(folder: &Folder) -> Result<Result<Running, String>, Error> {
    let (Some(record), Some(token)) = (folder.record()?, folder.existing_token()?) else {
        return Ok(Err("its token or server.json is gone".to_owned()));
    };
    let mut why = "it has not opened its port yet".to_owned();
    let written = folder.pid()?;
    for (pid, port) in folder.ports()? {
        // A ports file of an earlier server may name the same port.
        if written != Some(pid) {
            continue;
        }
        match probe(port, &record.instance, &token) {
            Ok(info) => {
                return Ok(Ok(Running {
                    port,
                    pid,
                    version: info.version,
                }));
            }
            Err(error @ ProbeError::Io(_)) => why = format!("on port {port} {error}"),
            Err(error) => why = error.to_string(),
        }
    }
    Ok(Err(why))
}

enum StartError {
    /// The process ended before it answered.
    Ended(String),
    /// It did not answer in time and was killed.
    Slow(String),
    Other(Error),
}

impl From<Error> for StartError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn start_on(
    folder: &Folder,
    binary: &Binary,
    token: &Token,
    port: Option<u16>,
) -> Result<Running, StartError> {
    folder.clear_traces()?;
    let record = Record {
        instance: format!("jacquard-{}", random_hex::<16>()?),
        binary: binary.path.clone(),
    };
    folder.write_record(&record)?;
    let text = config::render(folder, &record.instance, token, port);
    write_private(&folder.config(), text.as_bytes())?;
    let log_from = folder.log().metadata().map_or(0, |meta| meta.len());
    let mut child = spawn(folder, &binary.path)?;
    let what = |happened: &str| describe(folder, binary, token, log_from, happened);
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let ended = child.try_wait();
        if let Ok(Some(status)) = ended {
            return Err(StartError::Ended(what(&format!(
                "ended at once ({status})"
            ))));
        }
        let why = match answering(folder)? {
            Ok(running) => {
                reap(child);
                return Ok(running);
            }
            Err(why) => why,
        };
        if Instant::now() >= deadline {
            let message = what(&format!(
                "did not answer within {} s: {why}",
                START_LIMIT.as_secs()
            ));
            end(&mut child);
            return Err(StartError::Slow(message));
        }
        std::thread::sleep(POLL);
    }
}

fn spawn(folder: &Folder, binary: &Path) -> Result<Child, Error> {
    let mut command = Command::new(binary);
    command
        .arg("-c")
        .arg(folder.config())
        .current_dir(folder.dir())
        .stdin(inherited_lock(folder)?)
        .stdout(Stdio::null())
        .stderr(folder.error_output(&folder.stderr())?);
    // A ctrl-c in the terminal of one gateway must not end the server of all.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map_err(|error| {
        Error::with_source(
            ErrorKind::StartFailed,
            format!("cannot run {}", binary.display()),
            error,
        )
    })
}

/// What the server gets as standard input, which it never reads: on Unix the lock that proves that it lives.
fn inherited_lock(folder: &Folder) -> Result<Stdio, Error> {
    #[cfg(unix)]
    return Lock::try_take(&folder.server_lock(), Mode::Exclusive)?
        .and_then(Lock::into_file)
        .map(Stdio::from)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::NotAnswering,
                format!("a nats-server lives in {} already", folder.dir().display()),
            )
        });
    #[cfg(not(unix))]
    return Ok(Stdio::null());
}

/// Says what happened to a start, with the end of the log and never the token.
fn describe(
    folder: &Folder,
    binary: &Binary,
    token: &Token,
    log_from: u64,
    happened: &str,
) -> String {
    let said = tail(&folder.stderr(), 0, LOG_BYTES) + &tail(&folder.log(), log_from, LOG_BYTES);
    let said = last_lines(&said.replace(token.as_str(), "<token>"), LOG_LINES).join("\n  ");
    format!(
        "the local nats-server {} ({}) {happened}; its log is {}:\n  {said}",
        binary.version,
        binary.path.display(),
        folder.log().display()
    )
}

/// Waits for the process in the background, so that its end leaves no zombie behind in a gateway that lives on.
pub(super) fn reap(mut child: Child) {
    let pid = child.id();
    std::thread::spawn(move || log_end(pid, child.wait()));
}

fn log_end(pid: u32, ended: std::io::Result<ExitStatus>) {
    match ended {
        Ok(status) => tracing::debug!(pid, %status, "child process of the local server ended"),
        Err(error) => tracing::debug!(pid, %error, "child process could not be waited for"),
    }
}

fn end(child: &mut Child) {
    if let Err(error) = child.kill() {
        tracing::warn!(pid = child.id(), %error, "a nats-server that did not answer could not be killed");
        return;
    }
    log_end(child.id(), child.wait());
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Sends the signal. Without unsafe code that takes another program: the server's own, which is there for sure unless
/// it was deleted meanwhile, or else the system's.
fn send(folder: &Folder, signal: Signal, pid: u32) -> Result<(), Error> {
    let mut failures = Vec::new();
    for mut command in signal_commands(folder, signal, pid)? {
        match exec::run(&mut command, SIGNAL_LIMIT, &mut |_| {}) {
            Ok(done) if done.status.success() => return Ok(()),
            Ok(done) => failures.push(last_lines(&done.output, 2).join(" ")),
            Err(error) => failures.push(error.to_string()),
        }
    }
    // It may have ended between the look and the signal.
    if !may_live(folder)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::StopFailed,
        format!(
            "the local nats-server (pid {pid}) could not be signalled: {}; end it by hand",
            failures.join("; ")
        ),
    ))
}

fn signal_commands(folder: &Folder, signal: Signal, pid: u32) -> Result<Vec<Command>, Error> {
    let pid = pid.to_string();
    if cfg!(windows) {
        let mut taskkill = Command::new("taskkill");
        taskkill.args(["/F", "/PID", &pid]);
        return Ok(vec![taskkill]);
    }
    // nats-server: `quit` is SIGINT, `stop` is SIGKILL (run).
    let (own, system) = match signal {
        Signal::Quit => ("quit", "-INT"),
        Signal::Kill => ("stop", "-KILL"),
    };
    let mut commands = Vec::new();
    if let Some(record) = folder.record()? {
        let mut command = Command::new(record.binary);
        command.arg("--signal").arg(format!("{own}={pid}"));
        commands.push(command);
    }
    let mut kill = Command::new("kill");
    kill.args([system, &pid]);
    commands.push(kill);
    Ok(commands)
}
