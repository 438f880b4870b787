//! The pack `warp` as its users have it: real gateways on a real server, and a plain NATS client in the place of the
//! original.

mod fleet;
mod identity;
mod inbox;
mod letters;
mod names;
mod odd;
mod registry;
mod scope;
mod work;

use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::{self, Context, kv};
use serde_json::{Value, json};

use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// An id as the original makes them: no UUID.
pub const OLD_ID: &str = "de129cb03c25217d62805e4b94266d98";
/// An id that the original's tools take.
pub const UUID: &str = "6f1c5a52-0d9e-4f5c-9d0a-0e5a6f7b8c9d";

/// A client as the original has: nothing of ours in it.
pub async fn plain(server: &NatsServer) -> Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

/// A gateway with these variables.
pub fn with(place: &Place, variables: &[(&str, &str)]) -> Command {
    let mut command = place.command(&["serve"]);
    command.envs(variables.iter().copied());
    command
}

/// Registers with these capabilities; the guid.
pub async fn register(agent: &Agent, kind: &str, capabilities: &[&str]) -> String {
    let args = json!({"agentType": kind, "capabilities": capabilities});
    let answer = agent.ok("warp_registry_register", args).await;
    text(&answer.structured["guid"])
}

/// A registered agent of a place, and its guid.
pub async fn agent(place: &Place, kind: &str, capabilities: &[&str]) -> (Agent, String) {
    let agent = Agent::at(place).await;
    let guid = register(&agent, kind, capabilities).await;
    (agent, guid)
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// A time as the original writes it, so many seconds from now.
pub fn stamp(seconds: i64) -> String {
    let time = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    );
    time.format(&format).unwrap()
}

/// The registry as the original makes it: history 1 and no time to live.
pub async fn registry(plain: &Context) -> kv::Store {
    match plain.get_key_value("agent-registry").await {
        Ok(store) => store,
        Err(_) => {
            let config = kv::Config {
                bucket: "agent-registry".into(),
                history: 1,
                ..Default::default()
            };
            plain.create_key_value(config).await.unwrap()
        }
    }
}

/// An entry as the original writes it, with these fields changed or (null) left out.
pub fn entry(guid: &str, changes: Value) -> String {
    let mut entry = json!({
        "guid": guid, "agentType": "developer", "handle": "original", "hostname": "demo-host",
        "projectId": "ef9d16d7cd7cfd50", "natsUrl": "nats://localhost:4222", "capabilities": ["code-review"],
        "scope": "public", "status": "online", "currentTaskCount": 0, "registeredAt": stamp(-60),
        "lastHeartbeat": stamp(-5), "username": "somebody",
    });
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => entry.as_object_mut().unwrap().remove(key),
            value => entry
                .as_object_mut()
                .unwrap()
                .insert(key.clone(), value.clone()),
        };
    }
    entry.to_string()
}

/// Waits until a tool's answer is as wanted.
pub async fn until(
    agent: &Agent,
    tool: &str,
    args: Value,
    wanted: impl Fn(&Answer) -> bool,
) -> Answer {
    let mut last = None;
    for _ in 0..300 {
        let answer = agent.call(tool, args.clone()).await;
        if wanted(&answer) {
            return answer;
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{tool} never answered as wanted; at last {last:?}");
}
