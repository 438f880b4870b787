//! Queues of work, and where their dead letters go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::{List, Map, Text};
use crate::spec::tree::{Expr, Span, Token, Tree, Whole};

/// A queue of work: items that are claimed for a time, extended, completed or given back. What is given back too often, or
/// cannot be worked on, goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// Names of values that a step gives in `with:` or `from:`; each combination is a lane of its own. The values may be any
    /// text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<List<Text>>,
    /// The stream of the items, with `retention: workqueue`.
    pub stream: Text,
    /// Which of the stream's instances; may use the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// What the subjects of the items begin with: the values of the parameters (through the filter `token`) and the level
    /// follow. With `consumer` the whole subject, which may use the parameters.
    pub subject: Token,
    /// The durable consumer of another program: the queue is then one line, first in, first out, on exactly this subject and
    /// this durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<Token>,
    /// Levels of urgency: 1 (the default) to 100. A higher level is claimed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<Whole>,
    /// How long a claim holds unless it is extended: 1s to 24h.
    pub lease: Span,
    /// How often an item is handed out before it becomes a dead letter: 1 to 1000.
    pub attempts: Whole,
    /// An expression over the message (`item`) that yields the id of the work item. A message without one is a dead letter.
    pub id: Expr,
    /// An expression over the message (`item`) that yields the time after which the item is a dead letter (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expr>,
    /// An expression over the message (`item`) that yields the attempts made before the item came into this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Expr>,
    /// The bucket that says who holds what.
    pub leases: Text,
    /// Where dead letters go.
    pub dead: DeadLetters,
}

/// Where the dead letters of a queue go, and what they look like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadLetters {
    /// A stream of this pack that keeps its messages.
    pub stream: Text,
    /// What their subjects begin with: the value of the queue's first parameter and the id of the item follow.
    pub subject: Token,
    /// The dead letter, made from `item`: `id`, `data`, `text`, `with`, `reason`, `attempts`, `errors`, `failed_at`.
    pub record: Tree,
    /// An expression over a dead letter of another program (`item`) that yields the id of its item: the `id` of the queue when
    /// not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Expr>,
}
