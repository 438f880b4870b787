//! File locks between processes, on the locks of the standard library.
//!
//! They are advisory and belong to the open file, so the system drops them when a process dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::{Error, ErrorKind};

/// How often a bounded wait looks again.
const POLL: Duration = Duration::from_millis(5);

/// How a lock is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

/// A lock that is held until this value is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: Option<File>,
}

impl Lock {
    /// Takes the lock if it is free: `None` when somebody else has it.
    pub(super) fn try_take(path: &Path, mode: Mode) -> Result<Option<Self>, Error> {
        let file = open(path)?;
        let tried = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match tried {
            Ok(()) => Ok(Some(Self { file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io("lock", path, error)),
        }
    }

    /// Takes the lock, waiting for at most `limit`; [`ErrorKind::Busy`] after that.
    pub(super) fn take_within(path: &Path, mode: Mode, limit: Duration) -> Result<Self, Error> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(lock) = Self::try_take(path, mode)? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!(
                        "another process has held {} for over {} s; end that process, or try again",
                        path.display(),
                        limit.as_secs()
                    ),
                ));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Blocks until nobody holds the lock. Has no bound: only for a process that lives for this wait.
    pub(super) fn wait_until_free(path: &Path) -> Result<(), Error> {
        let file = open(path)?;
        loop {
            match file.lock() {
                Ok(()) => return file.unlock().map_err(|e| Error::io("unlock", path, e)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("lock", path, error)),
            }
        }
    }

    /// Gives away the open file with its lock, to be inherited by a child process.
    #[cfg(unix)]
    pub(super) fn into_file(mut self) -> Option<File> {
        self.file.take()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone is not enough: a child that another thread is just spawning has a copy until it execs.
        if let Some(file) = self.file.take()
            && let Err(error) = file.unlock()
        {
            tracing::debug!(%error, "a file lock could not be released; closing releases it");
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|error| Error::io("open", path, error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn an_exclusive_lock_keeps_others_out_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let held = Lock::take_within(&path, Mode::Exclusive, Duration::ZERO).unwrap();
        assert!(Lock::try_take(&path, Mode::Shared).unwrap().is_none());
        let error = Lock::take_within(&path, Mode::Shared, Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        drop(held);
        assert!(Lock::try_take(&path, Mode::Exclusive).unwrap().is_some());
    }

    #[test]
    fn shared_locks_go_together_and_are_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let one = Lock::try_take(&path, Mode::Shared).unwrap().unwrap();
        let two = Lock::try_take(&path, Mode::Shared).unwrap().unwrap();
        let waiter = {
            let path = path.clone();
            std::thread::spawn(move || Lock::wait_until_free(&path))
        };
        drop(one);
        std::thread::sleep(Duration::from_millis(30));
        assert!(!waiter.is_finished(), "a sharer is still there");
        drop(two);
        waiter.join().unwrap().unwrap();
    }
}
