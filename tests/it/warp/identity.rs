//! Who an agent is, from one run to the next, and beside others.

use serde_json::{Value, json};

use super::{OLD_ID, UUID, agent, plain, register, with};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::signal;

fn is_uuid_v4(id: &str) -> bool {
    uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 4) && id.len() == 36
}

async fn project_id(agent: &Agent) -> String {
    let answer = agent
        .ok("warp_registry_register", json!({"agentType": "x"}))
        .await;
    super::text(&answer.structured["projectId"])
}

#[tokio::test]
async fn an_agent_keeps_its_id_however_its_last_session_ended() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (first, id) = agent(&place, "developer", &[]).await;
    assert!(is_uuid_v4(&id), "{id}");
    first.close().await;
    let (second, again) = agent(&place, "developer", &[]).await;
    assert_eq!(id, again);
    signal("-KILL", second.pid);
    drop(second);
    let (third, again) = agent(&place, "developer", &[]).await;
    assert_eq!(id, again);
    // Registering again changes nothing about who one is.
    assert_eq!(register(&third, "tester", &[]).await, id);
}

#[tokio::test]
async fn two_sessions_of_one_folder_are_two_agents() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (first, one) = agent(&place, "developer", &["a"]).await;
    let (second, two) = agent(&place, "tester", &["b"]).await;
    assert_ne!(one, two);
    assert!(is_uuid_v4(&two), "{two}");
    second.ok("warp_registry_deregister", json!({})).await;
    let info = first
        .ok("warp_registry_get_info", json!({"guid": one}))
        .await;
    assert_eq!(info.structured["status"], "online");
    assert_eq!(info.structured["agentType"], "developer");
    assert_eq!(info.structured["capabilities"], json!(["a"]));
    // The second seat is free again, and the same agent sits down on it.
    assert_eq!(register(&second, "tester", &[]).await, two);
    drop(second);
    drop(first);
}

#[tokio::test]
async fn folders_and_machines_are_told_apart_and_a_shared_project_id_takes_nobody_over() {
    let server = NatsServer::start();
    let (one, two) = (Place::on(&server), Place::on(&server));
    let shared = [("LOOMINAL_PROJECT_ID", "0123456789abcdef")];
    let first = Agent::start(with(&one, &shared)).await;
    let second = Agent::start(with(&two, &shared)).await;
    let (a, b) = (
        register(&first, "x", &[]).await,
        register(&second, "x", &[]).await,
    );
    assert_ne!(a, b);
    assert_eq!(project_id(&first).await, "0123456789abcdef");
}

#[tokio::test]
async fn what_another_program_wrote_under_root_stays_and_is_not_taken_for_ours() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let project = [("LOOMINAL_PROJECT_ID", "0123456789abcdef")];
    let plain = plain(&server).await;
    let config = async_nats::jetstream::kv::Config {
        bucket: "loom-identity-0123456789abcdef".into(),
        history: 1,
        ..Default::default()
    };
    let store = plain.create_key_value(config).await.unwrap();
    let foreign = json!({"agentId": OLD_ID, "hostname": "other", "projectPath": "/srv/demo/proj-a",
                         "createdAt": "2026-01-31T08:15:00.000Z"})
    .to_string();
    store.put("root", foreign.clone().into()).await.unwrap();
    let agent = Agent::start(with(&place, &project)).await;
    let id = register(&agent, "developer", &[]).await;
    assert!(is_uuid_v4(&id), "{id}");
    let root = store.get("root").await.unwrap().unwrap();
    assert_eq!(root, foreign.as_bytes());
}

#[tokio::test]
async fn the_root_entry_has_the_form_that_other_tools_look_for() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (agent, id) = agent(&place, "developer", &[]).await;
    let bucket = format!("loom-identity-{}", project_id(&agent).await);
    let store = plain(&server).await.get_key_value(bucket).await.unwrap();
    let root = store.get("root").await.unwrap().unwrap();
    let root: Value = serde_json::from_slice(&root).unwrap();
    assert_eq!(root["agentId"], id);
    assert_eq!(root["projectPath"], place.dir().display().to_string());
    let keys: Vec<&String> = root.as_object().unwrap().keys().take(4).collect();
    assert_eq!(keys, ["agentId", "hostname", "projectPath", "createdAt"]);
}

