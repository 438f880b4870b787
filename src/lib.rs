//! Jacquard: MCP tools declared in YAML and carried on NATS JetStream.
#![forbid(unsafe_code)]

pub mod catalog;
pub mod spec;
