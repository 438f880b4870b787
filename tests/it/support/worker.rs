//! A mesh of LOOM or Heddle without Python: a router, workers and pipelines that do what they are told, good or bad.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
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
/// | `list`, `null` | answers `completed` with a list or null as output |
/// | `pad` | answers `completed` with a text of so many bytes as `pad` of the payload says |
/// | `junk`, `array` | sends what is not JSON, or a list, instead of a result |
/// | `wait` | waits for `ms` of the payload |
/// | `nothing` | does nothing |
///
/// A pipeline does the same with the context of a goal, and knows two more words:
///
/// | word | what it does |
/// |---|---|
/// | `stage WORKER` | sends the result of a stage that this worker did |
/// | `as NAME` | sends what follows under this name instead of its own |
pub struct Plain {
    running: Vec<JoinHandle<()>>,
    tasks: Arc<Mutex<Vec<Value>>>,
    done: Arc<AtomicUsize>,
}

impl Plain {
    /// With workers of these types, all at tier `local`. Tasks are answered side by side.
    pub async fn start(server: &NatsServer, prefix: &'static str, workers: &[&str]) -> Self {
        Self::limited(server, prefix, workers, "").await
    }

    /// With a router that has no capacity left in this tier.
    pub async fn limited(
        server: &NatsServer,
        prefix: &'static str,
        workers: &[&str],
        full: &'static str,
    ) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let mut plain = Self {
            running: Vec::new(),
            tasks: Arc::default(),
            done: Arc::default(),
        };
        plain.route(&client, prefix, full).await;
        for worker in workers {
            plain.work(&client, prefix, worker).await;
        }
        settled(&client).await;
        plain
    }

    /// With a pipeline of this name besides.
    pub async fn pipeline(mut self, server: &NatsServer, prefix: &'static str, name: &str) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let subject = format!("{prefix}.goals.incoming");
        let mut goals = client
            .queue_subscribe(subject, "pipelines".to_owned())
            .await
            .unwrap();
        settled(&client).await;
        let (name, done) = (name.to_owned(), Arc::clone(&self.done));
        self.running.push(tokio::spawn(async move {
            while let Some(message) = goals.next().await {
                let Ok(goal) = serde_json::from_slice::<Value>(&message.payload) else {
                    continue;
                };
                let as_task = json!({
                    "task_id": goal["goal_id"], "parent_task_id": goal["goal_id"],
                    "worker_type": name, "payload": goal["context"]
                });
                let (client, done) = (client.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    if answer(&client, prefix, as_task).await.is_some() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }));
        self
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
    async fn route(&mut self, client: &Client, prefix: &'static str, full: &'static str) {
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
                let letters = format!("{prefix}.tasks.dead_letter");
                let (subject, payload) = match (worker, known) {
                    (Some(_), Some(tier)) if tier == full => {
                        let reason =
                            format!("rate_limited: tier '{tier}' has no available capacity");
                        (letters, dead(&task, &reason))
                    }
                    (Some(worker), Some(tier)) => {
                        (format!("{prefix}.tasks.{worker}.{tier}"), task.clone())
                    }
                    _ => (letters, dead(&task, "invalid_task_message: model_tier")),
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
                // An empty message for example is no task.
                let Ok(task) = serde_json::from_slice::<Value>(&message.payload) else {
                    continue;
                };
                tokio::spawn(async move {
                    if answer(&client, prefix, task).await.is_some() {
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

fn dead(task: &Value, reason: &str) -> Value {
    json!({
        "reason": reason, "original_task": task,
        "task_id": task["task_id"], "worker_type": task["worker_type"]
    })
}

/// Does what the payload says. None for a word that is none.
async fn answer(client: &Client, prefix: &str, mut task: Value) -> Option<()> {
    let parent = task["parent_task_id"].as_str().unwrap_or("default");
    let subject = format!("{prefix}.results.{parent}");
    let payload = task["payload"].clone();
    let echo = vec![json!("echo")];
    for word in payload["do"].as_array().unwrap_or(&echo) {
        let word = word.as_str()?;
        if word == "wait" {
            let time = payload["ms"].as_u64().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(time)).await;
        } else if let Some(worker) = word.strip_prefix("stage ") {
            let mut stage = task.clone();
            stage["task_id"] = json!(uuid::Uuid::new_v4().to_string());
            stage["worker_type"] = json!(worker);
            publish(client, &subject, &said("echo", &stage)?).await;
        } else if let Some(name) = word.strip_prefix("as ") {
            task["worker_type"] = json!(name);
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
        "null" => result["output"] = Value::Null,
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
