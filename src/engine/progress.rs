//! How far a call is, told to whoever has asked for it. What is not taken in time is dropped: it never holds a call up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::mpsc;

/// What waits to be told.
const WAITING: usize = 16;

/// One stand of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// How much is done: more each time.
    pub done: u32,
    /// How much there is to do.
    pub total: Option<u32>,
    /// What is going on.
    pub message: Option<String>,
}

/// Where a call tells how far it is. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Progress(Option<Asked>);

#[derive(Debug, Clone)]
struct Asked {
    told: mpsc::Sender<Done>,
    /// The most that was told.
    most: Arc<AtomicI64>,
}

impl Progress {
    /// For a client that has not asked.
    pub fn none() -> Self {
        Self::default()
    }

    /// For a client that has asked, and what it is to be told. The channel ends with the last clone.
    pub fn asked() -> (Self, mpsc::Receiver<Done>) {
        let (told, waiting) = mpsc::channel(WAITING);
        let most = Arc::new(AtomicI64::new(-1));
        (Self(Some(Asked { told, most })), waiting)
    }

    /// Whether anybody has asked.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Tells how far the call is, if that is more than before. Whether it was told; never waits.
    pub fn tell(&self, done: Done) -> bool {
        let Some(asked) = &self.0 else { return false };
        let now = i64::from(done.done);
        asked.most.fetch_max(now, Ordering::Relaxed) < now && asked.told.try_send(done).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(done: u32) -> Done {
        Done {
            done,
            total: None,
            message: None,
        }
    }

    #[test]
    fn it_only_grows_and_what_nobody_takes_is_dropped() {
        let (progress, mut told) = Progress::asked();
        assert!(progress.tell(done(0)) && progress.tell(done(2)));
        assert!(!progress.tell(done(2)) && !progress.clone().tell(done(1)));
        assert_eq!(told.try_recv().ok().map(|d| d.done), Some(0));
        assert_eq!(told.try_recv().ok().map(|d| d.done), Some(2));
        assert!(told.try_recv().is_err());
        let taken = (3..100).filter(|n| progress.tell(done(*n))).count();
        assert_eq!(taken, WAITING);
        assert!(!Progress::none().tell(done(1)));
    }
}
