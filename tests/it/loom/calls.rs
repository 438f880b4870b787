//! Calls of workers that fail, answer oddly, or are not there.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::desk::Desk;
use crate::support::mcp::Agent;
use crate::support::server::NatsServer;
use crate::support::wait_for;
use crate::support::worker::Plain;

/// Far less than the worker's 20 seconds: the answer did not wait for them.
const AT_ONCE: Duration = Duration::from_secs(10);

async fn told_at_once(agent: &Agent, tool: &str, args: Value) -> String {
    let begun = Instant::now();
    let text = agent.refused(tool, args).await;
    assert!(
        begun.elapsed() < AT_ONCE,
        "{tool} after {:?}",
        begun.elapsed()
    );
    text
}

fn doing(words: &[&str]) -> Value {
    json!({"text": "a", "do": words})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_what_every_release_reads() {
    for prefix in ["loom", "heddle"] {
        let server = NatsServer::start();
        let desk = Desk::with(&server, prefix, "20");
        let plain = desk.mesh(&server).await;
        let agent = desk.agent().await;
        let args = json!({"text": "a", "more": [1]});
        let answer = agent.ok("plain", args).await;
        // What the schema has a default for is there, as it would be for a caller who gives it.
        let payload = json!({"text": "a", "more": [1], "count": 3});
        assert_eq!(answer.structured, payload);
        assert_eq!(
            serde_json::from_str::<Value>(&answer.text).unwrap(),
            payload
        );
        let mut task = plain.tasks().pop().unwrap();
        let fields = task.as_object_mut().unwrap();
        let id = fields.remove("task_id").unwrap();
        assert!(uuid::Uuid::parse_str(id.as_str().unwrap()).is_ok(), "{id}");
        let parent = fields.remove("parent_task_id").unwrap();
        let parent = parent.as_str().unwrap();
        assert!(parent.starts_with("mcp-"), "{parent}");
        assert_eq!(parent.split('.').count(), 2, "{parent}");
        let at = fields.remove("created_at").unwrap();
        assert!(at.as_str().unwrap().ends_with('Z'), "{at}");
        let rest = json!({
            "worker_type": "plain", "payload": payload, "model_tier": "local", "priority": "normal",
            "request_id": null, "metadata": {}, "max_retries": 2, "retry_count": 0
        });
        assert_eq!(task, rest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_says_of_a_failure_is_the_text_of_an_error() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let _mesh = desk.mesh(&server).await;
    let agent = desk.agent().await;
    let args = json!({"text": "a", "do": ["fail"], "error": "out of ink"});
    assert_eq!(agent.refused("plain", args).await, "out of ink");
    let text = agent.refused("plain", doing(&["fail"])).await;
    assert_eq!(text, "Task failed with no error message");
    // A field that is called like an error is data.
    let answer = agent
        .ok("plain", json!({"text": "a", "error": "none"}))
        .await;
    assert_eq!(answer.structured["error"], "none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_result_of_the_task_ends_the_call() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let plain = desk.mesh(&server).await;
    let agent = desk.agent().await;
    for before in [
        "pending",
        "processing",
        "retry",
        "stranger",
        "junk",
        "array",
    ] {
        let words = doing(&[before, "echo"]);
        let answer = agent.ok("plain", words.clone()).await;
        assert_eq!(answer.structured["do"], words["do"], "{before}");
    }
    // A second result has nobody who waits for it, and is nobody else's.
    agent.ok("plain", doing(&["echo", "echo", "fail"])).await;
    for n in 0..5 {
        let answer = agent.ok("plain", json!({"text": n.to_string()})).await;
        assert_eq!(answer.structured["text"], n.to_string());
    }
    wait_for("all tasks", || plain.done() == 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_that_are_no_outputs_are_errors() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let _mesh = desk.mesh(&server).await;
    let agent = desk.agent().await;
    let text = agent.refused("plain", doing(&["list"])).await;
    assert!(
        text.contains("Malformed result") && text.contains("`output`"),
        "{text}"
    );
    // No output at all is an empty one, which this worker must not answer.
    let text = agent.refused("plain", doing(&["null"])).await;
    assert!(text.contains("text"), "{text}");
    assert_eq!(
        agent.ok("hasty", doing(&["null"])).await.structured,
        json!({})
    );
    // Published as the tool's output schema, which holds for what the worker says.
    let listed = agent
        .tools
        .iter()
        .find(|tool| tool.name == "plain")
        .unwrap();
    let schema = serde_json::to_value(&listed.output_schema).unwrap();
    assert_eq!(schema["required"], json!(["text"]), "{schema}");
    // As large as a message can be, it comes through.
    let args = json!({"text": "a", "do": ["pad"], "pad": 1_000_000});
    let answer = agent.ok("plain", args).await;
    assert_eq!(answer.structured["text"].as_str().unwrap().len(), 1_000_000);
}

/// What a worker file says and does not say becomes a tool.
#[tokio::test]
async fn files_that_say_little_are_tools() {
    let server = NatsServer::start();
    let agent = Desk::new(&server).agent().await;
    let listed = |name: &str| {
        let tool = agent.tools.iter().find(|tool| tool.name == name).unwrap();
        serde_json::to_value(tool).unwrap()
    };
    let hasty = listed("hasty");
    assert_eq!(hasty["description"], "Answers soon.");
    assert_eq!(hasty["inputSchema"], json!({"type": "object"}));
    // Workers check nothing by a schema without a type.
    let answer = json!({"type": "object"});
    assert_eq!(hasty["outputSchema"], answer);
    assert_eq!(listed("nobody")["outputSchema"], Value::Null);
    assert_eq!(
        listed("strict")["inputSchema"],
        listed("plain")["inputSchema"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_after_its_time_is_nobody_s() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let plain = desk.mesh(&server).await;
    let agent = desk.agent().await;
    let late = json!({"text": "late", "do": ["wait", "echo"], "ms": 1500});
    let text = agent.refused("hasty", late).await;
    assert!(
        text.contains("no answer") && text.contains("500ms"),
        "{text}"
    );
    wait_for("the late result", || plain.done() == 1);
    let answer = agent.ok("plain", json!({"text": "next"})).await;
    assert_eq!(answer.structured["text"], "next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_are_checked_before_anything_is_sent() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let plain = desk.mesh(&server).await;
    let agent = desk.agent().await;
    for (tool, args, word) in [
        ("plain", json!({}), "text"),
        ("plain", json!({"text": 7}), "text"),
        ("plain", json!({"text": ""}), "text"),
        ("plain", json!({"text": "a", "count": "3"}), "count"),
        ("plain", json!({"text": "a", "do": [1]}), "do"),
        ("steps", json!({}), "text"),
    ] {
        let text = agent.refused(tool, args).await;
        assert!(text.contains(word), "{text}");
    }
    // Larger than NATS takes: said with both sizes, and nothing is sent.
    let text = told_at_once(&agent, "plain", json!({"text": "x".repeat(1_100_000)})).await;
    assert!(text.contains("1048576"), "{text}");
    assert_eq!(plain.tasks(), Vec::<Value>::new());
    agent.ok("plain", json!({"text": "a"})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_will_answer_is_told_at_once() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let agent = desk.agent().await;
    // Neither a router nor a pipeline.
    let text = told_at_once(&agent, "plain", json!({"text": "a"})).await;
    assert!(text.contains("loom.tasks.incoming"), "{text}");
    let text = told_at_once(&agent, "steps", json!({"text": "a"})).await;
    assert!(text.contains("loom.goals.incoming"), "{text}");
    // A router, and no such worker.
    let router = Plain::start(&server, "loom", &[]).await;
    let text = told_at_once(&agent, "nobody", json!({})).await;
    assert!(text.contains("loom.tasks.nobody.local"), "{text}");
    // They come later, and the same gateway reaches them.
    drop(router);
    let _mesh = desk.mesh(&server).await;
    agent.ok("plain", json!({"text": "a"})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_ends_its_call_at_once_and_no_other() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let _mesh = Plain::limited(&server, "loom", &["plain"], "frontier").await;
    let agent = desk.agent().await;
    let other = agent.ok("plain", doing(&["wait", "echo"]));
    let refused = async {
        let text = told_at_once(&agent, "strict", json!({"text": "a"})).await;
        assert!(
            text.contains("tier 'frontier' has no available capacity"),
            "{text}"
        );
        assert!(text.contains("plain"), "{text}");
    };
    tokio::join!(other, refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_is_dropped_and_the_rest_goes_on() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let plain = desk.mesh(&server).await;
    let mut raw = desk.raw();
    raw.call(
        1,
        "plain",
        json!({"text": "a", "do": ["wait", "echo"], "ms": 300}),
    );
    wait_for("the task", || plain.tasks().len() == 1);
    raw.line(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#);
    raw.call(
        2,
        "plain",
        json!({"text": "b", "do": ["wait", "echo"], "ms": 600}),
    );
    assert_eq!(raw.answer(2)["result"]["structuredContent"]["text"], "b");
    // The late result of the first came meanwhile.
    assert_eq!(plain.done(), 2);
    let answer = raw.answer_within(&json!(1), Duration::ZERO);
    assert_eq!(answer, None);
    raw.close();
}
