//! `claim`: takes an item for a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, queues};
use crate::spec::check::StepCheck;
use crate::spec::shape::Shape;
use crate::spec::tree::{QueueName, Span, Template, Tree};

/// Takes the most urgent item of some lanes: nobody else gets it until the lease runs out. Nothing there is no error
/// (`found` is false), unless the step has `else`. About four round trips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// A queue of this pack.
    pub queue: QueueName,
    /// The lanes: a list of 1 to 64 objects with the values that pick one. Not needed for a queue without `params`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Tree>,
    /// Who takes it, as others are told.
    pub holder: Template,
    /// How long to wait for an item: not at all when not given, at most 30s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Span>,
}

impl Grammar for Claim {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        let queues = cx.queue(&self.queue);
        cx.lanes(&queues, self.from.as_ref(), false);
        cx.template("holder", &self.holder);
        if let Some(wait) = &self.wait {
            cx.span("wait", wait, queues::MAX_WAIT);
        }
        queues::claim_shape()
    }
}
