//! The pack before the real mesh: what it lists and answers for a config that the original gateway reads.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::mesh::{Actor, DIALECTS, Dialect, Mesh, ROUTER};
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

/// What the original lists and answers (`made_with` says which).
fn original() -> Value {
    serde_json::from_str(include_str!("../../mesh/files/original-tools.json")).unwrap()
}

/// A gateway with `configs/docman.yaml`, on this server.
async fn docman(place: &Place, server: &NatsServer, dialect: Dialect) -> Agent {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("configs/docman.yaml")).unwrap();
    let text = text.replace("nats://127.0.0.1:4222", &server.url());
    let config = place.write("docman.yaml", &text);
    let prefix = format!("loom.subject_prefix={}", dialect.prefix());
    let config = config.display().to_string();
    let mut command = place.command(&["serve", "--config", &config, "--set", &prefix]);
    // Paths in such a config are relative to where the gateway runs.
    command.current_dir(root);
    Agent::start(command).await
}

const ALL: [Actor; 4] = [
    ROUTER,
    Actor::Worker("wordcount"),
    Actor::Worker("linecount"),
    Actor::Pipeline("docstats"),
];

#[tokio::test]
async fn the_tools_are_the_original_s() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = docman(&place, &server, Dialect::Heddle).await;
    let listed = serde_json::to_value(&agent.tools).unwrap();
    let original = original();
    let tools = original["tools"].as_array().unwrap();
    let by_name = |name: &Value| {
        let mut all = listed.as_array().unwrap().iter();
        all.find(|listed| &listed["name"] == name)
            .unwrap_or_else(|| panic!("no {name} in {listed}"))
    };
    for tool in tools {
        let listed = by_name(&tool["name"]);
        let own = tool["name"].as_str().unwrap().contains('.');
        assert_eq!(listed["description"], tool["description"]);
        // What the pack has its own tools for it checks more strictly.
        let shown = if own { outline } else { Value::clone };
        let schemas = [listed, tool].map(|tool| shown(&tool["inputSchema"]));
        assert_eq!(schemas[0], schemas[1], "{}", tool["name"]);
        for (hint, value) in tool["annotations"].as_object().into_iter().flatten() {
            assert_eq!(&listed["annotations"][hint], value, "{}", tool["name"]);
        }
    }
    assert_eq!(tools.len(), listed.as_array().unwrap().len(), "{listed}");
}

/// What a caller has to know of a schema: names, types, what is required.
fn outline(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().unwrap().iter();
    let types = properties.map(|(name, schema)| (name.clone(), schema["type"].clone()));
    let types: serde_json::Map<String, Value> = types.collect();
    json!({"properties": types, "required": schema["required"]})
}

#[tokio::test]
async fn calls_answer_what_the_original_answers() {
    for dialect in DIALECTS {
        let server = NatsServer::start();
        let _mesh = Mesh::start(dialect, &server, &ALL).await;
        let place = Place::on(&server);
        let agent = docman(&place, &server, dialect).await;
        for call in original()["calls"].as_array().unwrap() {
            let tool = call["tool"].as_str().unwrap();
            let mut wanted = call["result"]["structuredContent"].clone();
            let here = ["count_words", "linecount", "docstats"].contains(&tool);
            if !here || wanted.get("error").is_some() {
                continue;
            }
            let mut answer = agent.ok(tool, call["arguments"].clone()).await.structured;
            for result in [&mut wanted, &mut answer] {
                // Times differ.
                result.as_object_mut().unwrap().remove("_timeline");
            }
            assert_eq!(answer, wanted, "{tool} of {dialect:?}");
        }
        // The original says so without `isError`, after a worker was asked.
        for tool in ["count_words", "docstats"] {
            let text = agent.call(tool, json!({})).await;
            assert!(text.error && text.text.contains("text"), "{text:?}");
        }
    }
}

/// A gateway with one worker and one pipeline of `tests/mesh/files`.
async fn odd(place: &Place, server: &NatsServer, dialect: Dialect) -> Raw {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mesh/files");
    let config = json!({
        "name": "odd", "nats_url": server.url(), "subject_prefix": dialect.prefix(),
        "tools": {
            "workers": [{"config": files.join("workers/odd.yaml")}],
            "pipelines": [{"config": files.join("orchestrators/branches.yaml"), "name": "branches"}]
        }
    });
    let config = place.write("odd.yaml", &config.to_string());
    Raw::start(place.command(&["serve", "--config", &config.display().to_string()]))
}

