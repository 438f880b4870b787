//! Where answers arrive that come on subjects of their own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::data::Text;
use crate::spec::tree::{Expr, Span, SubjectList, Template, Token, Whole};

/// A subject on which a gateway hears answers: one subscription for all calls together. It begins with the first call that
/// waits there, and ends some time after the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InboxDecl {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// The subject; `*` and `>` may stand for whole tokens. May use `project`, `config` and `gateway`. With `gateway.id` in it,
    /// gateways do not hear each other's answers.
    pub subject: Token,
    /// An expression over a message (`item`) that tells which calls it is for: a text, a number, or a list of them. What is
    /// absent is passed over.
    pub key: Expr,
}

/// An inbox in which messages for this call arrive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The inbox.
    pub inbox: Text,
    /// What the `key` of the inbox yields for messages that are for this call.
    pub key: Template,
    /// Whether this call waits there at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
}

/// What a client is told while a request waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Telling {
    /// How much is done, a number that grows: `{{ heard | length }}`.
    pub done: Whole,
    /// How much there is to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Whole>,
    /// What is going on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Template>,
    /// Only for messages for which this holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
}

/// The subjects on which somebody must listen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// The subjects, 16 at the most. They are asked with an empty message each: who listens there must not mind it.
    pub subjects: SubjectList,
    /// For how long it is remembered that somebody listens: 10s when not given, 1h at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
}
