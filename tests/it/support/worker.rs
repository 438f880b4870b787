//! A mesh of LOOM or Heddle without Python: a router, and workers that do what a task's payload says, good or bad.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{Client, Message};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::server::{NatsServer, settled};

/// A router and its workers. Dropping it ends them.
///
/// A worker does one thing after another of the list `do` in the payload, `["echo"]` without one:
///
/// | word | what it does |
/// |---|---|
/// | `echo` | answers `completed` with the payload as output |
/// | `fail` | answers `failed` with `error` of the payload (none: null) |
/// | `pending`, `processing`, `retry` | says so in a result |
/// | `stranger` | answers a task of another id, on the subject of this one |
/// | `list` | answers `completed` with a list as output |
/// | `pad` | answers `completed` with a text of so many bytes as `pad` of the payload says |
/// | `junk`, `array` | sends what is not JSON, or a list, instead of a result |
/// | `wait` | waits for `ms` of the payload |
/// | `nothing` | does nothing |
pub struct Plain {
    running: Vec<JoinHandle<()>>,
    tasks: Arc<Mutex<Vec<Value>>>,
    done: Arc<AtomicUsize>,
}

impl Plain {
    /// With workers of these types, all at tier `local`. Tasks are answered side by side.
    pub async fn start(server: &NatsServer, prefix: &'static str, workers: &[&str]) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let mut plain = Self {
            running: Vec::new(),
            tasks: Arc::default(),
            done: Arc::default(),
        };
        plain.route(&client, prefix).await;
        for worker in workers {
            plain.work(&client, prefix, worker).await;
        }
        settled(&client).await;
        plain
    }

    /// The tasks that the router has seen, in order.
    pub fn tasks(&self) -> Vec<Value> {
        self.tasks.lock().unwrap().clone()
    }

    /// How many tasks the workers have done with.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Sends on what names one of the three tiers, and says of the rest that it is dead.
    async fn route(&mut self, client: &Client, prefix: &'static str) {
        let mut incoming = client
            .queue_subscribe(format!("{prefix}.tasks.incoming"), "router".to_owned())
            .await
            .unwrap();
        let (client, seen) = (client.clone(), Arc::clone(&self.tasks));
        self.running.push(tokio::spawn(async move {
            while let Some(message) = incoming.next().await {
                let Ok(task) = serde_json::from_slice::<Value>(&message.payload) else {
                    continue;
                };
                let (worker, tier) = (task["worker_type"].as_str(), task["model_tier"].as_str());
                let known = tier.filter(|tier| ["local", "standard", "frontier"].contains(tier));
                let (subject, payload) = match (worker, known) {
                    (Some(worker), Some(tier)) => {
                        (format!("{prefix}.tasks.{worker}.{tier}"), task.clone())
                    }
                    _ => (format!("{prefix}.tasks.dead_letter"), dead(&task)),
                };
                seen.lock().unwrap().push(task);
                publish(&client, &subject, &payload.to_string()).await;
            }
        }));
    }

    async fn work(&mut self, client: &Client, prefix: &'static str, worker: &str) {
        let subject = format!("{prefix}.tasks.{worker}.local");
        let mut tasks = client
            .queue_subscribe(subject, format!("processors-{worker}"))
            .await
            .unwrap();
        let (client, done) = (client.clone(), Arc::clone(&self.done));
        self.running.push(tokio::spawn(async move {
            while let Some(message) = tasks.next().await {
                let (client, done) = (client.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    if answer(&client, prefix, &message).await.is_some() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }));
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        for task in &self.running {
            task.abort();
        }
    }
}

fn dead(task: &Value) -> Value {
    json!({
        "reason": "invalid_task_message: model_tier", "original_task": task,
        "task_id": task["task_id"], "worker_type": task["worker_type"]
    })
}

/// Does what the payload says. None for what is no task, an empty message for example.
async fn answer(client: &Client, prefix: &str, message: &Message) -> Option<()> {
    let task: Value = serde_json::from_slice(&message.payload).ok()?;
    let parent = task["parent_task_id"].as_str().unwrap_or("default");
    let subject = format!("{prefix}.results.{parent}");
    let payload = &task["payload"];
    let echo = vec![json!("echo")];
    for word in payload["do"].as_array().unwrap_or(&echo) {
        let word = word.as_str()?;
        if word == "wait" {
            let time = payload["ms"].as_u64().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(time)).await;
        } else if let Some(said) = said(word, &task) {
            publish(client, &subject, &said).await;
        }
    }
    Some(())
}

/// What a word of `do` sends.
fn said(word: &str, task: &Value) -> Option<String> {
    let payload = &task["payload"];
    let mut result = json!({
        "task_id": task["task_id"], "parent_task_id": task["parent_task_id"],
        "worker_type": task["worker_type"], "status": "completed", "output": payload, "error": null,
        "model_used": "plain", "token_usage": {"prompt_tokens": 0, "completion_tokens": 0},
        "processing_time_ms": 0, "completed_at": "2026-01-31T10:20:30.123456Z"
    });
    match word {
        "echo" => {}
        "junk" => return Some("{".to_owned()),
        "array" => return Some(json!([result]).to_string()),
        "stranger" => result["task_id"] = json!("another"),
        "list" => result["output"] = json!([payload]),
        "pad" => {
            let bytes = usize::try_from(payload["pad"].as_u64()?).ok()?;
            result["output"] = json!({"text": "x".repeat(bytes)});
        }
        "fail" => {
            result["status"] = json!("failed");
            result["output"] = Value::Null;
            result["error"] = payload["error"].clone();
        }
        "pending" | "processing" | "retry" => {
            result["status"] = json!(word);
            result["output"] = Value::Null;
        }
        _ => return None,
    }
    Some(result.to_string())
}

async fn publish(client: &Client, subject: &str, payload: &str) {
    let (subject, payload) = (subject.to_owned(), payload.to_owned().into());
    client.publish(subject, payload).await.unwrap();
}
