//! NATS services (the service API of NATS, ADR-32): those that are there, and services of our own.

pub(super) mod discover;
mod offer;

use std::collections::BTreeMap;

pub use discover::Roll;
pub use offer::{Asked, Endpoint, Offer, Refusal, Service};

/// One running instance of a service, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What it is called; all its instances have the same name.
    pub name: String,
    /// Which instance it is.
    pub id: String,
    /// Its version; empty when it tells none.
    pub version: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Whatever else it says of itself.
    pub metadata: BTreeMap<String, String>,
    /// What can be asked of it.
    pub endpoints: Vec<Point>,
}

/// Something that can be asked of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its name; unique within the service.
    pub name: String,
    /// Where it is asked: a subject without wildcards.
    pub subject: String,
    /// The queue group in which its instances share the requests; may be empty.
    pub queue_group: String,
    /// Whatever else it says of itself.
    pub metadata: BTreeMap<String, String>,
}

/// Whether the service API takes a name: letters, digits, `-` and `_`.
pub fn is_service_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(good)
}

/// Longest name of a service or an endpoint, in bytes.
const MAX_NAME: usize = 128;
