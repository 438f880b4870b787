//! Answers of a client, which may say anything.

use serde_json::{Map, Value, json};

use super::question::{Kind, Put};
use crate::engine::failure::{Failure, FailureKind};

/// The most characters of an answer that an error repeats.
const SHOWN: usize = 100;

/// Why an answer is not taken.
pub(super) enum Misfit {
    /// It is a no.
    Declined(Failure),
    /// It is not of the form it should be: how it is.
    Other(String),
}

/// An answer as expressions see it.
pub(super) fn read(put: &Put, answer: &Value) -> Result<Value, Misfit> {
    let Some(answer) = answer.as_object() else {
        return Err(Misfit::Other("it is no object".to_owned()));
    };
    match put.kind {
        Kind::Form | Kind::Page => agreed(put, answer),
        Kind::Sample => sampled(answer),
        Kind::Roots => roots(answer),
    }
}

fn agreed(put: &Put, answer: &Map<String, Value>) -> Result<Value, Misfit> {
    let name = &put.question.name;
    match answer.get("action").and_then(Value::as_str) {
        Some("accept") => {}
        Some(no @ ("decline" | "cancel")) => {
            let message = put.question.params.get("message").and_then(Value::as_str);
            let text = format!(
                "`{name}` was {}: {}",
                if no == "decline" {
                    "declined"
                } else {
                    "cancelled"
                },
                message.unwrap_or_default()
            );
            return Err(Misfit::Declined(Failure::new(FailureKind::Declined, text)));
        }
        _ => {
            let text = "its `action` is none of accept, decline and cancel";
            return Err(Misfit::Other(text.to_owned()));
        }
    }
    let Some(schema) = &put.schema else {
        return Ok(json!({"action": "accept"}));
    };
    let mut content = match answer.get("content") {
        None | Some(Value::Null) => json!({}),
        Some(content) => content.clone(),
    };
    schema.keep_declared(&mut content);
    schema.fill_defaults(&mut content);
    match schema.check(&content) {
        Ok(()) => Ok(json!({"action": "accept", "content": content})),
        Err(lines) => Err(Misfit::Other(lines.join("; "))),
    }
}

fn sampled(answer: &Map<String, Value>) -> Result<Value, Misfit> {
    let Some(content) = answer.get("content").filter(|content| !content.is_null()) else {
        return Err(Misfit::Other("it has no `content`".to_owned()));
    };
    let blocks = match content {
        Value::Array(blocks) => blocks.as_slice(),
        one => std::slice::from_ref(one),
    };
    let texts = blocks.iter().map(|block| match block.get("type") {
        Some(Value::String(_)) => Ok(block.get("text").and_then(Value::as_str)),
        _ => {
            let shown: String = block.to_string().chars().take(SHOWN).collect();
            Err(Misfit::Other(format!("its `content` has no type: {shown}")))
        }
    });
    let texts: Vec<Option<&str>> = texts.collect::<Result<_, _>>()?;
    let texts: Vec<&str> = texts.into_iter().flatten().collect();
    let of = |key: &str| answer.get(key).cloned().unwrap_or_default();
    Ok(json!({
        "role": of("role"),
        "text": texts.join("\n"),
        "content": content,
        "model": of("model"),
        "stop_reason": of("stopReason"),
    }))
}

fn roots(answer: &Map<String, Value>) -> Result<Value, Misfit> {
    let Some(roots) = answer.get("roots").and_then(Value::as_array) else {
        return Err(Misfit::Other("it has no list of `roots`".to_owned()));
    };
    let mut all = Vec::new();
    for root in roots {
        let Some(uri) = root.get("uri").and_then(Value::as_str) else {
            return Err(Misfit::Other("one of its `roots` has no `uri`".to_owned()));
        };
        let name = root.get("name").cloned().unwrap_or_default();
        all.push(json!({"uri": uri, "name": name}));
    }
    Ok(json!({ "roots": all }))
}
