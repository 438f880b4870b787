//! Watching folders: the operating system says that something has happened in one of them. What has, is for whoever looks; so
//! nothing depends on which events a system reports.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How often it should be seen whether the folders are still those that are watched.
pub(super) const CHECK: Duration = Duration::from_secs(2);

/// Whether folders in a folder are watched too.
pub(super) type Recursive = bool;

/// What watches folders.
pub(super) struct Lookout {
    look: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    /// A folder that is watched was removed or renamed.
    left: Arc<AtomicBool>,
    watched: BTreeMap<PathBuf, (Recursive, Option<Identity>)>,
}

/// What came of [`Lookout::follow`].
pub(super) struct Followed {
    /// Whether other folders are watched than before.
    pub(super) another: bool,
    /// Why not all of those that are there are watched.
    pub(super) problem: Option<notify::Error>,
}

impl Lookout {
    /// Notifies `look` when something happens.
    pub(super) fn new(look: Arc<Notify>) -> Self {
        Self {
            look,
            watcher: None,
            left: Arc::default(),
            watched: BTreeMap::new(),
        }
    }

    /// Whether the operating system says what happens.
    pub(super) fn is_watching(&self) -> bool {
        self.watcher.is_some()
    }

    /// Watches the folders that are at these paths now. Blocks.
    pub(super) fn follow(&mut self, folders: &[(PathBuf, Recursive)]) -> Followed {
        let now: BTreeMap<_, _> = folders
            .iter()
            .map(|(path, recursive)| (path.clone(), (*recursive, identity(path))))
            .collect();
        let left = self.left.swap(false, Ordering::Relaxed);
        if now == self.watched && !left {
            return Followed {
                another: false,
                problem: None,
            };
        }
        // The old one goes first: systems have few.
        self.watcher = None;
        self.watched = now;
        let problem = self.watch().err();
        Followed {
            another: true,
            problem,
        }
    }

    fn watch(&mut self) -> notify::Result<()> {
        let there = self.watched.iter().filter(|(_, (_, id))| id.is_some());
        let folders: Vec<_> = there
            .map(|(path, (recursive, _))| (path.clone(), *recursive))
            .collect();
        if folders.is_empty() {
            return Ok(());
        }
        let mut watcher = self.watcher(folders.iter().map(|(path, _)| path.clone()).collect())?;
        let mut outcome = Ok(());
        for (path, recursive) in folders {
            let mode = if recursive {
                RecursiveMode::Recursive
            } else {
                RecursiveMode::NonRecursive
            };
            outcome = watcher.watch(&path, mode).and(outcome);
        }
        if outcome.is_ok() {
            self.watcher = Some(watcher);
        }
        outcome
    }

    fn watcher(&self, folders: Vec<PathBuf>) -> notify::Result<RecommendedWatcher> {
        let (look, left) = (Arc::clone(&self.look), Arc::clone(&self.left));
        let handler = move |event: notify::Result<Event>| {
            // An error may mean that events were lost.
            let Ok(event) = event else {
                return look.notify_one();
            };
            let moves = matches!(
                event.kind,
                EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
            );
            if moves && event.paths.iter().any(|path| folders.contains(path)) {
                left.store(true, Ordering::Relaxed);
            }
            if changes(&event) {
                look.notify_one();
            }
        };
        RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))
    }
}

/// Waits until nothing has been said for `quiet`, but no longer than `most`.
pub(super) async fn settle(look: &Notify, quiet: Duration, most: Duration) {
    let silence = async { while timeout(quiet, look.notified()).await.is_ok() {} };
    let _ = timeout(most, silence).await;
}

/// Whether an event can mean a change: who only reads, as this program does, changes nothing.
fn changes(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// What tells a folder from another one that has taken its path.
#[derive(Debug, PartialEq, Eq)]
struct Identity(u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let about = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
    Some(Identity(about.dev(), about.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    let about = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
    let created = about
        .created()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    Some(Identity(
        created.as_secs(),
        u64::from(created.subsec_nanos()),
    ))
}
