//! Scope on channels.

use serde_json::json;

use super::{plain, with};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

async fn seen(agent: &Agent) -> Vec<String> {
    let read = agent
        .ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    let list = read.structured["messages"].as_array().unwrap();
    list.iter().map(|m| super::text(&m["message"])).collect()
}

#[tokio::test]
async fn private_and_personal_messages_are_shown_to_whom_they_are_meant_for() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let ada = Agent::start(with(&place, &[("USER", "ada")])).await;
    let other_ada = Agent::start(with(&place, &[("USER", "ada")])).await;
    let bob = Agent::start(with(&place, &[("USER", "bob")])).await;
    super::register(&ada, "ada", &[]).await;
    for scope in ["private", "personal", "team", "public"] {
        let args = json!({"channel": "roadmap", "message": scope, "scope": scope});
        ada.ok("warp_channels_send", args).await;
    }
    assert_eq!(seen(&ada).await, ["private", "personal", "team", "public"]);
    assert_eq!(seen(&other_ada).await, ["personal", "team", "public"]);
    assert_eq!(seen(&bob).await, ["team", "public"]);
    // Of another program nobody knows whose a private message is.
    let payload = r#"{"handle":"warp","message":"whose","timestamp":"2026-01-31T08:15:00.000Z","scope":"private"}"#;
    let plain = plain(&server).await;
    plain
        .publish(format!("{}.roadmap", place.namespace), payload.into())
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(seen(&bob).await, ["team", "public"]);
    // A session that ends and comes back is the same agent.
    ada.close().await;
    let ada = Agent::start(with(&place, &[("USER", "ada")])).await;
    super::register(&ada, "ada", &[]).await;
    assert_eq!(seen(&ada).await, ["private", "personal", "team", "public"]);
    let nobody = Agent::at(&place).await;
    nobody
        .ok("warp_handle_set", json!({"handle": "nobody"}))
        .await;
    let args = json!({"channel": "roadmap", "message": "x", "scope": "personal"});
    assert!(
        nobody
            .refused("warp_channels_send", args)
            .await
            .contains("USER")
    );
}
