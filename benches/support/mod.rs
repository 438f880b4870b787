//! What the benchmark is made of: the bed it runs on, the client, the cases, the table.

pub mod agents;
pub mod bed;
pub mod calls;
pub mod client;
pub mod history;
pub mod http;
pub mod inside;
pub mod latest;
pub mod listing;
pub mod push;
pub mod start;
pub mod table;
pub mod web;
pub mod work;
pub mod workers;

/// A result with any error: the run ends with its text.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// How many samples are taken.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Starts of the program, for each state of NATS.
    pub starts: usize,
    /// Calls of each kind.
    pub calls: usize,
    /// Sends of the throughput run.
    pub burst: usize,
    /// Messages in the channel that is read.
    pub stored: u64,
    /// Pages read.
    pub pages: usize,
    /// Sessions over HTTP.
    pub sessions: usize,
    /// Repetitions of what takes nanoseconds.
    pub repeats: usize,
}

impl Scale {
    /// The full scale; the small one with `JACQUARD_BENCH_QUICK=1`, and when `cargo test` runs the benchmark to see that
    /// it works.
    pub fn from_env() -> Self {
        let quick = std::env::var_os("JACQUARD_BENCH_QUICK").is_some_and(|v| v != "0");
        if quick || !std::env::args().any(|argument| argument == "--bench") {
            return Self {
                starts: 5,
                calls: 200,
                burst: 2_000,
                stored: 5_000,
                pages: 30,
                sessions: 50,
                repeats: 2_000,
            };
        }
        Self {
            starts: 60,
            calls: 5_000,
            burst: 50_000,
            stored: 100_000,
            pages: 500,
            sessions: 1_000,
            repeats: 100_000,
        }
    }
}
