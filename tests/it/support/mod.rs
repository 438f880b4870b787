//! What several tests use.

pub mod fetched;
pub mod http;
pub mod listening;
pub mod logs;
pub mod mcp;
pub mod mesh;
pub mod place;
pub mod raw;
pub mod sdk;
pub mod server;
pub mod worker;

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before a test gives up.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Sends a signal (`-TERM`, `-KILL`) to a process.
pub fn signal(name: &str, pid: u32) {
    let mut kill = std::process::Command::new("kill");
    let done = kill.args([name, &pid.to_string()]).status().unwrap();
    assert!(done.success(), "kill {name} {pid}");
}

/// The memory that a process uses, in bytes, where the system tells.
pub fn memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Waits until the condition holds, and says how long that took.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LIMIT, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    started.elapsed()
}
