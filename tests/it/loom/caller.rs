//! A caller of the mesh that speaks to NATS itself.

use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::LIMIT;
use crate::support::server::{NatsServer, settled};

/// A caller with one subscription for all its results.
pub struct Caller {
    client: Client,
    prefix: &'static str,
    /// Results of its tasks and goals.
    pub results: Subscriber,
    /// Tasks that could not be routed.
    pub dead: Subscriber,
    asked: u32,
}

impl Caller {
    /// On the subjects that begin with the prefix. Its own ids begin with `me.`.
    pub async fn at(server: &NatsServer, prefix: &'static str) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let caller = Self {
            results: client
                .subscribe(format!("{prefix}.results.me.*"))
                .await
                .unwrap(),
            dead: client
                .subscribe(format!("{prefix}.tasks.dead_letter"))
                .await
                .unwrap(),
            client,
            prefix,
            asked: 0,
        };
        settled(&caller.client).await;
        caller
    }

    /// Sends a task, with the fewest fields there can be; gives its id.
    pub async fn task(&mut self, worker: &str, payload: Value) -> String {
        self.asked += 1;
        let id = format!("task-{}", self.asked);
        let task = json!({
            "task_id": id, "parent_task_id": format!("me.{}", self.asked),
            "worker_type": worker, "model_tier": "local", "payload": payload
        });
        self.send("tasks.incoming", &task.to_string()).await;
        id
    }

    /// Sends a text as it is.
    pub async fn send(&self, subject: &str, payload: &str) {
        let subject = format!("{}.{subject}", self.prefix);
        let payload = payload.to_owned().into();
        self.client.publish(subject, payload).await.unwrap();
    }

    /// The next message for this caller.
    pub async fn result(&mut self) -> Value {
        next(&mut self.results).await
    }

    /// Sends a task and gives its result.
    pub async fn call(&mut self, worker: &str, payload: Value) -> Value {
        let id = self.task(worker, payload).await;
        let result = self.result().await;
        assert_eq!(result["task_id"], id, "{result}");
        result
    }
}

/// The next message, as JSON.
pub async fn next(messages: &mut Subscriber) -> Value {
    let message = timeout(LIMIT, messages.next()).await;
    let message = message.expect("a message in time").unwrap();
    serde_json::from_slice(&message.payload).unwrap()
}
