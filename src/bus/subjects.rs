//! The subjects of a stream (`$JS.API.STREAM.INFO` with `subjects_filter`).
//!
//! The server sorts them and gives 100,000 at once (nats-server `JSMaxSubjectDetails`); the answer says how many there are.

use super::api::{self, code};
use super::ensure::Resource;
use super::error::{Error, ErrorKind};
use super::message::check_filter;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// Most subjects that are listed.
const MAX_SUBJECTS: usize = 500_000;

#[derive(Deserialize)]
struct Answer {
    state: State,
    /// Subjects that match.
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct State {
    /// Absent and null when nothing matches.
    #[serde(default)]
    subjects: Option<BTreeMap<String, u64>>,
}

/// The matching subjects and their numbers of messages.
pub(super) async fn list(
    resource: &Resource,
    filter: &str,
) -> Result<BTreeMap<String, u64>, Error> {
    check_filter(filter)?;
    let what = format!("listing the subjects of the {}", resource.label);
    let link = resource.ready(&what).await?;
    let verb = format!("STREAM.INFO.{}", resource.name);
    let mut found = BTreeMap::new();
    let mut offset = 0;
    loop {
        let body = json!({ "subjects_filter": filter, "offset": offset }).to_string();
        let answer: Answer = match api::call(&link, &what, &verb, body.into_bytes()).await {
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => {
                return resource.again(&what).await.map(|_| BTreeMap::new());
            }
            answer => answer.map_err(|failure| failure.into_error(&what))?,
        };
        if answer.total > MAX_SUBJECTS {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "{what}: {} subjects fit {filter}, and at most {MAX_SUBJECTS} are listed",
                    answer.total
                ),
            ));
        }
        let part = answer.state.subjects.unwrap_or_default();
        offset += part.len();
        let last = part.is_empty() || offset >= answer.total;
        found.extend(part);
        if last {
            return Ok(found);
        }
    }
}
