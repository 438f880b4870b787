//! Agents that talk over channels.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// The sequences of a page.
fn seqs(page: &Answer) -> Vec<u64> {
    let messages = page.structured["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|m| m["seq"].as_u64().unwrap())
        .collect()
}

async fn page(agent: &Agent, limit: u64, cursor: &Value) -> Answer {
    let mut args = json!({"channel": "roadmap", "limit": limit});
    if !cursor.is_null() {
        args["cursor"] = cursor.clone();
    }
    agent.ok("warp_channels_read", args).await
}

/// All pages, ascending. `between` runs after each page but the last.
async fn pages(agent: &Agent, limit: u64, mut between: impl AsyncFnMut()) -> Vec<u64> {
    let mut found = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let page = page(agent, limit, &cursor).await;
        let mut seqs = seqs(&page);
        assert!(seqs.is_sorted() && seqs.len() as u64 <= limit);
        seqs.append(&mut found);
        found = seqs;
        cursor = page.structured["nextCursor"].clone();
        if cursor.is_null() {
            return found;
        }
        between().await;
    }
}

async fn post(agent: &Agent, count: usize) {
    for n in 0..count {
        let args = json!({"channel": "roadmap", "message": format!("note {n}")});
        agent.ok("warp_channels_send", args).await;
    }
}

