//! Which services there are: one question, many answers.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::StatusCode;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Instance, MAX_NAME, Point, is_service_name};
use crate::bus::connection::Bus;
use crate::bus::error::Error;
use crate::bus::message::{Bytes, check_subject};

/// Where every service tells about itself.
pub(in crate::bus) const INFO: &str = "$SRV.INFO";
/// Who has not answered so long after the one before is not waited for.
const QUIET: Duration = Duration::from_millis(300);
/// The most instances that are listened to.
const MAX_INSTANCES: usize = 2_000;
/// The most bytes of all answers together.
const MAX_BYTES: usize = 32 << 20;

/// The services that have answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// They, by name and id.
    pub instances: Vec<Instance>,
    /// What was passed over, and why: answers that are none, endpoints that cannot be asked. At most 100 lines.
    pub passed_over: Vec<String>,
}

impl Roll {
    fn pass_over(&mut self, why: String) {
        if self.passed_over.len() < 100 {
            self.passed_over.push(why);
        }
    }

    fn add(&mut self, payload: &[u8]) {
        match read(payload) {
            Ok((instance, odd)) => {
                self.instances.push(instance);
                for why in odd {
                    self.pass_over(why);
                }
            }
            Err(why) => self.pass_over(why),
        }
    }

    fn sorted(mut self) -> Self {
        self.instances
            .sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        self.instances
            .dedup_by(|a, b| (&a.name, &a.id) == (&b.name, &b.id));
        self.passed_over.sort();
        self.passed_over.dedup();
        self
    }
}

impl Bus {
    /// Asks which services there are. Ends when none has answered for 300 ms, at the latest after `limit`; at once
    /// when there are none.
    ///
    /// # Errors
    /// [`ErrorKind`](crate::bus::ErrorKind): `Disconnected`, `Permission`, `Closed`.
    pub async fn services(&self, limit: Duration) -> Result<Roll, Error> {
        let what = "asking for the NATS services";
        let link = self.link(what).await?;
        let inbox = link.client.new_inbox();
        let mut vigil = link.health.vigil();
        let mut answers = link.subscribe(what, &inbox).await?;
        link.send(INFO.to_owned(), Some(inbox), None, Bytes::new())
            .await
            .map_err(|error| link.publish_error(what, INFO, 0, error))?;
        let end = Instant::now() + limit;
        let mut until = end;
        let mut roll = Roll::default();
        let mut bytes = 0;
        loop {
            let answer = tokio::select! {
                answer = timeout_at(until, answers.next()) => answer,
                error = vigil.trouble(what, INFO) => return Err(error),
            };
            // The wait is over, the client is gone, or there are none.
            let Ok(Some(message)) = answer else { break };
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            bytes += message.payload.len();
            if roll.instances.len() >= MAX_INSTANCES || bytes > MAX_BYTES {
                roll.pass_over(format!(
                    "more than {MAX_INSTANCES} instances or {MAX_BYTES} bytes of services: the rest is not looked at"
                ));
                break;
            }
            roll.add(&message.payload);
            until = end.min(Instant::now() + QUIET);
        }
        Ok(roll.sorted())
    }
}

