//! Many gateways at once, each a process of its own, and gateways that are killed while they work.
//!
//! In `cargo test` gateways are killed for 8 seconds. `JACQUARD_SOAK=60` makes that 60 seconds, with 2,000 work items:
//!
//! ```sh
//! JACQUARD_SOAK=60 cargo test --test it fleet -- --nocapture --test-threads 1
//! ```
//!
//! With `--nocapture` each says what it did: how many gateways were killed, how many messages went with them, how many
//! items ended how.

mod channels;
mod ledger;
mod messages;
mod work;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use super::{register, with};
use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::{LIMIT, signal};

/// How long gateways are killed.
fn duration() -> Duration {
    let seconds = std::env::var("JACQUARD_SOAK").ok();
    let seconds = seconds.map(|text| text.parse().expect("JACQUARD_SOAK: a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(8))
}

/// Whether the long form is wanted.
fn long() -> bool {
    std::env::var_os("JACQUARD_SOAK").is_some()
}

/// The gateway of one agent, started again whenever it is gone, always as the same kind of agent.
struct Post {
    kind: String,
    capabilities: Vec<&'static str>,
    variables: Vec<(&'static str, &'static str)>,
    /// Of the gateway that runs; none while it is being started, and once it was killed.
    pid: Mutex<Option<u32>>,
}

impl Post {
    fn new(kind: impl Into<String>, capabilities: &[&'static str]) -> Self {
        Self {
            kind: kind.into(),
            capabilities: capabilities.to_vec(),
            variables: Vec::new(),
            pid: Mutex::default(),
        }
    }

    /// Starts a gateway and registers; from when it is started on it may be killed. The guid.
    async fn staffed(&self, place: &Place) -> (Agent, String) {
        let args = json!({"agentType": self.kind, "capabilities": self.capabilities});
        let started = Instant::now();
        loop {
            let agent = Agent::start(with(place, &self.variables)).await;
            *self.pid.lock().unwrap() = Some(agent.pid);
            let answer = agent.try_call("warp_registry_register", args.clone()).await;
            if let Ok(answer) = answer {
                assert!(!answer.error, "{}: {}", self.kind, answer.text);
                return (agent, super::text(&answer.structured["guid"]));
            }
            self.gone(&agent);
            assert!(started.elapsed() < LIMIT, "{} never registers", self.kind);
        }
    }

    /// Its gateway did not answer: that is right only if it was killed.
    fn gone(&self, agent: &Agent) {
        let pid = *self.pid.lock().unwrap();
        assert_eq!(
            pid,
            None,
            "a gateway of {} ended that nobody had killed:\n{}",
            self.kind,
            agent.stderr()
        );
    }

    /// Kills the gateway, if there is one.
    fn kill(&self) -> bool {
        let pid = self.pid.lock().unwrap().take();
        if let Some(pid) = pid {
            signal("-KILL", pid);
        }
        pid.is_some()
    }
}

/// Kills one of these gateways every second, until the time is over; how many were killed.
async fn reaper(posts: &[Post], dice: &Dice) -> usize {
    let until = Instant::now() + duration();
    let mut killed = 0;
    while Instant::now() < until {
        sleep(Duration::from_secs(1)).await;
        killed += usize::from(posts[dice.below(posts.len())].kill());
    }
    killed
}

/// Numbers by chance, the same ones for the same seed.
struct Dice(AtomicUsize);

impl Dice {
    fn new() -> Self {
        let seed = uuid::Uuid::new_v4().as_u64_pair().0 as usize | 1;
        println!("seed of the dice: {seed}");
        Self(AtomicUsize::new(seed))
    }

    /// From 0 to one less than `limit`.
    fn below(&self, limit: usize) -> usize {
        // SplitMix64: one addition for each number, so threads may share it.
        let step = 0x9e37_79b9_7f4a_7c15_u64 as usize;
        let mut z = self.0.fetch_add(step, Ordering::Relaxed) as u64;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as usize % limit
    }

    /// A time shorter than this.
    fn pause(&self, most: u64) -> Duration {
        Duration::from_millis(self.below(most as usize) as u64)
    }
}

/// An element of an answer, as a list.
fn list<'a>(answer: &'a Answer, field: &str) -> &'a Vec<serde_json::Value> {
    let list = answer.structured[field].as_array();
    list.unwrap_or_else(|| panic!("{field} in {answer:?}"))
}
