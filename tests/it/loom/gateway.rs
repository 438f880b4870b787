//! The pack before the real mesh: what it lists and answers for a config that the original gateway reads.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::mesh::{Actor, DIALECTS, Dialect, Mesh, ROUTER};
use crate::support::place::Place;
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
        for field in ["description", "inputSchema"] {
            assert_eq!(listed[field], tool[field], "{field} of {}", tool["name"]);
        }
        for (hint, value) in tool["annotations"].as_object().into_iter().flatten() {
            assert_eq!(&listed["annotations"][hint], value, "{}", tool["name"]);
        }
    }
    assert_eq!(tools.len(), listed.as_array().unwrap().len(), "{listed}");
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
