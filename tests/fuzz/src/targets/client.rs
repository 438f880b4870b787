//! What a client brings back of what the gateway has said: states of calls, ids of tasks, answers to questions.
//!
//! In an input, `$STATE` stands for the state that was said last, `$TASK` for the task, and `"$ID"`, in an answer, for the id of the
//! question.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// What the gateway has said last.
#[derive(Default, Clone)]
pub struct Seen {
    state: Option<String>,
    task: Option<String>,
}

impl Seen {
    /// Takes note of a message.
    pub fn note(&mut self, message: &str) {
        let value: Value = serde_json::from_str(message).unwrap_or_default();
        let result = &value["result"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let task = text(&result["taskId"]).or_else(|| text(&result["task"]["taskId"]));
        self.state = text(&result["requestState"]).or(self.state.take());
        self.task = task.or(self.task.take());
    }

    /// Whether all is known that stands in a text, and a state in it is another one than before.
    pub fn knows(&self, text: &str, before: &Self) -> bool {
        let state = !text.contains("$STATE") || self.state != before.state;
        state && (!text.contains("$TASK") || self.task.is_some())
    }

    /// A text with what is known.
    pub fn fill(&self, text: &str) -> String {
        let of = |value: &Option<String>| value.clone().unwrap_or_default();
        text.replace("$STATE", &of(&self.state))
            .replace("$TASK", &of(&self.task))
    }
}

/// What the client answers, question for question. An empty answer is none.
#[derive(Default, Clone)]
pub struct Answers(VecDeque<String>);

impl Answers {
    /// These, in this order.
    pub fn new(all: impl IntoIterator<Item = String>) -> Self {
        Self(all.into_iter().collect())
    }

    /// What is said to a message of the gateway. Where no answer is left, a question is refused.
    pub fn next(&mut self, message: &str) -> Option<String> {
        let value: Value = serde_json::from_str(message).ok()?;
        let id = value.get("id").filter(|_| value["method"].is_string())?;
        let refusal = || {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": -1, "message": "No"}}).to_string()
        };
        let answer = self.0.pop_front().unwrap_or_else(refusal);
        let answer = answer.replace("\"$ID\"", &id.to_string());
        // What is a request or a notification is judged as one where it stands, and this is none.
        let said: Value = serde_json::from_str(&answer).ok()?;
        (said.is_object() && said.get("method").is_none()).then_some(answer)
    }
}
