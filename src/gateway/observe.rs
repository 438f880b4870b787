//! What is counted and timed, for whoever watches the gateway. Without a recorder (on stdio) it costs next to nothing.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::sessions::Counts;

/// Calls of tools, by tool and outcome.
pub const CALLS: &str = "jacquard_tool_calls_total";
/// How long calls take, by tool.
pub const CALL_SECONDS: &str = "jacquard_tool_call_seconds";
/// What was asked for beside calls: prompts, completions and resources that steps make, by name and outcome.
pub const ASKED: &str = "jacquard_asked_total";
/// How long that takes, by what it is.
pub const ASKED_SECONDS: &str = "jacquard_asked_seconds";
/// Failures of tools, by kind.
pub const ERRORS: &str = crate::engine::failure::COUNTER;
/// Answers that no call waited for, by inbox.
pub const UNCLAIMED: &str = crate::engine::inbox::UNCLAIMED;
/// Requests over HTTP, by status.
pub const REQUESTS: &str = "jacquard_http_requests_total";
/// Notifications that clients have taken.
pub const PUSHES: &str = "jacquard_pushes_total";
/// Reloads, by outcome.
pub const RELOADS: &str = "jacquard_reloads_total";
/// From the making of a notification to its taking.
pub const PUSH_SECONDS: &str = "jacquard_push_delay_seconds";
/// Tasks that have ended, by how they did.
pub const TASKS_ENDED: &str = "jacquard_tasks_ended_total";
/// Tasks that another gateway had begun and this one goes on with.
pub const TASKS_TAKEN: &str = "jacquard_tasks_taken_over_total";
const TASKS_RUNNING: &str = "jacquard_tasks_running";
const IN_FLIGHT: &str = "jacquard_http_requests_in_flight";
const STREAMS: &str = "jacquard_http_streams";
const SESSIONS: &str = "jacquard_sessions";
const BOUND: &str = "jacquard_sessions_bound";
const CONNECTED: &str = "jacquard_nats_connected";
const RECONNECTS: &str = "jacquard_nats_reconnects_total";
const UPTIME: &str = "jacquard_uptime_seconds";

/// The limits of a histogram's buckets, in seconds: from what a call in memory takes to what NATS may take.
pub const BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

/// Says what the numbers mean.
pub fn describe() {
    describe_counter!(CALLS, "Calls of tools, by tool and outcome");
    describe_histogram!(CALL_SECONDS, "How long calls take, by tool");
    describe_counter!(
        ASKED,
        "Prompts, completions and resources made by steps, by name and outcome"
    );
    describe_histogram!(ASKED_SECONDS, "How long these take, by what it is");
    describe_counter!(ERRORS, "Failures of tools, by kind");
    describe_counter!(UNCLAIMED, "Answers that no call waited for, by inbox");
    describe_counter!(REQUESTS, "Requests over HTTP, by status");
    describe_counter!(PUSHES, "Notifications that clients have taken");
    describe_counter!(RELOADS, "Reloads, by outcome");
    describe_histogram!(
        PUSH_SECONDS,
        "From the making of a notification to its taking"
    );
    describe_counter!(TASKS_ENDED, "Tasks that have ended, by how they did");
    describe_counter!(
        TASKS_TAKEN,
        "Tasks of other gateways that this one goes on with"
    );
    describe_gauge!(TASKS_RUNNING, "Tasks that run here");
    describe_gauge!(IN_FLIGHT, "Requests that are worked on");
    describe_gauge!(STREAMS, "Open streams of notifications");
    describe_gauge!(SESSIONS, "Sessions in memory");
    describe_gauge!(BOUND, "Sessions in memory in which something is set");
    describe_gauge!(CONNECTED, "Whether NATS is connected: 1 or 0");
    describe_counter!(RECONNECTS, "How often NATS was connected again");
    describe_gauge!(UPTIME, "Seconds since the start");
    counter!(RECONNECTS).absolute(0);
}

/// A call has ended. `tool` is one that exists: names that clients make up would be numbers without end.
pub fn call(tool: &str, outcome: &'static str, took: Duration) {
    counter!(CALLS, "tool" => tool.to_owned(), "outcome" => outcome).increment(1);
    histogram!(CALL_SECONDS, "tool" => tool.to_owned()).record(took.as_secs_f64());
}

/// A prompt, a completion or a resource was made of steps, or could not be. `name` is one that is declared.
pub fn asked(what: &'static str, name: &str, outcome: &'static str, took: Duration) {
    counter!(ASKED, "what" => what, "name" => name.to_owned(), "outcome" => outcome).increment(1);
    histogram!(ASKED_SECONDS, "what" => what).record(took.as_secs_f64());
}

/// A request over HTTP has been answered with this status.
pub fn request(status: u16) {
    counter!(REQUESTS, "status" => status.to_string()).increment(1);
}

/// A client takes a notification, so long after it was made.
pub fn push(waited: Duration) {
    counter!(PUSHES).increment(1);
    histogram!(PUSH_SECONDS).record(waited.as_secs_f64());
}

/// So many tasks run here now.
pub fn tasks(running: usize) {
    gauge!(TASKS_RUNNING).set(u32::try_from(running).unwrap_or(u32::MAX));
}

/// A task has ended.
pub fn task_ended(how: &'static str) {
    counter!(TASKS_ENDED, "status" => how).increment(1);
}

/// This gateway goes on with a task of another one.
pub fn task_taken() {
    counter!(TASKS_TAKEN).increment(1);
}

/// What is served was read again.
pub fn reload(outcome: &'static str) {
    counter!(RELOADS, "outcome" => outcome).increment(1);
}

/// NATS is connected again.
pub fn reconnected() {
    counter!(RECONNECTS).increment(1);
}

/// How things stand now.
pub fn now(in_flight: usize, streams: usize, sessions: Counts, connected: bool, uptime: Duration) {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    gauge!(IN_FLIGHT).set(count(in_flight));
    gauge!(STREAMS).set(count(streams));
    gauge!(SESSIONS).set(count(sessions.memory));
    gauge!(BOUND).set(count(sessions.bound));
    gauge!(CONNECTED).set(if connected { 1.0 } else { 0.0 });
    gauge!(UPTIME).set(uptime.as_secs_f64());
}
