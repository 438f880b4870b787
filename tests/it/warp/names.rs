//! The earlier names are the same tools.

use serde_json::json;

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

#[tokio::test]
async fn the_earlier_names_are_the_same_tools_and_speak_of_each_other() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = place.write("old.yaml", include_str!("../../../configs/nats-mcp.yaml"));
    let old = Agent::start(place.command(&["serve", "-c", config.to_str().unwrap()])).await;
    let names: Vec<&str> = old.tools.iter().map(|t| t.name.as_ref()).collect();
    let earlier = [
        "set_handle",
        "get_my_handle",
        "list_channels",
        "send_message",
        "read_messages",
        "channels_status",
        "register_agent",
        "discover_agents",
        "get_agent_info",
        "update_presence",
        "deregister_agent",
        "send_direct_message",
        "read_direct_messages",
        "broadcast_work_offer",
        "claim_work",
        "list_work",
        "work_queue_status",
        "list_dead_letter_items",
        "retry_dead_letter_item",
        "discard_dead_letter_item",
    ];
    for name in earlier {
        assert!(names.contains(&name), "{name}");
    }
    assert!(
        names.iter().all(|name| !name.starts_with("warp_")),
        "{names:?}"
    );
    let listed = serde_json::to_string(&old.tools).unwrap();
    assert!(
        !listed.contains("warp_"),
        "a tool that is not there is named: {listed}"
    );
    let text = old
        .refused(
            "send_message",
            json!({"channel": "roadmap", "message": "x"}),
        )
        .await;
    assert!(
        text.contains("set_handle") && !text.contains("warp_"),
        "{text}"
    );
    // One session state for all of them, and one NATS with the new names.
    old.ok("set_handle", json!({"handle": "old-timer"})).await;
    old.ok(
        "send_message",
        json!({"channel": "roadmap", "message": "from the old names"}),
    )
    .await;
    old.ok(
        "register_agent",
        json!({"agentType": "veteran", "capabilities": ["x"]}),
    )
    .await;
    let new = Agent::named(&place, "newcomer").await;
    let read = new
        .ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    assert_eq!(read.structured["messages"][0]["handle"], "old-timer");
    new.ok("warp_registry_register", json!({"agentType": "newcomer"}))
        .await;
    new.ok(
        "warp_work_broadcast",
        json!({"taskId": "T", "description": "d", "requiredCapability": "x"}),
    )
    .await;
    let claimed = old.ok("claim_work", json!({"capability": "x"})).await;
    assert!(
        claimed.text.contains("complete_work") && !claimed.text.contains("warp_"),
        "{}",
        claimed.text
    );
    old.ok(
        "complete_work",
        json!({"token": claimed.structured["token"]}),
    )
    .await;
}
