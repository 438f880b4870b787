//! What a pack keeps on NATS: streams and buckets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::{List, Map, Text};
use crate::spec::tree::{Expr, Flag, Size, Span, Token, Tree, Whole};

/// A JetStream stream. Existing streams are used as they are, and only changed where `adjust` says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// An expression over `project` and `config`: the stream is only there if this holds. A step that names it fails
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
    /// An expression that yields a list: one stream for each element, called `item` in the keys below. A step
    /// picks one by `with:`, which names fields of the element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Expr>,
    /// Names of values that a step must give in `with:`; each combination is a stream of its own, made on first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<List<Text>>,
    /// The stream's name.
    pub name: Token,
    /// The subjects it stores.
    pub subjects: List<Token>,
    /// When messages go: by `limits` (the default), once acknowledged (`workqueue`), or once all consumers have
    /// acknowledged (`interest`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// On disk (`file`, the default) or in `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// The most messages it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<Whole>,
    /// The most messages it keeps of one subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_messages_per_subject: Option<Whole>,
    /// The most bytes it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
    /// The largest message it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<Size>,
    /// How long it keeps messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// At a limit: drop the `old` messages (the default), or refuse the `new` one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard: Option<Discard>,
    /// How long a message id is remembered, to recognise duplicates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_window: Option<Span>,
    /// Copies in a cluster: 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Whole>,
    /// If true, the limits of a stream that exists (`max_age`, `max_bytes`, `max_messages`, `max_messages_per_subject`) are
    /// changed to those that are given here, and direct reading is allowed. Nothing is changed when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjust: Option<Flag>,
}

/// A JetStream key-value bucket. Existing buckets are used as they are and never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Names of values that a step must give in `with:`; each combination is a bucket of its own, made on first use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<List<Text>>,
    /// The bucket's name.
    pub name: Token,
    /// Revisions kept of each key: 1 (the default) to 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Whole>,
    /// How long an entry lives after it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Allows a time to live of its own for an entry, and keeps a mark of its end for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_markers: Option<Span>,
    /// The most bytes it keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Size>,
    /// The largest value it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_value_size: Option<Size>,
    /// On disk (`file`, the default) or in `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Copies in a cluster: 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Whole>,
    /// Kept in memory by the gateway from the first `list` on, so that listing costs one small request whatever the bucket
    /// holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<bool>,
}

/// One key of a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRef {
    /// A bucket of this pack.
    pub bucket: Text,
    /// Which of the bucket's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// The key.
    pub key: Token,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }
    };
}

words! {
    /// When a stream's messages go.
    Retention {
        /// At the stream's limits.
        Limits,
        /// Once acknowledged.
        Workqueue,
        /// Once every consumer has acknowledged.
        Interest,
    }
}
words! {
    /// Where messages are kept.
    Storage {
        /// On disk.
        File,
        /// In memory, lost when the server ends.
        Memory,
    }
}
words! {
    /// What gives way at a limit.
    Discard {
        /// The oldest messages.
        Old,
        /// The new message, which is refused.
        New,
    }
}
