//! Specs, templates, documents, configs and project files that change while they are served.

mod files;
mod kinds;
mod live;
mod served;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::LIMIT;
use crate::support::mcp::Agent;
use crate::support::place::Place;

const TOOLS: &str = "notifications/tools/list_changed";

/// A pack of tools without arguments: the name and the text of each.
fn pack(tools: &[(&str, &str)]) -> String {
    let tools: serde_json::Map<_, _> = tools
        .iter()
        .map(|(name, text)| {
            let tool = json!({"description": "Says something.", "reply": {"text": text}});
            ((*name).to_owned(), tool)
        })
        .collect();
    json!({ "tools": tools }).to_string()
}

/// A config that serves `mine`, and the pack in it.
fn write(place: &Place, tools: &str) -> String {
    place.write("mine/tools.yaml", tools);
    let config = place.write("gateway.yaml", "packs: [./mine]\n");
    config.to_string_lossy().into_owned()
}

/// An agent of a gateway that watches what it serves.
async fn watching(place: &Place, config: &str) -> Agent {
    Agent::start(place.command(&["serve", "--watch", "--config", config])).await
}

/// How often a text stands in a log.
fn count(log: &str, text: &str) -> usize {
    log.matches(text).count()
}

/// Waits until a condition holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < 2 * LIMIT, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the gateway has logged a text so many times.
async fn logged(agent: &Agent, text: &str, times: usize) {
    until(text, async || count(&agent.stderr(), text) >= times).await;
}

/// The names of the tools that are listed now.
async fn names(agent: &mut Agent) -> Vec<String> {
    agent.list().await;
    agent
        .tools
        .iter()
        .map(|tool| tool.name.to_string())
        .collect()
}
