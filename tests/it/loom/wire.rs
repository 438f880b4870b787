//! What the real mesh says to plain messages: what the other tests, and the plain worker of this crate, rest on.

use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::LIMIT;
use crate::support::mesh::{Actor, DIALECTS, Dialect, Mesh, ROUTER};
use crate::support::server::{NatsServer, settled};

/// A caller with one subscription for all its results.
struct Caller {
    client: Client,
    prefix: &'static str,
    results: Subscriber,
    dead: Subscriber,
    asked: u32,
}

impl Caller {
    async fn at(server: &NatsServer, dialect: Dialect) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let prefix = dialect.prefix();
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
    async fn task(&mut self, worker: &str, payload: Value) -> String {
        self.asked += 1;
        let id = format!("task-{}", self.asked);
        let task = json!({
            "task_id": id, "parent_task_id": format!("me.{}", self.asked),
            "worker_type": worker, "model_tier": "local", "payload": payload
        });
        self.send("tasks.incoming", &task.to_string()).await;
        id
    }

    async fn send(&self, subject: &str, payload: &str) {
        let subject = format!("{}.{subject}", self.prefix);
        let payload = payload.to_owned().into();
        self.client.publish(subject, payload).await.unwrap();
    }

    /// The next message for this caller.
    async fn result(&mut self) -> Value {
        next(&mut self.results).await
    }

    /// Sends a task and gives its result.
    async fn call(&mut self, worker: &str, payload: Value) -> Value {
        let id = self.task(worker, payload).await;
        let result = self.result().await;
        assert_eq!(result["task_id"], id, "{result}");
        result
    }
}

async fn next(messages: &mut Subscriber) -> Value {
    let message = timeout(LIMIT, messages.next()).await;
    let message = message.expect("a message in time").unwrap();
    serde_json::from_slice(&message.payload).unwrap()
}

const WORKERS: [Actor; 3] = [
    Actor::Worker("wordcount"),
    Actor::Worker("linecount"),
    Actor::Worker("odd"),
];

#[tokio::test]
async fn both_dialects_answer_tasks_and_goals() {
    for dialect in DIALECTS {
        let server = NatsServer::start();
        let actors = [&[ROUTER, Actor::Pipeline("docstats")][..], &WORKERS].concat();
        let _mesh = Mesh::start(dialect, &server, &actors).await;
        let mut caller = Caller::at(&server, dialect).await;
        tasks(&mut caller).await;
        failures(&mut caller).await;
        dead_letters(&mut caller).await;
        goals(&mut caller).await;
        assert!(
            timeout(Duration::ZERO, caller.results.next())
                .await
                .is_err()
        );
    }
}

async fn tasks(caller: &mut Caller) {
    let result = caller
        .call("wordcount", json!({"text": "one two three"}))
        .await;
    assert_eq!(result["status"], "completed", "{result}");
    assert_eq!(result["output"], json!({"word_count": 3}));
    assert_eq!(result["error"], Value::Null);
    assert_eq!(result["worker_type"], "wordcount");
    // An answer may have a field that is called like an error and still be one.
    let result = caller
        .call("odd", json!({"text": "a", "error": "none"}))
        .await;
    assert_eq!(result["status"], "completed", "{result}");
    assert_eq!(result["output"], json!({"text": "a", "error": "none"}));
}

async fn failures(caller: &mut Caller) {
    let failed = [
        (
            json!({}),
            r#"Input validation: ["input: missing required field 'text'"]"#,
        ),
        (
            json!({"text": 7}),
            "Input validation: ['input.text: expected string']",
        ),
        (json!({"text": "a", "fail": "out of ink"}), "out of ink"),
        (
            json!({"text": "a", "wrong": true}),
            "Output validation: ['output.text: expected string']",
        ),
    ];
    for (payload, error) in failed {
        let result = caller.call("odd", payload).await;
        assert_eq!(result["status"], "failed", "{result}");
        assert_eq!(result["error"], error);
        assert_eq!(result["output"], Value::Null);
    }
}

/// Nothing arrives among the results for what the router refuses.
async fn dead_letters(caller: &mut Caller) {
    let bad = json!({"task_id": "bad", "worker_type": "odd", "model_tier": "gpu", "payload": {}});
    caller.send("tasks.incoming", &bad.to_string()).await;
    let dead = next(&mut caller.dead).await;
    let reason = dead["reason"].as_str().unwrap();
    assert!(reason.starts_with("invalid_task_message: "), "{dead}");
    assert_eq!(dead["original_task"]["task_id"], "bad");
    // A message that is not JSON is passed over, by router and worker.
    for subject in ["tasks.incoming", "tasks.odd.local"] {
        caller.send(subject, "").await;
        caller.send(subject, "{").await;
    }
    let result = caller.call("odd", json!({"text": "still here"})).await;
    assert_eq!(result["output"]["text"], "still here");
}

/// Every stage's result arrives where the last does.
async fn goals(caller: &mut Caller) {
    let goal = json!({
        "goal_id": "me.goal", "instruction": "MCP tool call", "context": {"text": "one two\nthree\n"}
    });
    caller.send("goals.incoming", &goal.to_string()).await;
    for (worker, output) in [
        ("wordcount", json!({"word_count": 3})),
        ("linecount", json!({"line_count": 2})),
    ] {
        let stage = caller.result().await;
        assert_eq!(stage["worker_type"], worker, "{stage}");
        assert_ne!(stage["task_id"], "me.goal", "{stage}");
        assert_eq!(stage["parent_task_id"], "me.goal", "{stage}");
        assert_eq!(stage["output"], output);
    }
    let last = caller.result().await;
    assert_eq!(last["task_id"], "me.goal", "{last}");
    assert_eq!(last["worker_type"], "docstats", "{last}");
    assert_eq!(last["status"], "completed", "{last}");
    assert_eq!(last["output"]["words"], json!({"word_count": 3}));
    assert_eq!(last["output"]["lines"], json!({"line_count": 2}));
}

#[tokio::test]
async fn a_router_that_limits_says_so_in_a_dead_letter() {
    let server = NatsServer::start();
    let actors = [
        Actor::Router("limited_rules.yaml"),
        Actor::Worker("wordcount"),
    ];
    let _mesh = Mesh::start(Dialect::Heddle, &server, &actors).await;
    let mut caller = Caller::at(&server, Dialect::Heddle).await;
    caller.call("wordcount", json!({"text": "one"})).await;
    let id = caller.task("wordcount", json!({"text": "two"})).await;
    let dead = next(&mut caller.dead).await;
    assert_eq!(dead["task_id"], id, "{dead}");
    assert_eq!(
        dead["reason"],
        "rate_limited: tier 'local' has no available capacity"
    );
}
