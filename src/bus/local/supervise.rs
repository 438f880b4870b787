//! The users of a server and who stops it after the last of them.
//!
//! Users hold `users.lock` shared. A supervisor, a small process of its own, waits until nobody does and then stops the
//! server; a gateway that is killed loses its lock like one that leaves. Without a supervisor the last to leave does it.
//! Order of locks: `start.lock` before the others; whoever only waits for the users holds nothing else.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::error::{Error, ErrorKind};
use super::folder::Folder;
use super::lock::{Lock, Mode};
use super::process::{self, Signal};

/// How long the start lock is waited for: others hold it for a start (10 s, twice if the port was taken) at most.
pub(super) const START_LOCK_LIMIT: Duration = Duration::from_secs(40);
/// How long somebody who leaves waits for the start lock, and for the end of the server.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// How long the supervisor waits for the end of the server: a large store may take a while to close.
const SUPERVISED_STOP_LIMIT: Duration = Duration::from_secs(30);
/// How long a new supervisor waits for the place of one that is about to end.
const SUCCESSION: Duration = Duration::from_secs(1);

/// How `supervise` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Supervised {
    /// Another supervisor is there.
    NotNeeded,
    /// The last user left and the server was stopped.
    Stopped,
    /// The last user left and no server was running.
    AlreadyGone,
    /// The last user left and the server runs on, because `up` asked for it.
    Kept,
}

/// Blocks until the last user of the server in `dir` has left, then stops the server unless it is to be kept.
///
/// This is what `jacquard nats supervise --dir DIR` runs. It has no time limit: it lives as long as there are users.
/// A second supervisor for the same folder returns within a second.
///
/// # Errors
/// [`ErrorKind::Io`] if the folder cannot be used, [`ErrorKind::StopFailed`] if the server does not end within 30 s.
pub fn supervise(dir: &Path) -> Result<Supervised, Error> {
    let folder = Folder::create(dir)?;
    let place = match Lock::take_within(&folder.supervisor_lock(), Mode::Exclusive, SUCCESSION) {
        Ok(place) => place,
        Err(error) if error.kind() == ErrorKind::Busy => return Ok(Supervised::NotNeeded),
        Err(error) => return Err(error),
    };
    loop {
        Lock::wait_until_free(&folder.users_lock())?;
        let start = match lock_start(&folder, START_LOCK_LIMIT) {
            Ok(start) => start,
            // Somebody starts a server or is stuck; either way the watch goes on.
            Err(error) if error.kind() == ErrorKind::Busy => continue,
            Err(error) => return Err(error),
        };
        if in_use(&folder)? {
            continue;
        }
        let outcome = stop_unless_kept(&folder, SUPERVISED_STOP_LIMIT);
        // Before the start lock: whoever joins next must see that a new supervisor is needed.
        drop(place);
        drop(start);
        return outcome;
    }
}

/// The lock under which the server is looked at, started and stopped.
pub(super) fn lock_start(folder: &Folder, limit: Duration) -> Result<Lock, Error> {
    Lock::take_within(&folder.start_lock(), Mode::Exclusive, limit)
}

/// Makes this process a user. Needs the start lock, so that nobody stops the server at the same time.
pub(super) fn become_user(folder: &Folder) -> Result<Lock, Error> {
    Lock::take_within(&folder.users_lock(), Mode::Shared, START_LOCK_LIMIT)
}

/// Whether any process uses the server. Needs the start lock. A supervisor holds the users lock for a moment when it
/// wakes up, so one look is not enough.
pub(super) fn in_use(folder: &Folder) -> Result<bool, Error> {
    match Lock::take_within(
        &folder.users_lock(),
        Mode::Exclusive,
        Duration::from_millis(15),
    ) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Busy => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether a supervisor lives.
pub(super) fn is_supervised(folder: &Folder) -> Result<bool, Error> {
    Ok(Lock::try_take(&folder.supervisor_lock(), Mode::Shared)?.is_none())
}

/// Whether the server runs on without users.
pub(super) fn is_kept(folder: &Folder) -> bool {
    folder.keep_marker().exists()
}

/// Runs a supervisor if none lives. Needs the start lock and the users lock. That it cannot be run is only a warning:
/// the last one to leave then stops the server.
pub(super) fn ensure_supervisor(folder: &Folder, program: Option<&Path>) -> Result<(), Error> {
    let Some(program) = program else {
        return Ok(());
    };
    if is_supervised(folder)? {
        return Ok(());
    }
    let mut command = Command::new(program);
    command
        .args(["nats", "supervise", "--dir"])
        .arg(folder.dir())
        .current_dir(folder.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(folder.error_output(&folder.supervisor_stderr())?);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    match command.spawn() {
        Ok(child) => process::reap(child),
        Err(error) => {
            tracing::warn!(program = %program.display(), %error,
                "no supervisor for the local nats-server; the last gateway to leave stops it");
        }
    }
    Ok(())
}

/// Ends the use that `users` stands for. The last user stops the server, unless a supervisor does.
pub(super) fn leave(folder: &Folder, users: Lock) -> Result<(), Error> {
    if is_supervised(folder)? {
        return Ok(());
    }
    let _start = lock_start(folder, LEAVE_LIMIT)?;
    drop(users);
    if in_use(folder)? {
        return Ok(());
    }
    stop_unless_kept(folder, LEAVE_LIMIT).map(|_| ())
}

fn stop_unless_kept(folder: &Folder, limit: Duration) -> Result<Supervised, Error> {
    if is_kept(folder) {
        return Ok(Supervised::Kept);
    }
    Ok(if process::stop(folder, Signal::Quit, limit)? {
        Supervised::Stopped
    } else {
        Supervised::AlreadyGone
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::create(temp.path()).unwrap();
        (temp, folder)
    }

    #[test]
    fn one_supervisor_waits_for_all_users() {
        let (temp, folder) = folder();
        let users = [become_user(&folder).unwrap(), become_user(&folder).unwrap()];
        let dir = temp.path().to_owned();
        let first = std::thread::spawn(move || supervise(&dir));
        while !is_supervised(&folder).unwrap() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(supervise(temp.path()).unwrap(), Supervised::NotNeeded);
        let [one, two] = users;
        leave(&folder, one).unwrap();
        assert!(in_use(&folder).unwrap() && !first.is_finished());
        leave(&folder, two).unwrap();
        assert_eq!(first.join().unwrap().unwrap(), Supervised::AlreadyGone);
        assert!(!in_use(&folder).unwrap() && !is_supervised(&folder).unwrap());
    }

    #[test]
    fn a_marker_keeps_the_server() {
        let (temp, folder) = folder();
        std::fs::write(folder.keep_marker(), "").unwrap();
        assert_eq!(supervise(temp.path()).unwrap(), Supervised::Kept);
    }

    #[test]
    fn a_supervisor_that_cannot_be_run_is_no_error() {
        let (_temp, folder) = folder();
        let users = become_user(&folder).unwrap();
        ensure_supervisor(&folder, Some(Path::new("/no/such/program"))).unwrap();
        assert!(!is_supervised(&folder).unwrap());
        leave(&folder, users).unwrap();
    }
}
