//! Changing what others change at the same time: read, change, write if nobody else has, and again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// The most tries. Every lost try is one that somebody else has won, so a hundred of them are bad luck only where many
/// more than ten contend all the time.
pub const TRIES: u32 = 100;
/// The longest wait before a try is two to this power, in milliseconds.
const MOST: u32 = 6;

/// Counts the tries of one change.
#[derive(Debug, Default)]
pub struct Contest {
    tried: u32,
}

impl Contest {
    /// Whether to try (again). All but the first try come after a random moment, so that those who met once do not
    /// meet again. False after [`TRIES`].
    pub async fn again(&mut self) -> bool {
        if self.tried == TRIES {
            return false;
        }
        if self.tried > 0 {
            let most = 1_000_u64 << self.tried.min(MOST);
            let micros = RandomState::new().hash_one(Instant::now()) % most;
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        self.tried += 1;
        true
    }
}
