//! Jacquard: MCP tools declared in YAML and carried on NATS JetStream.
#![forbid(unsafe_code)]
// Futures hold one another: a large one makes deep stacks, and each session waits in several of them.
#![warn(clippy::large_futures)]

pub mod bus;
pub mod catalog;
pub mod cli;
pub mod engine;
pub mod files;
pub mod gateway;
pub mod project;
pub mod spec;
