//! Jacquard: MCP tools declared in YAML and carried on NATS JetStream.
#![forbid(unsafe_code)]

pub mod bus;
pub mod catalog;
pub mod cli;
pub mod engine;
pub mod files;
pub mod gateway;
pub mod project;
pub mod spec;
