//! What may be said to a client, and what has to be.

use std::collections::HashMap;

use serde_json::Value;

/// A message that was sent to the gateway.
pub struct Sent {
    /// Its id, as JSON. Notifications have none.
    pub id: Option<String>,
    /// Its method; empty where it has none.
    pub method: String,
    /// What it says.
    pub value: Value,
    /// Whether it is written as every program writes it: then it must be understood.
    pub plain: bool,
}

impl Sent {
    /// The message of a text; `None` where it is no JSON object.
    pub fn of(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let map = value.as_object()?;
        let method = map.get("method").and_then(Value::as_str);
        let id = map.get("id");
        let known = ["jsonrpc", "id", "method", "params"];
        let plain = method.is_some()
            && map.keys().all(|key| known.contains(&key.as_str()))
            && map.get("jsonrpc").is_some_and(|v| v == "2.0")
            && map.get("params").is_none_or(Value::is_object)
            && id.is_none_or(|id| id.is_string() || id.is_i64())
            // No key twice, and nothing that a parser could read in two ways.
            && value.to_string().as_bytes() == text;
        Some(Self {
            id: id.map(Value::to_string),
            method: method.unwrap_or_default().to_owned(),
            plain,
            value,
        })
    }

    /// Whether it is no request, whatever is wrong with it: then nothing is said with its id.
    fn answers(&self) -> bool {
        let has = |key| self.value.get(key).is_some();
        !has("method") && (has("result") || has("error"))
    }

    /// The id of the request that this takes back.
    pub fn cancels(&self) -> Option<String> {
        let id = &self.value["params"]["requestId"];
        (self.method == "notifications/cancelled").then(|| id.to_string())
    }
}

/// A message to the client: the id of the request that it answers, and whether that went well.
///
/// # Panics
/// Where it is no JSON-RPC.
pub fn answered(text: &str) -> Option<(String, bool)> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => panic!("the gateway says what is no JSON ({error}): {text}"),
    };
    assert_eq!(value["jsonrpc"], "2.0", "{text}");
    let id = value.get("id");
    if value.get("method").is_some() {
        assert!(value["method"].is_string(), "{text}");
        assert!(value.get("params").is_none_or(Value::is_object), "{text}");
        assert!(id.is_none_or(|id| id.is_string() || id.is_i64()), "{text}");
        return None;
    }
    match (value.get("result"), value.get("error")) {
        (Some(result), None) => assert!(result.is_object() && id.is_some(), "{text}"),
        (None, Some(error)) => {
            assert!(
                error["code"].is_i64() && error["message"].is_string(),
                "{text}"
            );
        }
        _ => panic!("neither a result nor an error: {text}"),
    }
    let broken = value["result"]["isError"] == true && text.contains("a fault in the gateway");
    assert!(!broken, "a call has panicked: {text}");
    let id = id.filter(|id| !id.is_null())?;
    Some((id.to_string(), value.get("result").is_some()))
}

/// No request has more answers than there are requests with its id.
pub fn at_most_one_each(sent: &[Sent], answers: &[(String, bool)]) {
    let mut open: HashMap<&str, isize> = HashMap::new();
    let asking = sent.iter().filter(|sent| !sent.answers());
    for id in asking.filter_map(|sent| sent.id.as_deref()) {
        *open.entry(id).or_default() += 1;
    }
    for (id, _) in answers {
        let left = open.entry(id).or_default();
        *left -= 1;
        assert!(*left >= 0, "an answer too many to {id}");
    }
}
