//! What the real mesh says to plain messages: what the other tests, and the plain worker of this crate, rest on.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::caller::{Caller, next};
use crate::support::mesh::{Actor, DIALECTS, Dialect, Mesh, ROUTER};
use crate::support::server::NatsServer;
use crate::support::wait_for;
use crate::support::worker::Plain;

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
        let mut caller = Caller::at(&server, dialect.prefix()).await;
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
    let mut caller = Caller::at(&server, "heddle").await;
    caller.call("wordcount", json!({"text": "one"})).await;
    let id = caller.task("wordcount", json!({"text": "two"})).await;
    let dead = next(&mut caller.dead).await;
    assert_eq!(dead["task_id"], id, "{dead}");
    assert_eq!(
        dead["reason"],
        "rate_limited: tier 'local' has no available capacity"
    );
}

/// What tells a caller at once that a task would never be answered.
#[tokio::test]
async fn the_server_says_when_a_worker_has_gone() {
    let server = NatsServer::start();
    let worker = Actor::Worker("wordcount");
    let mut mesh = Mesh::start(Dialect::Heddle, &server, &[ROUTER, worker]).await;
    assert!(mesh.serves(worker).await);
    mesh.kill(worker);
    while mesh.serves(worker).await {
        // Until the server has seen the end of its connection.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(mesh.serves(ROUTER).await);
    mesh.add(worker).await;
    let mut caller = Caller::at(&server, "heddle").await;
    let result = caller.call("wordcount", json!({"text": "one"})).await;
    assert_eq!(result["output"], json!({"word_count": 1}));
}

#[tokio::test]
async fn a_council_tells_each_turn_and_the_end() {
    let server = NatsServer::start();
    let actors = [ROUTER, Actor::Worker("agent"), Actor::Council("panel")];
    let _mesh = Mesh::start(Dialect::Heddle, &server, &actors).await;
    let mut caller = Caller::at(&server, "heddle").await;
    let goal = json!({"goal_id": "me.c1", "instruction": "Shall we ship?", "context": {}});
    caller.send("goals.incoming", &goal.to_string()).await;
    for round in 1..=2 {
        for role in ["Sees the good side", "Asks what can go wrong"] {
            let turn = caller.result().await;
            assert_eq!(turn["parent_task_id"], "me.c1", "{turn}");
            let said = format!("{role}: round {round} on Shall we ship?");
            assert_eq!(turn["output"], json!({"content": said}));
        }
    }
    let last = caller.result().await;
    assert_eq!(last["task_id"], "me.c1", "{last}");
    assert_eq!(last["worker_type"], "council:panel");
    assert_eq!(last["output"]["rounds_completed"], 2, "{last}");
    assert_eq!(last["output"]["synthesis"], "4 good sides", "{last}");
}

/// The workers without Python speak as the real ones do, and misbehave when they are told to.
#[tokio::test(flavor = "multi_thread")]
async fn plain_workers_do_as_they_are_told() {
    let server = NatsServer::start();
    let plain = Plain::start(&server, "loom", &["plain"]).await;
    let mut caller = Caller::at(&server, "loom").await;
    let result = caller.call("plain", json!({"text": "a"})).await;
    assert_eq!(result["status"], "completed", "{result}");
    assert_eq!(result["output"], json!({"text": "a"}));
    let words =
        json!({"do": ["pending", "array", "stranger", "wait", "fail"], "error": "no", "ms": 1});
    let id = caller.task("plain", words).await;
    assert_eq!(caller.result().await["status"], "pending");
    assert_eq!(caller.result().await[0]["task_id"], id);
    assert_eq!(caller.result().await["task_id"], "another");
    let last = caller.result().await;
    assert_eq!(
        json!([last["task_id"], last["status"], last["error"]]),
        json!([id, "failed", "no"])
    );
    let bad = json!({"task_id": "bad", "worker_type": "plain", "model_tier": "gpu"});
    caller.send("tasks.incoming", &bad.to_string()).await;
    assert_eq!(next(&mut caller.dead).await["original_task"], bad);
    wait_for("the end of both tasks", || plain.done() == 2);
    assert_eq!(plain.tasks().len(), 3);
}