/// A call of the pipeline: its answer, and what was told before.
fn branches(raw: &mut Raw, args: &Value, told: &[&str]) -> (Value, String) {
    let meta = json!({"progressToken": "t"});
    let params = json!({"name": "branches", "arguments": args, "_meta": meta});
    raw.request("go", "tools/call", params);
    for (at, stage) in told.iter().enumerate() {
        let heard = raw.notification("notifications/progress");
        let wanted = json!({"progressToken": "t", "progress": (at + 1) as f64, "total": 4.0, "message": stage});
        assert_eq!(heard, wanted);
    }
    let mut result = raw.answer("go")["result"].take();
    let text = result["content"][0]["text"].as_str().unwrap().to_owned();
    let done = result["isError"] != true;
    (
        if done {
            result["structuredContent"].take()
        } else {
            Value::Null
        },
        text,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_are_skipped_told_and_fail_as_the_real_pipeline_does() {
    for dialect in DIALECTS {
        let server = NatsServer::start();
        let workers = [Actor::Worker("wordcount"), Actor::Worker("odd")];
        let actors = [&[ROUTER, Actor::Pipeline("branches")][..], &workers].concat();
        let _mesh = Mesh::start(dialect, &server, &actors).await;
        let place = Place::on(&server);
        let mut raw = odd(&place, &server, dialect).await;
        let document = json!({"title": "one two", "body": "one two three"});
        let args = json!({"document": document});
        let (answer, text) = branches(&mut raw, &args, &["title", "body"]);
        assert_eq!(answer["body"]["word_count"], 3, "{text}");
        assert_eq!(answer["careful"], Value::Null);
        let args = json!({"document": document, "careful": true, "pause": 1});
        let (answer, text) = branches(&mut raw, &args, &["title", "body", "careful"]);
        assert_eq!(answer["careful"]["text"], "one two three", "{text}");
        let args = json!({"document": document, "reason": "out of ink"});
        let (answer, text) = branches(&mut raw, &args, &["title", "body"]);
        assert_eq!(answer, Value::Null);
        assert_eq!(text, "Stage 'failing' failed: out of ink");
        let args = json!({"document": {"title": "one"}});
        let (text, failed) = raw.tool("bad", "branches", args);
        assert!(failed && text.contains("body"), "{text}");
        failures(&mut raw);
        raw.close();
    }
}

/// What the real worker says of what it cannot do.
fn failures(raw: &mut Raw) {
    for (args, error) in [
        (json!({"text": "a", "fail": "out of ink"}), "out of ink"),
        (
            json!({"text": "a", "wrong": true}),
            "Output validation: ['output.text: expected string']",
        ),
    ] {
        assert_eq!(raw.tool("odd", "odd", args), (error.to_owned(), true));
    }
    let (text, failed) = raw.tool("odd", "odd", json!({"text": "a", "error": "none"}));
    assert!(!failed && text.contains("none"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_router_refuses_is_told_at_once() {
    let server = NatsServer::start();
    let limited = Actor::Router("limited_rules.yaml");
    let actors = [
        limited,
        Actor::Worker("wordcount"),
        Actor::Worker("odd"),
        Actor::Pipeline("branches"),
    ];
    let _mesh = Mesh::start(Dialect::Heddle, &server, &actors).await;
    let place = Place::on(&server);
    let mut raw = odd(&place, &server, Dialect::Heddle).await;
    assert!(!raw.tool("1", "odd", json!({"text": "a"})).1);
    let (text, failed) = raw.tool("2", "odd", json!({"text": "a"}));
    let reason = "rate_limited: tier 'local' has no available capacity";
    assert!(failed && text.contains(reason), "{text}");
    // A stage of a pipeline, too.
    let args = json!({"document": {"title": "one", "body": "two"}});
    let (text, failed) = raw.tool("3", "branches", args);
    assert!(
        failed && text.contains(reason) && text.contains("stage title"),
        "{text}"
    );
    raw.close();
}

/// The original waits until its time is over.
#[tokio::test]
async fn a_worker_that_is_not_there_is_told_at_once() {
    let server = NatsServer::start();
    let actors = [ROUTER, Actor::Worker("wordcount")];
    let _mesh = Mesh::start(Dialect::Heddle, &server, &actors).await;
    let place = Place::on(&server);
    let agent = docman(&place, &server, Dialect::Heddle).await;
    agent.ok("count_words", json!({"text": "a b"})).await;
    let answer = agent.call("linecount", json!({"text": "a"})).await;
    assert!(answer.error, "{answer:?}");
    assert!(answer.text.contains("heddle.tasks.linecount"), "{answer:?}");
}
