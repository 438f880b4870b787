//! Watching what a gateway is made from.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::Origin;
use crate::catalog::Sources;
use crate::gateway::Gateway;
use crate::gateway::lookout::{CHECK, Lookout, settle};

/// How long files must be quiet before they are read, and how long that may take. Editors and programs write in several steps.
const QUIET: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// How often files are looked at although nothing was said of them: other machines' changes on a network file system.
const ANYWAY: Duration = Duration::from_secs(10);
/// The least pause between two reloads, and the smallest part of the time that is spent on them and on looking.
const PAUSE: (Duration, u32) = (Duration::from_millis(500), 2);
/// How far the clock of a file system may be behind.
const BEHIND: Duration = Duration::from_millis(10);
/// The most files of one folder, and the most bytes of a file that are looked at.
const MOST: (usize, u64) = (1_000, 8 << 20);

/// When a gateway reloads.
pub struct Reloading {
    /// From where.
    pub origin: Arc<dyn Origin>,
    /// Whether it does when a file has changed.
    pub watch: bool,
    /// It does when this is notified.
    pub asked: Arc<Notify>,
    /// When what is served was begun to be read.
    pub since: SystemTime,
}

impl Gateway {
    /// Reloads whenever that is asked for, or a file has changed. Ends never.
    pub async fn keep_reloaded(self: &Arc<Self>, reloading: Reloading) {
        let Reloading {
            origin,
            watch,
            asked,
            mut since,
        } = reloading;
        self.reloads.note_origin(origin.files());
        let look = Arc::new(Notify::new());
        let eye = Arc::new(Mutex::new(Eye::new(Arc::clone(&look))));
        loop {
            tokio::select! {
                () = asked.notified() => tracing::info!("asked to reload"),
                () = self.changed(&eye, &look, since), if watch => {}
            }
            let begun = Instant::now();
            since = SystemTime::now();
            self.note(&eye).await;
            self.reload(&origin).await;
            sleep(PAUSE.0.max(begun.elapsed() * PAUSE.1)).await;
        }
    }

    /// Notes what the files say that are about to be read: what is written from now on is a change, also where it was so before.
    async fn note(&self, eye: &Arc<Mutex<Eye>>) {
        let (eye, sources) = (Arc::clone(eye), self.reloads.sources());
        let noted = tokio::task::spawn_blocking(move || {
            let mut eye = eye.lock().unwrap_or_else(PoisonError::into_inner);
            eye.before = Some((sources.clone(), Snapshot::of(&sources)));
            eye.is_fresh = true;
        });
        // The panic hook has logged it.
        let _ = noted.await;
    }

    /// Waits until a file is other than it was when it was read, at `since`.
    async fn changed(&self, eye: &Arc<Mutex<Eye>>, look: &Arc<Notify>, since: SystemTime) {
        let mut asked = true;
        loop {
            let (eye, sources) = (Arc::clone(eye), self.reloads.sources());
            let begun = Instant::now();
            let seen = tokio::task::spawn_blocking(move || {
                // A panic in a look leaves at worst an old one.
                let mut eye = eye.lock().unwrap_or_else(PoisonError::into_inner);
                eye.look(sources, asked, since)
            });
            match seen.await {
                Ok(true) => return,
                Ok(false) => sleep(begun.elapsed() * PAUSE.1).await,
                // The panic hook has logged it.
                Err(_) => sleep(ANYWAY).await,
            }
            asked = timeout(CHECK, look.notified()).await.is_ok();
            if asked {
                settle(look, QUIET.0, QUIET.1).await;
            }
        }
    }
}

/// What looks at files.
struct Eye {
    lookout: Lookout,
    before: Option<(Sources, Snapshot)>,
    last: Option<Instant>,
    /// Whether files were read since the last look.
    is_fresh: bool,
    /// Whether it was said already that not all folders are watched.
    complained: bool,
}

impl Eye {
    fn new(look: Arc<Notify>) -> Self {
        Self {
            lookout: Lookout::new(look),
            before: None,
            last: None,
            is_fresh: false,
            complained: false,
        }
    }

    /// Whether a file is other than at the last look, or than at `since` where there was none. It is looked if that is `asked`
    /// for, if other folders are watched than before, or if the last time is long ago. Blocks.
    fn look(&mut self, sources: Sources, asked: bool, since: SystemTime) -> bool {
        let another = self.follow(&sources);
        let pause = if self.lookout.is_watching() {
            ANYWAY
        } else {
            CHECK
        };
        let old = self.last.is_none_or(|last| last.elapsed() >= pause);
        if !asked && !another && !old {
            return false;
        }
        self.last = Some(Instant::now());
        let now = Snapshot::of(&sources);
        let changed = match &self.before {
            // What was written while the files were read may have been there before, and is not what is served.
            Some((same, before)) if *same == sources => {
                *before != now || (self.is_fresh && now.is_younger(since))
            }
            // Others are looked at than before: the new ones were read since.
            before => {
                let before = before.as_ref().map(|(_, snapshot)| snapshot);
                before.is_some_and(|before| before.differs(&now))
                    || now.is_younger(since)
                    || has_younger(&sources, since)
            }
        };
        self.before = Some((sources, now));
        self.is_fresh = false;
        changed
    }

