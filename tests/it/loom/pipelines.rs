//! Pipelines as tools: their arguments, their end, and what is told on the way.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::support::http::{Events, Web};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::wait_for;

/// Stages of two workers: renamed fields, fields below fields, defaults, conditions.
const MANY: &str = "
name: many
pipeline_stages:
  - name: read
    worker_type: reader
    input_mapping: {pages: goal.context.count, path: goal.context.file.path, kind: \"'pdf'\", size: goal.context.size}
  - name: write
    worker_type: writer
    input_mapping: {text: read.output.text, style: goal.context.style, note: goal.context.note}
    condition: goal.context.write == true
    depends_on: [read]
  - name: again
    worker_type: reader
    input_mapping: {pages: goal.context.more, path: goal.context.file.other}
    condition: read.output.more == true
    depends_on: [read]
";

const READER: &str = "
name: reader
system_prompt: Read.
input_schema:
  type: object
  required: [pages, path]
  properties:
    pages: {type: integer, minimum: 1}
    path: {type: string}
    kind: {type: string}
    size: {type: string, enum: [A4, A5], default: A4}
";

/// A schema without a type is the properties alone.
const WRITER: &str = "
name: writer
system_prompt: Write.
input_schema:
  style: {type: object, properties: {bold: {type: boolean}}}
";

#[tokio::test]
async fn arguments_have_the_types_of_the_fields_they_are_mapped_to() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("workers/reader.yaml", READER);
    place.write("workers/writer.yaml", WRITER);
    place.write("orchestrators/many.yaml", MANY);
    let config = "{name: x, tools: {pipelines: [{config: orchestrators/many.yaml, name: go}]}}";
    let config = place.write("many.yaml", config).display().to_string();
    let agent = Agent::start(place.command(&["serve", "--config", &config])).await;
    let tool = serde_json::to_value(&agent.tools[0]).unwrap();
    assert_eq!(
        (&tool["name"], &tool["description"]),
        (&json!("go"), &json!("Pipeline: many"))
    );
    let schema = &tool["inputSchema"];
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(
        properties["count"],
        json!({"type": "integer", "minimum": 1})
    );
    assert_eq!(properties["more"], json!({"type": "integer", "minimum": 1}));
    assert_eq!(
        properties["size"],
        json!({"type": "string", "enum": ["A4", "A5"], "default": "A4"})
    );
    assert_eq!(
        properties["style"]["properties"]["bold"],
        json!({"type": "boolean"})
    );
    assert_eq!(properties["note"], json!({"type": "string"}));
    // What lies below an argument is asked of it.
    let file = json!({
        "type": "object", "required": ["path"],
        "properties": {"path": {"type": "string"}, "other": {"type": "string"}}
    });
    assert_eq!(properties["file"], file);
    assert!(properties["write"].is_object(), "{schema}");
    let names: Vec<&String> = properties.keys().collect();
    assert_eq!(
        names,
        ["count", "file", "size", "style", "note", "write", "more"]
    );
    // What has a default, or what only stages with a condition take, may be left out.
    assert_eq!(schema["required"], json!(["count", "file"]));
}

fn doing(words: &[&str]) -> Value {
    json!({"text": "a", "do": words})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_pipeline_s_own_end_ends_the_call() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let plain = desk.mesh(&server).await;
    let agent = desk.agent().await;
    let stages = doing(&[
        "stage plain",
        "junk",
        "array",
        "stage other",
        "processing",
        "echo",
    ]);
    let answer = agent.ok("steps", stages.clone()).await;
    assert_eq!(answer.structured, stages);
    // What listens for goals as well and was not asked.
    for other in ["as orchestrator", "as council:panel"] {
        let words = doing(&[other, "fail", "as steps", "echo"]);
        agent.ok("steps", words).await;
    }
    let text = agent.refused("steps", doing(&["as cleanup", "echo"])).await;
    assert!(
        text.contains("cleanup") && text.contains("meant for steps"),
        "{text}"
    );
    let failed = json!({"text": "a", "do": ["stage plain", "fail"], "error": "Stage 'second' failed: no ink"});
    let text = agent.refused("steps", failed).await;
    assert_eq!(text, "Stage 'second' failed: no ink");
    let text = agent.refused("steps", doing(&["list"])).await;
    assert!(text.contains("Malformed pipeline result"), "{text}");
    wait_for("all goals", || plain.done() == 6);
}