/// What an instance says of itself, as far as it must have this form. Other programs leave out or set to null what is empty.
#[derive(Deserialize)]
struct RawInfo {
    name: String,
    id: String,
    version: Option<String>,
    description: Option<String>,
    metadata: Option<BTreeMap<String, Value>>,
    endpoints: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct RawPoint {
    name: Option<String>,
    subject: String,
    queue_group: Option<String>,
    metadata: Option<BTreeMap<String, Value>>,
}

/// Reads an answer; beside the instance, what of it was passed over.
fn read(payload: &[u8]) -> Result<(Instance, Vec<String>), String> {
    let raw: RawInfo = serde_json::from_slice(payload)
        .map_err(|error| format!("an answer that does not describe a service: {error}"))?;
    if !is_service_name(&raw.name) {
        let name: String = raw.name.chars().take(MAX_NAME).collect();
        return Err(format!("a service with the unusable name {name:?}"));
    }
    if raw.id.contains('.') || raw.id.len() > MAX_NAME || check_subject(&raw.id).is_err() {
        return Err(format!(
            "an instance of the service `{}` with an unusable id",
            raw.name
        ));
    }
    let mut odd = Vec::new();
    let mut endpoints = Vec::new();
    for endpoint in raw.endpoints.unwrap_or_default() {
        match point(endpoint) {
            Ok(point) => endpoints.push(point),
            Err(why) => odd.push(format!("an endpoint of the service `{}`: {why}", raw.name)),
        }
    }
    let instance = Instance {
        name: raw.name,
        id: raw.id,
        version: raw.version.unwrap_or_default(),
        description: raw.description.unwrap_or_default(),
        metadata: texts(raw.metadata),
        endpoints,
    };
    Ok((instance, odd))
}

fn point(value: Value) -> Result<Point, String> {
    let raw: RawPoint = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let subject: String = raw.subject.chars().take(MAX_NAME).collect();
    if check_subject(&raw.subject).is_err() {
        return Err(format!("{subject:?} is no subject that can be asked"));
    }
    // Whoever may answer as a service must not be able to lead others to the server's own interfaces.
    if raw.subject.starts_with(['$', '_']) {
        return Err(format!("{subject:?} belongs to NATS itself"));
    }
    let name = raw.name.unwrap_or_else(|| raw.subject.clone());
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!("the endpoint on {subject:?} has an unusable name"));
    }
    Ok(Point {
        name,
        subject: raw.subject,
        queue_group: raw.queue_group.unwrap_or_default(),
        metadata: texts(raw.metadata),
    })
}

/// Metadata are texts; what is none is shown as JSON.
fn texts(metadata: Option<BTreeMap<String, Value>>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let pairs = metadata.into_iter().flatten();
    pairs.map(|(key, value)| (key, text(value))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn bytes(value: &Value) -> Vec<u8> {
        serde_json::to_vec(value).unwrap()
    }

    #[test]
    fn what_is_empty_may_be_left_out_or_null() {
        for endpoints in [json!(null), json!([])] {
            let info = json!({"name": "a", "id": "X", "metadata": null, "endpoints": endpoints});
            let (instance, odd) = read(&bytes(&info)).unwrap();
            assert_eq!(odd, Vec::<String>::new());
            assert_eq!((instance.name.as_str(), instance.id.as_str()), ("a", "X"));
            assert!(instance.endpoints.is_empty() && instance.version.is_empty());
        }
    }

    #[test]
    fn endpoints_that_cannot_be_asked_are_passed_over() {
        let info = json!({"name": "a", "id": "X", "version": "1.0.0", "endpoints": [
            {"name": "good", "subject": "a.good", "queue_group": "q", "metadata": {"n": 1, "t": "x"}},
            {"subject": "a.unnamed"},
            {"name": "wild", "subject": "a.*"},
            {"name": "server", "subject": "$JS.API.STREAM.DELETE.x"},
            {"name": "inbox", "subject": "_INBOX.x"},
            {"name": "", "subject": "a.b"},
            {"name": "none"},
            7,
        ]});
        let (instance, odd) = read(&bytes(&info)).unwrap();
        let names: Vec<&str> = instance.endpoints.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["good", "a.unnamed"]);
        let metadata = &instance.endpoints[0].metadata;
        assert_eq!((metadata["n"].as_str(), metadata["t"].as_str()), ("1", "x"));
        assert_eq!(odd.len(), 6, "{odd:?}");
    }

    #[test]
    fn answers_that_describe_no_service_are_passed_over() {
        let mut roll = Roll::default();
        for payload in [
            b"".to_vec(),
            b"[]".to_vec(),
            b"{\"name\":".to_vec(),
            bytes(&json!({"name": "a"})),
            bytes(&json!({"name": "a b", "id": "X"})),
            bytes(&json!({"name": "a", "id": "X.>"})),
            bytes(&json!({"name": "a", "id": ""})),
        ] {
            roll.add(&payload);
        }
        assert_eq!((roll.instances.len(), roll.passed_over.len()), (0, 7));
        for id in ["Y", "X", "X"] {
            roll.add(&bytes(&json!({"name": "a", "id": id})));
        }
        let roll = roll.sorted();
        let ids: Vec<&str> = roll.instances.iter().map(|i| i.id.as_str()).collect();
        assert_eq!(ids, ["X", "Y"]);
    }
}
