//! What the client of an example answers when it is asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::engine::contact::{Ask, Question};
use crate::engine::{About, Asker, Contact, Failure, FailureKind};

/// The answers of a call, and what was asked.
pub(super) struct Answers {
    given: Map<String, Value>,
    asked: Mutex<Vec<String>>,
}

impl Answers {
    pub(super) fn new(given: Map<String, Value>) -> Arc<Self> {
        Arc::new(Self {
            given,
            asked: Mutex::default(),
        })
    }

    /// A client that answers with these, and can be asked everything.
    pub(super) fn contact(self: &Arc<Self>) -> Contact {
        let client = About {
            name: "example".to_owned(),
            protocol: "2025-11-25".to_owned(),
            capabilities: capabilities(),
            ..About::default()
        };
        let asker: Arc<dyn Ask> = Arc::clone(self) as _;
        Contact {
            client: Arc::new(client),
            asker: Asker::Waits(asker),
            ..Contact::default()
        }
    }

    /// The names of what was asked, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn answer(&self, question: &Question) -> Result<Value, Failure> {
        let name = &question.name;
        let Some(Value::Object(answer)) = self.given.get(name) else {
            let text = format!("the example has no answer to `{name}`: write one under `answers`");
            return Err(Failure::new(FailureKind::Range, text));
        };
        let mut answer = answer.clone();
        match question.method.as_str() {
            "elicitation/create" => {
                answer.entry("action").or_insert_with(|| json!("accept"));
            }
            "sampling/createMessage" => {
                if let Some(text) = answer.remove("text") {
                    let content = json!({"type": "text", "text": text});
                    answer.insert("content".to_owned(), content);
                }
                answer.entry("role").or_insert_with(|| json!("assistant"));
                answer.entry("model").or_insert_with(|| json!("example"));
            }
            _ => {}
        }
        Ok(Value::Object(answer))
    }
}

impl Ask for Answers {
    fn ask(
        &self,
        questions: Vec<Question>,
        _: Duration,
    ) -> BoxFuture<'_, Result<Map<String, Value>, Failure>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.extend(questions.iter().map(|question| question.name.clone()));
        let answers = questions
            .iter()
            .map(|question| Ok((question.name.clone(), self.answer(question)?)))
            .collect();
        Box::pin(std::future::ready(answers))
    }
}

fn capabilities() -> Map<String, Value> {
    let names = ["elicitation", "sampling", "roots"];
    let all = names.map(|name| (name.to_owned(), json!({})));
    let mut all: Map<String, Value> = all.into_iter().collect();
    all.insert("elicitation".to_owned(), json!({"form": {}, "url": {}}));
    all
}