/// No stage is silent for longer than its time limit; all of them together have the sum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_that_falls_silent_is_given_up_before_its_whole_time() {
    let server = NatsServer::start();
    // Idle for 1 + 5 seconds, over after 3 · 1 + 10.
    let desk = Desk::with(&server, "loom", "1.0");
    let _mesh = desk.mesh(&server).await;
    let agent = desk.agent().await;
    let silent = async {
        let words = doing(&["stage plain", "nothing"]);
        let text = agent.refused("steps", words).await;
        assert!(text.contains("nothing was heard"), "{text}");
        let done = "(stages done before: first)";
        assert!(text.contains(done), "{text}");
    };
    // Longer than one stage may take, and each sign of life in time.
    let slow = async {
        let words = ["wait", "stage plain", "wait", "stage other", "wait", "echo"];
        agent.ok("steps", waiting(2500, &words)).await;
    };
    let endless = async {
        let text = agent.refused("steps", waiting(2000, &["wait", "stage plain"].repeat(10)));
        let text = text.await;
        assert!(
            text.contains("no answer") && text.contains("within 13s"),
            "{text}"
        );
    };
    tokio::join!(silent, slow, endless);
}

fn waiting(ms: u32, words: &[&str]) -> Value {
    json!({"text": "a", "do": words, "ms": ms})
}

fn asking(words: &[&str]) -> Value {
    json!({"name": "steps", "arguments": doing(words), "_meta": {"progressToken": "t"}})
}

const STAGES: [&str; 5] = ["stage plain", "stage other", "retry", "stage third", "echo"];

fn told() -> Vec<Value> {
    let told =
        |(n, stage)| json!({"progressToken": "t", "progress": n, "total": 3.0, "message": stage});
    [(1.0, "first"), (2.0, "second"), (3.0, "third")]
        .map(told)
        .to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_stage_is_told_to_clients_that_ask() {
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let _mesh = desk.mesh(&server).await;
    let mut raw = desk.raw();
    raw.request(1, "tools/call", asking(&STAGES));
    let heard: Vec<Value> = (0..3)
        .map(|_| raw.notification("notifications/progress"))
        .collect();
    assert_eq!(heard, told());
    assert_eq!(raw.answer(1)["result"]["structuredContent"]["text"], "a");
    raw.close();
    let served = desk.served();
    let web = Web::begin(&served.url).await;
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asking(&STAGES)});
    let mut events = Events::of(web.post(&call).await);
    for expected in told() {
        assert_eq!(events.push().await.data["params"], expected);
    }
    let answer = events.push().await.data;
    assert_eq!(answer["result"]["structuredContent"]["text"], "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_may_run_as_a_task() {
    const TASKS: &str = "io.modelcontextprotocol/tasks";
    let server = NatsServer::start();
    let desk = Desk::new(&server);
    let _mesh = desk.mesh(&server).await;
    let mut raw = crate::support::raw::Raw::spawn(desk.command());
    let params = json!({
        "protocolVersion": "2025-06-18", "capabilities": {"extensions": {TASKS: {}}},
        "clientInfo": {"name": "raw", "version": "1"}
    });
    raw.request("init", "initialize", params);
    raw.answer("init");
    raw.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    raw.call(1, "steps", doing(&["stage plain", "echo"]));
    let task = raw.answer(1)["result"].take();
    let id = task["taskId"].clone();
    assert_eq!(task["resultType"], "task", "{task}");
    let mut state = Value::Null;
    wait_for("the end of the task", || {
        raw.request("get", "tasks/get", json!({"taskId": id}));
        state = raw.answer("get")["result"].take();
        state["status"] != "working"
    });
    assert_eq!(state["status"], "completed", "{state}");
    assert_eq!(state["result"]["structuredContent"]["text"], "a");
    // A worker answers in the call itself.
    raw.call(2, "plain", json!({"text": "b"}));
    assert_eq!(raw.answer(2)["result"]["structuredContent"]["text"], "b");
    raw.close();
}
