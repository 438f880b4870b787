//! What a config says of how long clients may keep what they are told.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::tree::parse_span;

/// How long clients may keep lists and what resources say, without asking again. Clients of MCP 2026-07-28 and later are told so.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// For how long: `0s` when not given, a number of seconds or a time span. What changes meanwhile is announced all the same to
    /// clients that listen.
    #[serde(default)]
    pub ttl: Option<Ttl>,
    /// Who may keep it.
    #[serde(default)]
    pub scope: Scope,
}

/// A time: seconds, or a time span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Ttl {
    /// Seconds: a week at the most.
    Seconds(#[schemars(range(max = 604_800))] u64),
    /// A time span.
    Span(#[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h|d)$"))] String),
}

/// Who may keep what a client is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Only the client itself, for its user. It is always so where clients log in.
    #[default]
    Private,
    /// Anybody, such as a proxy that serves it to others.
    Public,
}

impl Ttl {
    /// The time.
    pub fn time(&self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds) => Some(Duration::from_secs(*seconds)),
            Self::Span(text) => parse_span(text),
        }
    }
}
