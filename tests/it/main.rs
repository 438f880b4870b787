//! The integration tests, in one binary: the real program, a real nats-server, real MCP clients.
// Measured times are printed for whoever runs a test with `--nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod agents;
mod bus;
mod cli;
mod docs;
mod engine;
mod fuzzed;
mod gateway;
mod http;
mod local;
mod loom;
mod reload;
mod sdk;
mod support;
mod warp;