#[tokio::test]
async fn the_environment_says_who_an_agent_is() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let told = [("LOOMINAL_AGENT_ID", UUID)];
    let first = Agent::start(with(&place, &told)).await;
    assert_eq!(register(&first, "developer", &[]).await, UUID);
    // The same id twice at the same time would be one inbox for two.
    let second = Agent::start(with(&place, &told)).await;
    let other = register(&second, "developer", &[]).await;
    assert!(other != UUID && is_uuid_v4(&other), "{other}");
    drop((first, second));
    // Without the variable the id is the project's own again.
    let (_third, own) = agent(&place, "developer", &[]).await;
    assert_ne!(own, UUID);
    let bad = Agent::start(with(&place, &[("LOOMINAL_AGENT_ID", "a.*")])).await;
    let text = bad
        .refused("warp_registry_register", json!({"agentType": "x"}))
        .await;
    assert!(text.contains("LOOMINAL_AGENT_ID"), "{text}");
}

#[tokio::test]
async fn sub_agents_follow_from_their_project_and_type() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let explore = [("LOOMINAL_SUBAGENT_TYPE", "explore")];
    // No root has been there before: the original would not start.
    let sub = Agent::start(with(&place, &explore)).await;
    let id = register(&sub, "explorer", &[]).await;
    let project = project_id(&sub).await;
    let (root, root_id) = agent(&place, "developer", &[]).await;
    assert_ne!(id, root_id);
    let store = plain(&server).await;
    let store = store
        .get_key_value(format!("loom-identity-{project}"))
        .await
        .unwrap();
    let kept: Value =
        serde_json::from_slice(&store.get("subagent/explore").await.unwrap().unwrap()).unwrap();
    assert_eq!(
        (&kept["agentId"], &kept["parentId"]),
        (&json!(id), &json!(root_id))
    );
    assert_eq!(kept["subagentType"], "explore");
    drop(sub);
    let again = Agent::start(with(&place, &explore)).await;
    assert_eq!(register(&again, "explorer", &[]).await, id);
    // A type that the original's key check would end the process for.
    let odd = Agent::start(with(&place, &[("LOOMINAL_SUBAGENT_TYPE", "deep thinker")])).await;
    assert!(is_uuid_v4(&register(&odd, "thinker", &[]).await));
    // As Claude Code writes its types, and under the key where the original would write it.
    let plan = Agent::start(with(&place, &[("LOOMINAL_SUBAGENT_TYPE", "Plan")])).await;
    register(&plan, "planner", &[]).await;
    assert!(store.get("subagent/Plan").await.unwrap().is_some());
    drop(root);
}

#[tokio::test]
async fn a_named_project_is_the_same_in_every_container() {
    let server = NatsServer::start();
    let (one, two) = (Place::on(&server), Place::on(&server));
    // No file says anything about the namespace, as in an image.
    for place in [&one, &two] {
        place.project("{}");
    }
    let shop = [("JACQUARD_PROJECT", "shop")];
    let first = Agent::start(with(&one, &shop)).await;
    let id = register(&first, "developer", &[]).await;
    first
        .ok(
            "warp_channels_send",
            json!({"channel": "roadmap", "message": "hello"}),
        )
        .await;
    first.close().await;
    let second = Agent::start(with(&two, &shop)).await;
    assert_eq!(register(&second, "developer", &[]).await, id);
    let read = second
        .ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    assert_eq!(read.structured["count"], 1);
    let other = Agent::start(with(&two, &[("JACQUARD_PROJECT", "store")])).await;
    assert_ne!(register(&other, "developer", &[]).await, id);
    let read = other
        .ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    assert_eq!(read.structured["count"], 0);
}
