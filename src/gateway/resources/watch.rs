//! Watching a folder of resources.
//!
//! The operating system says that something has happened; what has, is found by comparing two looks at the folder. So
//! nothing depends on which events a system reports, and none that is lost is missed for long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::compare::{Differences, Snapshot};
use super::source::Source;
use crate::files::MAX_VISITED;
use crate::gateway::Change;
use crate::gateway::lookout::{CHECK, Lookout, settle};

/// How long a folder must be quiet before it is looked at, and how long that may take.
const QUIET: (Duration, Duration) = (Duration::from_millis(75), Duration::from_millis(500));
/// How often a folder is looked at although nothing was said of it: other machines' changes on a network file system.
const ANYWAY: Duration = Duration::from_secs(30);
/// The smallest part of the time that is spent on looking at a folder of which nothing was said, and at any.
const SHARE: (u32, u32) = (100, 4);

/// Watches a folder and tells what has changed in it, for ever. `look` says that there may be something to see. Counts
/// `unwatched` down once the first look is done.
pub(super) async fn keep(
    source: Arc<Source>,
    look: Arc<Notify>,
    unwatched: watch::Sender<usize>,
    tell: impl Fn(Change),
) {
    let mut eye = Eye::new(Arc::clone(&source), Arc::clone(&look));
    let mut asked = true;
    let mut first = true;
    loop {
        let seen = tokio::task::spawn_blocking(move || {
            let found = eye.look(asked);
            (eye, found)
        });
        let Ok((back, found)) = seen.await else {
            // The panic hook has logged it.
            return unwatched.send_modify(|left| *left = left.saturating_sub(usize::from(first)));
        };
        eye = back;
        if let Some(differences) = found {
            if std::mem::take(&mut first) {
                unwatched.send_modify(|left| *left = left.saturating_sub(1));
            } else {
                announce(&source, differences, &tell);
            }
            sleep(eye.took * SHARE.1).await;
        }
        asked = timeout(CHECK, look.notified()).await.is_ok();
        if asked {
            settle(&look, QUIET.0, QUIET.1).await;
        }
    }
}

fn announce(source: &Source, differences: Differences, tell: &impl Fn(Change)) {
    if differences.listed {
        tell(Change::Resources);
    }
    for name in differences.updated {
        tell(Change::Updated(source.uri(&name)));
    }
}

/// What looks at a folder.
struct Eye {
    source: Arc<Source>,
    lookout: Lookout,
    before: Snapshot,
    last: Option<Instant>,
    /// How long the last look took.
    took: Duration,
    /// Whether it was said already that the folder cannot be watched, or not all of it.
    complained: bool,
}

impl Eye {
    fn new(source: Arc<Source>, look: Arc<Notify>) -> Self {
        Self {
            source,
            lookout: Lookout::new(look),
            before: Snapshot::default(),
            last: None,
            took: Duration::ZERO,
            complained: false,
        }
    }

    /// Looks at the folder if it was asked to, if the folder is another one, or if the last time is long ago. `None`:
    /// it was not looked at. Blocks.
    fn look(&mut self, asked: bool) -> Option<Differences> {
        let another = self.follow();
        let pause = if self.lookout.is_watching() {
            ANYWAY
        } else {
            CHECK
        };
        let pause = pause.max(self.took * SHARE.0);
        let old = self.last.is_none_or(|last| last.elapsed() >= pause);
        if !asked && !another && !old {
            return None;
        }
        let begun = Instant::now();
        let now = match self.source.open() {
            Ok(None) => Some(Snapshot::default()),
            Ok(Some(folder)) => match folder.list(&self.source.listing(None, MAX_VISITED)) {
                Ok(listed) => {
                    if listed.truncated {
                        self.complain("it has too many files; not all of their changes are told");
                    }
                    Some(Snapshot::of(listed.files))
                }
                Err(error) => self.blind(&error.to_string()),
            },
            Err(error) => self.blind(&error.to_string()),
        };
        self.last = Some(Instant::now());
        self.took = begun.elapsed();
        // What cannot be seen just now counts as it was.
        let Some(now) = now else {
            return Some(Differences::default());
        };
        let differences = self.before.differences(&now);
        self.before = now;
        Some(differences)
    }

    /// Watches the folder that is at the path now; whether it is another one than before.
    fn follow(&mut self) -> bool {
        let Some((place, recursive)) = self.source.place() else {
            return false;
        };
        let followed = self.lookout.follow(&[(place.path.clone(), recursive)]);
        if let Some(error) = followed.problem {
            self.complain(&format!("{error}; it is looked at now and then instead"));
        }
        followed.another
    }

    fn blind(&mut self, problem: &str) -> Option<Snapshot> {
        self.complain(problem);
        None
    }

    fn complain(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            let resources = &self.source.name;
            tracing::warn!(resources, "watching the folder of resources: {problem}");
        }
    }
}
