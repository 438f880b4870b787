//! What expressions see of queues: shared by the verbs of queues and by their declarations.

use std::time::Duration;

use crate::spec::shape::Shape;

/// The longest wait for an item.
pub const MAX_WAIT: Duration = Duration::from_secs(30);
/// The longest delay before an item that was given back can be claimed.
pub const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The most items or dead letters of one answer.
pub const MAX_LIMIT: usize = 1_000;
/// The most items that one step looks at.
pub const MAX_SCAN: usize = 10_000;
/// What `depth` counts in each lane.
pub const COUNTS: &[&str] = &["pending", "claimed", "messages"];

/// An item that was claimed.
pub fn claim_shape() -> Shape {
    Shape::object([
        ("found", Shape::Bool),
        ("token", Shape::Text),
        ("id", Shape::Text),
        ("data", Shape::Any),
        ("text", Shape::Text),
        ("level", Shape::Number),
        ("attempt", Shape::Number),
        ("attempts", Shape::Number),
        ("until", Shape::Text),
        ("with", Shape::Any),
        ("errors", Shape::Text.list()),
    ])
}

/// An item that waits, or that somebody works on.
pub fn queued_shape() -> Shape {
    Shape::object([
        ("id", Shape::Text),
        ("seq", Shape::Number),
        ("level", Shape::Number),
        ("time", Shape::Text),
        ("data", Shape::Any),
        ("text", Shape::Text),
        ("with", Shape::Any),
        ("state", Shape::Text),
        ("holder", Shape::Text),
        ("until", Shape::Text),
        ("attempt", Shape::Number),
        ("note", Shape::Any),
        ("errors", Shape::Text.list()),
    ])
}

/// A dead letter.
pub fn dead_shape() -> Shape {
    Shape::object([
        ("id", Shape::Text),
        ("seq", Shape::Number),
        ("time", Shape::Text),
        ("data", Shape::Any),
        ("text", Shape::Text),
        ("first", Shape::Text),
    ])
}

/// An item that becomes a dead letter, as the record of it sees it.
pub fn lost_shape() -> Shape {
    Shape::object([
        ("id", Shape::Text),
        ("data", Shape::Any),
        ("text", Shape::Text),
        ("with", Shape::Any),
        ("reason", Shape::Text),
        ("attempts", Shape::Number),
        ("errors", Shape::Text.list()),
        ("failed_at", Shape::Text),
    ])
}
