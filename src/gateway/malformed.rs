//! What is wrong with a message that MCP's library could not read.

use serde_json::Value;

/// What to tell whoever begins a session wrongly.
pub const INITIALIZE: &str =
    "the parameters of initialize need protocolVersion, capabilities and clientInfo";

/// What is wrong with JSON that is no message of MCP.
pub fn reason(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "batches are not part of MCP any more: send one message at a time",
        Value::Object(map) if map.get("jsonrpc").and_then(Value::as_str) != Some("2.0") => {
            "this is no JSON-RPC message: `jsonrpc` must be \"2.0\""
        }
        Value::Object(map) if map.get("method").is_some_and(|m| !m.is_string()) => {
            "this is no JSON-RPC message: `method` must be a text"
        }
        Value::Object(map) if map.get("id").is_some_and(|id| !is_id(id)) => {
            "this is no JSON-RPC message: `id` must be a text or a whole number of 64 bits"
        }
        Value::Object(map) if map.contains_key("method") => "the parameters do not fit the method",
        Value::Object(_) => {
            "this is no JSON-RPC message: it has neither a method nor one of a result and an error"
        }
        _ => "this is no JSON-RPC message: an object is wanted",
    }
}

/// The id of a message, where it has one that can be answered; null otherwise. What is said of an answer is never said with its
/// id: the ids of both sides are not related, and the client would take it for the answer to a request of its own.
pub fn id_in(value: &Value) -> Value {
    let id = value.get("id").filter(|id| is_id(id) && !is_answer(value));
    id.cloned().unwrap_or_default()
}

/// Whether a message wants no answer, whatever is wrong with it.
pub fn is_notification(value: &Value) -> bool {
    value.get("method").is_some_and(Value::is_string) && value.get("id").is_none()
}

/// Whether a message answers a request of the gateway, whatever is wrong with it.
pub fn is_answer(value: &Value) -> bool {
    let has = |key| value.get(key).is_some();
    !has("method") && (has("result") || has("error"))
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_told() {
        for (text, part) in [
            ("[]", "batches"),
            ("{}", "jsonrpc"),
            (r#"{"jsonrpc":"2.0"}"#, "neither"),
            (r#"{"jsonrpc":"2.0","method":5}"#, "`method`"),
            (r#"{"jsonrpc":"2.0","method":"x","id":[]}"#, "`id`"),
            (
                r#"{"jsonrpc":"2.0","method":"x","id":18446744073709551615}"#,
                "`id`",
            ),
            (r#"{"jsonrpc":"2.0","method":"x","params":5}"#, "parameters"),
            ("5", "an object"),
        ] {
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            assert!(reason(&value).contains(part), "{text}: {}", reason(&value));
        }
    }

    #[test]
    fn an_answer_is_not_answered_with_its_id() {
        for (text, id) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, json!(1)),
            (r#"{"jsonrpc":"2.0","id":"a","nothing":5}"#, json!("a")),
            (r#"{"jsonrpc":"2.0","id":1,"error":5}"#, Value::Null),
            (r#"{"id":1,"result":{}}"#, Value::Null),
        ] {
            let value = serde_json::from_str(text).unwrap_or_default();
            assert_eq!(id_in(&value), id, "{text}");
        }
    }
}