#[tokio::test]
async fn the_tools_are_listed_with_schemas_hints_and_the_channels_of_the_project() {
    let server = NatsServer::start();
    let agent = Agent::at(&Place::on(&server)).await;
    let info = agent.client.peer_info().unwrap();
    assert_eq!(info.server_info.as_ref().unwrap().name, "jacquard");
    assert!(
        info.instructions
            .as_ref()
            .unwrap()
            .contains("warp_registry_register")
    );

    let names: BTreeSet<&str> = agent.tools.iter().map(|t| t.name.as_ref()).collect();
    let reading = [
        "warp_channels_list",
        "warp_channels_read",
        "warp_channels_status",
        "warp_dlq_list",
        "warp_handle_get",
        "warp_registry_discover",
        "warp_registry_get_info",
        "warp_work_list",
        "warp_work_queue_status",
    ];
    let writing = [
        "warp_channels_send",
        "warp_dlq_discard",
        "warp_dlq_retry",
        "warp_handle_set",
        "warp_messages_read_direct",
        "warp_messages_send_direct",
        "warp_registry_deregister",
        "warp_registry_register",
        "warp_registry_update_presence",
        "warp_work_broadcast",
        "warp_work_claim",
        "warp_work_complete",
        "warp_work_fail",
        "warp_work_progress",
    ];
    let expected: BTreeSet<&str> = reading.iter().chain(&writing).copied().collect();
    assert_eq!(names, expected);
    for tool in &agent.tools {
        assert!(
            tool.title.is_some() && tool.description.is_some(),
            "{}",
            tool.name
        );
        assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
        assert_eq!(tool.output_schema.as_ref().unwrap()["type"], "object");
        let read_only = tool.annotations.as_ref().unwrap().read_only_hint;
        assert_eq!(
            read_only,
            Some(reading.contains(&tool.name.as_ref())),
            "{}",
            tool.name
        );
        // Models read all of it before anything else.
        let description = tool.description.as_ref().unwrap();
        assert!(
            description.len() < 600 && !description.contains("{{"),
            "{}",
            tool.name
        );
    }
    let listed = serde_json::to_string(&agent.tools).unwrap();
    assert!(
        listed.len() < 20_000,
        "tools/list has {} bytes",
        listed.len()
    );

    for name in [
        "warp_channels_send",
        "warp_channels_read",
        "warp_channels_status",
    ] {
        let tool = agent.tools.iter().find(|t| t.name == name).unwrap();
        let channel = &tool.input_schema["properties"]["channel"];
        assert_eq!(
            channel["enum"],
            json!(["roadmap", "parallel-work"]),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_agent_posts_reads_back_page_by_page_and_sees_the_status() {
    let server = NatsServer::start();
    let agent = Agent::at(&Place::on(&server)).await;
    let text = agent
        .refused(
            "warp_channels_send",
            json!({"channel": "roadmap", "message": "x"}),
        )
        .await;
    assert!(text.contains("warp_handle_set"), "{text}");
    let set = agent
        .ok("warp_handle_set", json!({"handle": "planner"}))
        .await;
    assert_eq!(set.structured, json!({"handle": "planner"}));
    let empty = agent
        .ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    assert_eq!(empty.text, "No messages in #roadmap yet.");

    for n in 1..=7 {
        let args = json!({"channel": "roadmap", "message": format!("step {n}"), "scope": "public"});
        let sent = agent.ok("warp_channels_send", args).await;
        assert_eq!(sent.structured["seq"], n);
    }
    let newest = page(&agent, 3, &Value::Null).await;
    assert_eq!(seqs(&newest), [5, 6, 7]);
    assert_eq!(newest.structured["total"], 7);
    let first = &newest.structured["messages"][0];
    assert_eq!(first["handle"], "planner");
    assert_eq!(first["message"], "step 5");
    assert_eq!(first["scope"], "public");
    assert!(
        newest.text.contains("**planner**: step 5"),
        "{}",
        newest.text
    );
    assert!(newest.text.contains("Showing 3 of 7 messages"));
    let cursor = newest.structured["nextCursor"].as_str().unwrap();
    assert!(newest.text.contains(cursor), "{}", newest.text);
    assert_eq!(pages(&agent, 3, async || {}).await, [1, 2, 3, 4, 5, 6, 7]);

    let status = agent.ok("warp_channels_status", json!({})).await;
    let channels = &status.structured["channels"];
    assert_eq!(channels[0]["messages"], 7);
    assert_eq!(channels[0]["lastSeq"], 7);
    assert_eq!(channels[1]["messages"], 0);
    let list = agent.ok("warp_channels_list", json!({})).await;
    assert_eq!(
        list.text,
        "Available channels:\n- **roadmap**: Plans\n- **parallel-work**: Who does what"
    );
}

#[tokio::test]
async fn two_gateways_on_one_server_hear_each_other() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, builder) = tokio::join!(
        Agent::named(&place, "planner"),
        Agent::named(&place, "builder")
    );
    for (from, to, name) in [
        (&planner, &builder, "planner"),
        (&builder, &planner, "builder"),
    ] {
        let args = json!({"channel": "roadmap", "message": format!("{name} speaks")});
        from.ok("warp_channels_send", args).await;
        let heard = page(to, 1, &Value::Null).await;
        assert_eq!(heard.structured["messages"][0]["handle"], name);
        let own = to.ok("warp_handle_get", json!({})).await;
        assert_ne!(own.structured["handle"], name, "sessions are apart");
    }
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_another_agent_posts() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (writer, reader) = tokio::join!(
        Agent::named(&place, "writer"),
        Agent::named(&place, "reader")
    );
    post(&writer, 20).await;
    let found = pages(&reader, 6, async || post(&writer, 3).await).await;
    assert_eq!(found, (1..=20).collect::<Vec<_>>());
    // The same with posts at any moment.
    let (found, ()) = tokio::join!(pages(&reader, 2, async || {}), post(&writer, 40));
    assert_eq!(found, (1..=*found.last().unwrap()).collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_step_over_deleted_messages_and_over_windows_with_nothing_in_them() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = Agent::named(&place, "planner").await;
    post(&agent, 90).await;
    let other = async_nats::connect(server.url()).await.unwrap();
    let other = async_nats::jetstream::new(other);
    let stream = other.get_stream(format!("{}_ROADMAP", place.namespace));
    let stream = stream.await.unwrap();
    let gone = |seq: u64| (12..=74).contains(&seq) || seq.is_multiple_of(7);
    for seq in (1..=90).filter(|seq| gone(*seq)) {
        stream.delete_message(seq).await.unwrap();
    }
    let left: Vec<u64> = (1..=90).filter(|seq| !gone(*seq)).collect();
    for limit in [1, 5, 100] {
        assert_eq!(pages(&agent, limit, async || {}).await, left, "{limit}");
    }
    // Deleted between two pages: what the cursor points at may be gone itself.
    let first = page(&agent, 4, &Value::Null).await;
    for seq in [82, 83, 85] {
        stream.delete_message(seq).await.unwrap();
    }
    assert_eq!(seqs(&first), [87, 88, 89, 90]);
    let next = page(&agent, 3, &first.structured["nextCursor"]).await;
    assert_eq!(seqs(&next), [80, 81, 86]);
}