    fn follow(&mut self, sources: &Sources) -> bool {
        let folders = sources.folders().into_iter().map(|path| (path, false));
        let followed = self.lookout.follow(&folders.collect::<Vec<_>>());
        if let Some(error) = followed.problem
            && !std::mem::replace(&mut self.complained, true)
        {
            tracing::warn!(
                "watching specs and configs: {error}; they are looked at now and then instead"
            );
        }
        followed.another
    }
}

/// What files say.
#[derive(Debug, PartialEq, Eq)]
struct Snapshot(BTreeMap<PathBuf, Option<Print>>);

/// What a file says, and when it was changed. Who only touches it changes nothing.
#[derive(Debug)]
struct Print {
    content: u64,
    modified: Option<SystemTime>,
}

impl PartialEq for Print {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

impl Eq for Print {}

impl Snapshot {
    fn of(sources: &Sources) -> Self {
        let files = sources.listed(MOST.0).into_iter();
        Self(
            files
                .map(|path| (print(&path), path))
                .map(|(p, path)| (path, p))
                .collect(),
        )
    }

    /// Whether a file that both know is another.
    fn differs(&self, other: &Self) -> bool {
        let known = |(path, print): (&PathBuf, &Option<Print>)| {
            self.0.get(path).is_some_and(|before| before != print)
        };
        other.0.iter().any(known)
    }

    fn is_younger(&self, since: SystemTime) -> bool {
        let mut times = self.0.values().flatten().filter_map(|print| print.modified);
        times.any(|time| is_younger(time, since))
    }
}

/// Whether a folder of the sources has got or lost files.
fn has_younger(sources: &Sources, since: SystemTime) -> bool {
    let mut folders = sources.pack_folders();
    folders.any(|folder| {
        let modified = fs::metadata(folder).and_then(|about| about.modified());
        modified.is_ok_and(|time| is_younger(time, since))
    })
}

fn is_younger(time: SystemTime, since: SystemTime) -> bool {
    time.checked_add(BEHIND).is_none_or(|time| time >= since)
}

/// `None` where there is no file.
fn print(path: &Path) -> Option<Print> {
    let about = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut hasher = DefaultHasher::new();
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MOST.1).read_to_end(&mut bytes));
    match read {
        Ok(_) => (about.len(), bytes).hash(&mut hasher),
        Err(error) => error.kind().hash(&mut hasher),
    }
    Some(Print {
        content: hasher.finish(),
        modified: about.modified().ok(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn eye() -> Eye {
        Eye::new(Arc::new(Notify::new()))
    }

    #[test]
    fn what_is_read_again_is_what_says_something_else() {
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("mine");
        fs::create_dir(&pack).unwrap();
        let file = |name: &str, text: &str| fs::write(pack.join(name), text).unwrap();
        file("a.yaml", "1");
        let mut sources = Sources::default();
        sources.add_pack(&pack);
        let later = SystemTime::now() + Duration::from_secs(10);
        let mut eye = eye();
        let mut look = |sources: &Sources| eye.look(sources.clone(), true, later);
        assert!(!look(&sources), "the first look");
        file("a.yaml", "1");
        assert!(!look(&sources), "touched");
        file("a.yaml", "2");
        assert!(look(&sources) && !look(&sources), "written");
        file("b.yaml", "1");
        assert!(look(&sources), "added");
        file("new", "3");
        assert!(!look(&sources), "no spec");
        fs::rename(pack.join("new"), pack.join("a.yaml")).unwrap();
        assert!(look(&sources), "replaced by a rename");
        fs::remove_file(pack.join("b.yaml")).unwrap();
        assert!(look(&sources), "removed");
        let document = folder.path().join("doc.yaml");
        sources.files.insert(document.clone());
        assert!(!look(&sources), "one more is looked at, which is not there");
        fs::write(document, "x").unwrap();
        assert!(look(&sources), "it came");
    }

    #[test]
    fn what_was_written_while_it_was_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "1").unwrap();
        let mut sources = Sources::default();
        sources.add_pack(folder.path());
        let before = SystemTime::now() - Duration::from_secs(10);
        let mut eye = eye();
        assert!(eye.look(sources.clone(), true, before));
        assert!(!eye.look(sources, true, before));
    }
}
