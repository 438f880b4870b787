//! A task as it is kept on NATS, so that any gateway can answer for it and go on with it.

use std::collections::BTreeMap;

use rmcp::model::{DetailedTask, InputRequest, JsonObject, Task, TaskPayload, TaskStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{KEEP, POLL_MS};
use crate::engine::contact::{About, Question, Stand};
use crate::gateway::ask;
use crate::gateway::clock::millis;

/// The form of a record that this program writes, and the highest that it reads.
const VERSION: u32 = 1;

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: u32,
    /// Whose it is: the id of its principal, empty where nobody has to say who they are.
    pub(super) owner: String,
    /// The namespace of the project that it was begun in.
    pub(super) namespace: String,
    /// The tool that is called, and its fingerprint in the catalog.
    pub(super) tool: String,
    pub(super) fingerprint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<Map<String, Value>>,
    pub(super) session: Origin,
    /// What the client has said of itself.
    #[serde(default)]
    pub(super) client: About,
    /// Where the run stands.
    pub(super) stand: Stand,
    /// Whether the step there may have begun.
    pub(super) begun: bool,
    /// How far the run is, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    /// What its client is asked and has not answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pending: Vec<Question>,
    /// What it has answered in this step.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) answers: Map<String, Value>,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<End>,
    /// When it began and when this was written, in milliseconds since 1970.
    pub(super) created: u64,
    pub(super) updated: u64,
    /// The gateway that runs it; empty when whoever comes first may.
    pub(super) holder: String,
}

/// The session that a task was begun in, for a gateway that does not have it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) id: String,
    pub(super) snapshot: Value,
    pub(super) principal: String,
    pub(super) claims: Map<String, Value>,
}

/// How a task ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// With what the call answers, errors of the tool among it.
    Completed(JsonObject),
    /// With an error of the protocol.
    Failed(JsonObject),
    Cancelled,
}

impl End {
    /// Failed in these words.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        let error = rmcp::model::ErrorData::internal_error(text.into(), None);
        Self::Failed(object(&error))
    }

    /// Its name in metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Record {
    /// Reads a stored record. `None` for what this program does not understand.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        (record.version <= VERSION).then_some(record)
    }

    /// As it is stored.
    pub(super) fn write(&self) -> Vec<u8> {
        // Strings and JSON values always have a form.
        serde_json::to_vec(&Self {
            version: VERSION,
            ..self.clone()
        })
        .unwrap_or_default()
    }

    /// Ends it. What it would go on with is let go.
    pub(super) fn end(&mut self, end: End) {
        self.end = Some(end);
        self.arguments = None;
        self.session = Origin::default();
        self.client = About::default();
        self.stand = Stand::default();
        self.pending.clear();
        self.answers.clear();
    }

    /// What its client is told when it begins.
    pub(super) fn task(&self, id: &str) -> Task {
        let mut task = Task::new(id, self.status(), stamp(self.created), stamp(self.updated))
            .with_poll_interval_ms(POLL_MS)
            .with_ttl_ms(self.updated.saturating_sub(self.created) + millis(KEEP));
        task.status_message.clone_from(&self.message);
        task
    }

    /// What its client is told when it asks.
    pub(super) fn detailed(&self, id: &str) -> DetailedTask {
        DetailedTask::new(self.task(id), self.payload())
    }

    fn status(&self) -> TaskStatus {
        self.payload().status()
    }

    fn payload(&self) -> TaskPayload {
        match &self.end {
            Some(End::Completed(result)) => TaskPayload::Completed {
                result: result.clone(),
            },
            Some(End::Failed(error)) => TaskPayload::Failed {
                error: error.clone(),
            },
            Some(End::Cancelled) => TaskPayload::Cancelled,
            None if self.pending.is_empty() => TaskPayload::Working,
            None => TaskPayload::InputRequired {
                input_requests: self.requests(),
            },
        }
    }

    fn requests(&self) -> BTreeMap<String, InputRequest> {
        let request = |asked: &Question| {
            // Whoever asks makes requests of the protocol only.
            let request = ask::request(asked).ok()?;
            Some((asked.name.clone(), request))
        };
        self.pending.iter().filter_map(request).collect()
    }
}

/// A part of the protocol as JSON.
pub(super) fn object(part: &impl Serialize) -> JsonObject {
    match serde_json::to_value(part) {
        Ok(Value::Object(object)) => object,
        // These are objects, and have a form.
        _ => JsonObject::new(),
    }
}

fn stamp(ms: u64) -> String {
    let nanos = i128::from(ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_says_what_its_client_is_told() {
        let mut record = Record {
            created: 1_000,
            updated: 3_500,
            message: Some("1 of 2".to_owned()),
            arguments: Some(Map::new()),
            ..Record::default()
        };
        let told = serde_json::to_value(record.detailed("x")).unwrap();
        assert_eq!(told["status"], "working");
        assert_eq!(told["createdAt"], "1970-01-01T00:00:01Z");
        assert_eq!(told["lastUpdatedAt"], "1970-01-01T00:00:03.5Z");
        assert_eq!(told["ttlMs"], millis(KEEP) + 2_500);
        assert_eq!(told["statusMessage"], "1 of 2");
        let params =
            json!({"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}});
        record.pending.push(Question {
            name: "sure".to_owned(),
            method: "elicitation/create".to_owned(),
            params: params.as_object().unwrap().clone(),
        });
        let told = serde_json::to_value(record.detailed("x")).unwrap();
        assert_eq!(told["status"], "input_required");
        assert_eq!(
            told["inputRequests"]["sure"]["method"],
            "elicitation/create"
        );
        assert_eq!(told["inputRequests"]["sure"]["params"]["message"], "Sure?");
        record.end(End::failed("no"));
        let told = serde_json::to_value(record.detailed("x")).unwrap();
        assert_eq!(told["status"], "failed");
        assert_eq!(told["error"]["message"], "no");
        assert!(told.get("inputRequests").is_none() && record.arguments.is_none());
    }

    #[test]
    fn a_record_of_a_later_form_is_not_read() {
        let record = Record::default();
        let mut stored: Value = serde_json::from_slice(&record.write()).unwrap();
        assert_eq!(
            Record::read(stored.to_string().as_bytes()).unwrap().write(),
            record.write()
        );
        stored["version"] = json!(VERSION + 1);
        assert!(Record::read(stored.to_string().as_bytes()).is_none());
        assert!(Record::read(b"{}").is_none());
    }
}
