//! `read`: stored messages, without consuming them, page by page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Grammar, message_shape};
use crate::spec::check::StepCheck;
use crate::spec::data::{Map, Text};
use crate::spec::shape::Shape;
use crate::spec::tree::{Expr, SubjectList, Template, Token, Tree, Whole};

/// Reads messages of a stream. Without `after` and `since`: the newest ones, and each further page is older; with one
/// of them: the oldest that qualify, and each further page is newer. Inside a page the order is always oldest to newest.
/// Pages go by sequence, so nothing repeats and nothing is skipped while others publish. One or two round trips in the usual case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// A stream of this pack.
    pub stream: Text,
    /// Which of the stream's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Map<Tree>>,
    /// Only messages of this subject; `*` and `>` may stand for whole tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Token>,
    /// Instead of `subject`: only messages of any of these, merged in the order of the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<SubjectList>,
    /// The most messages of a page: 1 to 1000.
    pub limit: Whole,
    /// Only messages after this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Whole>,
    /// Only messages from this time on (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Template>,
    /// The cursor of a page: what `next` of the page before was. Null or absent: the first page. A cursor of another
    /// tool or of other filters is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Tree>,
    /// Only messages for which this holds; the message is called `item`. What it leaves out is counted in `skipped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#where: Option<Expr>,
    /// What to keep of each message (called `item`), instead of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Tree>,
    /// The most messages looked at for one page: 10000 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Whole>,
}

impl Grammar for Read {
    fn check(&self, cx: &mut StepCheck<'_>) -> Shape {
        cx.stream("stream", &self.stream, self.with.as_ref());
        cx.filter("subject", self.subject.as_ref());
        if let Some(subjects) = &self.subjects {
            cx.filters("subjects", subjects);
        }
        if self.subject.is_some() && self.subjects.is_some() {
            cx.needs("`subject` and `subjects` exclude each other", "keep one of them");
        }
        cx.whole("limit", &self.limit, 1..=1_000);
        if self.after.is_some() && self.since.is_some() {
            cx.needs("`after` and `since` exclude each other", "keep one of them");
        }
        if let Some(after) = &self.after {
            cx.whole("after", after, 0..=u64::MAX);
        }
        if let Some(since) = &self.since {
            cx.template("since", since);
        }
        if let Some(page) = &self.page {
            cx.value("page", page);
        }
        if let Some(scan) = &self.scan {
            cx.whole("scan", scan, 1..=1_000_000);
        }
        let kept = cx.kept(self.r#where.as_ref(), self.select.as_ref(), message_shape());
        Shape::object([
            ("messages", kept.list()),
            ("count", Shape::Number),
            ("total", Shape::Number),
            ("skipped", Shape::Number),
            ("first_seq", Shape::Number),
            ("last_seq", Shape::Number),
            ("upto", Shape::Number),
            ("next", Shape::Text),
        ])
    }

    fn repeats(&self) -> bool {
        true
    }
}
