//! `take`: messages after a read position of one's own, each handed out once.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, message_shape};
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::model::KeyRef;
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, Span, Tree, Whole};

/// Takes the oldest messages of a stream that nobody has taken at this read position, and moves the position, so that
/// each message is handed out once, whoever else takes from it. The stream keeps them. Three round trips and one more to
/// move the position; further ones where others take at the same moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// A stream of this pack.
    pub stream: Text,
    /// Which of the stream's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// Where the read position is kept; a key that is not there is the beginning of the stream.
    pub position: KeyRef,
    /// The most messages: 1 to 1000.
    pub limit: Whole,
    /// Only messages for which this holds; the message is called `item`. What it leaves out stays there to be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// What to keep of each message (called `item`), instead of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
    /// How long to wait for a message where there is none to take: not at all when not given, 30s at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Span>,
    /// Whether only to look: the position stays where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peek: Option<Tree>,
    /// With `peek`: only messages after this sequence, for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Whole>,
    /// How many messages that were handed out the stream keeps, 0 to 1000000: when there are twice as many, the older half
    /// is removed. All of them when not given. For streams that nobody else reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Whole>,
    /// How many messages after the position are looked at: 1 to 10000, 1000 when not given. Messages that `where` leaves
    /// out stay among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Whole>,
}

impl Take {
    /// The longest wait.
    pub const LONGEST: Duration = Duration::from_secs(30);
}

impl Grammar for Take {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.stream("stream", &self.stream, self.with.as_ref());
        cx.key_ref("position", &self.position);
        cx.whole("limit", &self.limit, 1..=1_000);
        if let Some(filter) = &self.r#where {
            cx.condition_over("where", filter, message_shape());
        }
        if let Some(wait) = &self.wait {
            cx.span("wait", wait, Self::LONGEST);
        }
        if let Some(peek) = &self.peek {
            cx.value("peek", peek);
        }
        if let Some(after) = &self.after {
            cx.whole("after", after, 0..=u64::MAX);
            if self.peek.is_none() {
                cx.needs("`after` needs `peek`: what is taken begins where the position is", "write `peek: true`, or take `after` out");
            }
        }
        if let Some(keep) = &self.keep {
            cx.whole("keep", keep, 0..=1_000_000);
        }
        if let Some(scan) = &self.scan {
            cx.whole("scan", scan, 1..=10_000);
        }
        let kept = match &self.select {
            Some(select) => cx.value_over("select", select, message_shape()),
            None => message_shape(),
        };
        Shape::object([
            ("messages", kept.list()),
            ("count", Shape::Number),
            ("unread", Shape::Number),
            ("matching", Shape::Number),
            ("more", Shape::Bool),
        ])
    }
}
