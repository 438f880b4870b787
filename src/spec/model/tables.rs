//! What a gateway keeps beside NATS: tables in memory, and journals on disk.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::{List, Map, Text};
use crate::spec::tree::{Expr, Span, Token, Tree, Whole};

/// How long an entry of a table may live.
pub const TABLE_TTL: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// The most entries that a table may be allowed.
pub const TABLE_ENTRIES: usize = 100_000;

/// A table in memory, one in each gateway, that is made of the messages of a stream: the newest message of a key is its
/// entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// The stream of the messages.
    pub stream: Text,
    /// Which of the stream's instances. May use `project` and `config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// Only messages on these subjects, which may have wildcards: all of the stream when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<List<Token>>,
    /// Only messages (`item`) for which this holds; the others are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// An expression over the message (`item`) that yields the key: a text or a number. A message without one is passed over.
    pub key: Expr,
    /// The value, made of the message (`item`). `omit` takes the entry away.
    pub value: Tree,
    /// How long an entry lives after its message was stored: 1s to 24h. What was stored that long ago is read at the start.
    pub ttl: Span,
    /// The most entries: 1 to 100000, 10000 when not given. The oldest go first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_entries: Option<Whole>,
}

/// A text file of this machine that the verb `append` writes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Its path, relative to the folder of the config. May use `project` and `config`. With null or an empty text nothing is
    /// written.
    pub file: Tree,
}
