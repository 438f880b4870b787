//! What others write into the shared buckets and streams: nothing of it may make a tool unusable.

use async_nats::jetstream::Context;
use serde_json::{Value, json};

use super::{OLD_ID, UUID, agent, entry, plain, register, text, with};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// Writes a key of a bucket that exists.
async fn write(plain: &Context, bucket: &str, key: &str, value: &[u8]) {
    let store = plain.get_key_value(bucket).await.unwrap();
    store.put(key, value.to_vec().into()).await.unwrap();
}

async fn publish(plain: &Context, subject: &str, payload: &[u8]) {
    let ack = plain.publish(subject.to_owned(), payload.to_vec().into());
    ack.await.unwrap().await.unwrap();
}

#[tokio::test]
async fn registry_entries_with_fields_of_other_types() {
    let server = NatsServer::start();
    let (alice, _) = agent(&Place::on(&server), "alice", &[]).await;
    let plain = plain(&server).await;
    for odd in [
        json!({"handle": 5}),
        json!({"handle": ["a"], "agentType": {}, "hostname": [], "natsUrl": 5}),
        json!({"status": 7, "capabilities": [1, null, "a"]}),
        json!({"status": null, "capabilities": "a", "currentTaskCount": "many"}),
    ] {
        write(&plain, "agent-registry", UUID, entry(UUID, odd).as_bytes()).await;
        let found = alice.ok("warp_registry_discover", json!({})).await;
        assert_eq!(found.structured["total"], 2);
        let info = alice.ok("warp_registry_get_info", json!({"guid": UUID}));
        assert_eq!(info.await.structured["status"], "online");
        // It was once sent, and then told to be a failure of the spec.
        let message = json!({"recipientGuid": UUID, "message": "Hello"});
        alice.ok("warp_messages_send_direct", message).await;
    }
    for odd in [&b"5"[..], b"[]", b"null", b"\xff", b"{}"] {
        write(&plain, "agent-registry", UUID, odd).await;
        let found = alice.ok("warp_registry_discover", json!({})).await;
        assert_eq!(found.structured["total"], 1);
    }
    // An entry under the key of another one speaks for nobody.
    let foreign = entry(OLD_ID, json!({}));
    write(&plain, "agent-registry", UUID, foreign.as_bytes()).await;
    let found = alice.ok("warp_registry_discover", json!({})).await;
    assert_eq!(found.structured["total"], 1);
    // Lines of a name cannot pass for lines of the answer.
    let name = json!({"handle": "x**\n- Status: offline"});
    write(&plain, "agent-registry", UUID, entry(UUID, name).as_bytes()).await;
    let found = alice.ok("warp_registry_discover", json!({})).await;
    assert!(
        !found.text.contains("\n- Status: offline"),
        "{}",
        found.text
    );
}

#[tokio::test]
async fn an_entry_of_ones_own_that_somebody_wrote_over() {
    let server = NatsServer::start();
    let (alice, guid) = agent(&Place::on(&server), "alice", &["a"]).await;
    let plain = plain(&server).await;
    for odd in [&b"5"[..], b"\xff", b"{}", b"{\"guid\":5}"] {
        write(&plain, "agent-registry", &guid, odd).await;
        let refused = alice.call("warp_registry_update_presence", json!({"status": "busy"}));
        let refused = refused.await;
        assert!(
            refused.error && refused.text.contains("Register again"),
            "{}",
            refused.text
        );
        register(&alice, "alice", &["a"]).await;
        let busy = json!({"status": "busy"});
        alice.ok("warp_registry_update_presence", busy).await;
    }
}

#[tokio::test]
async fn what_is_no_message_leaves_the_inbox_too() {
    let server = NatsServer::start();
    let (alice, guid) = agent(&Place::on(&server), "alice", &[]).await;
    let plain = plain(&server).await;
    let subject = format!("global.agent.{guid}");
    let odd = [
        &b"5"[..],
        b"",
        b"null",
        b"\xff",
        b"no JSON",
        br#"{"senderGuid": 5}"#,
        br#"{"senderGuid": "a", "content": {"x": 1}, "messageType": [1], "id": {}, "timestamp": 5}"#,
    ];
    for payload in odd {
        publish(&plain, &subject, payload).await;
    }
    let read = alice
        .ok("warp_messages_read_direct", json!({"limit": 100}))
        .await;
    let contents: Vec<&Value> = read.structured["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| &message["content"])
        .collect();
    assert_eq!(contents.len(), odd.len());
    assert_eq!((contents[0], contents[4]), (&json!("5"), &json!("no JSON")));
    assert!(
        contents.iter().all(|content| content.is_string()),
        "{contents:?}"
    );
    assert_eq!(read.structured["unread"], 0);
    // A position that is none is the beginning.
    for position in [&b"5"[..], b"\xff", br#"{"after":-1}"#] {
        write(&plain, "jacquard-inboxes", &guid, position).await;
        register(&alice, "alice", &[]).await;
        let read = alice.ok("warp_messages_read_direct", json!({"limit": 100}));
        assert_eq!(read.await.structured["count"], odd.len());
    }
}

#[tokio::test]
async fn seats_and_identities_that_are_none() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (first, guid) = agent(&place, "first", &[]).await;
    let registered = first.ok("warp_registry_register", json!({"agentType": "first"}));
    let project = text(&registered.await.structured["projectId"]);
    drop(first);
    let plain = plain(&server).await;
    let bucket = format!("loom-identity-{project}");
    let root = json!({"agentId": UUID}).to_string();
    for odd in [
        &b"5"[..],
        b"\xff",
        b"{}",
        br#"{"holder": "a b"}"#,
        br#"{"holder": {}}"#,
    ] {
        for root in [odd, root.as_bytes()] {
            write(&plain, "jacquard-seats", &guid, odd).await;
            write(&plain, &bucket, "root", root).await;
            let (_again, id) = agent(&place, "again", &[]).await;
            assert_eq!(id, guid, "{}", String::from_utf8_lossy(root));
        }
    }
    let long = "x".repeat(129);
    let agent = Agent::start(with(&place, &[("LOOMINAL_SUBAGENT_TYPE", &long)])).await;
    let refused = agent
        .call("warp_registry_register", json!({"agentType": "a"}))
        .await;
    assert!(
        refused.text.contains("LOOMINAL_SUBAGENT_TYPE"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn an_item_whose_lease_record_is_none_is_claimed() {
    let server = NatsServer::start();
    let (alice, _) = agent(&Place::on(&server), "alice", &["a"]).await;
    let plain = plain(&server).await;
    for odd in [&b"5"[..], b"", b"\xff", b"{}", br#"{"v": 1}"#] {
        let offer = json!({"taskId": "T", "description": "d", "requiredCapability": "a"});
        let offered = alice.ok("warp_work_broadcast", offer).await;
        let id = text(&offered.structured["id"]);
        write(&plain, "jacquard-leases", &format!("a.{id}"), odd).await;
        let claim = alice
            .ok("warp_work_claim", json!({"capability": "a"}))
            .await;
        assert_eq!(claim.structured["item"]["id"], id, "{}", claim.text);
        let token = json!({"token": claim.structured["token"]});
        alice.ok("warp_work_complete", token).await;
    }
}

#[tokio::test]
async fn the_largest_item_still_becomes_a_dead_letter() {
    let server = NatsServer::start();
    let (alice, _) = agent(&Place::on(&server), "alice", &["a"]).await;
    let offer = |length: usize| json!({"taskId": "T", "description": "x".repeat(length), "requiredCapability": "a"});
    let refused = alice.call("warp_work_broadcast", offer(985_000)).await;
    assert!(
        refused.error && refused.text.contains("dead letter"),
        "{}",
        refused.text
    );
    let offered = alice.ok("warp_work_broadcast", offer(980_000)).await;
    let id = &offered.structured["id"];
    for attempt in 1..=3 {
        let claim = alice
            .ok("warp_work_claim", json!({"capability": "a"}))
            .await;
        assert_eq!(&claim.structured["item"]["id"], id);
        let reason = "r".repeat(4000);
        let fail = json!({"token": claim.structured["token"], "reason": reason});
        let failed = alice.ok("warp_work_fail", fail).await;
        assert_eq!(failed.structured["dead"], attempt == 3);
    }
    let letters = alice.ok("warp_dlq_list", json!({})).await;
    assert_eq!(&letters.structured["items"][0]["id"], id);
    alice.ok("warp_dlq_retry", json!({"itemId": id})).await;
    let status = alice.ok("warp_work_queue_status", json!({"capability": "a"}));
    let status = status.await.structured;
    assert_eq!(
        (&status["pending"], &status["dead"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn a_message_that_stays_unread_does_not_fill_the_inbox() {
    let server = NatsServer::start();
    let (alice, guid) = agent(&Place::on(&server), "alice", &[]).await;
    let plain = plain(&server).await;
    let subject = format!("global.agent.{guid}");
    let message = |kind: &str, content: &str| {
        json!({"senderGuid": OLD_ID, "messageType": kind, "content": content}).to_string()
    };
    publish(&plain, &subject, message("later", "left").as_bytes()).await;
    for round in 0..15 {
        for number in 0..100 {
            let content = format!("{round}-{number}");
            publish(&plain, &subject, message("text", &content).as_bytes()).await;
        }
        let texts = json!({"limit": 100, "messageType": "text"});
        let read = alice
            .ok("warp_messages_read_direct", texts)
            .await
            .structured;
        assert_eq!((&read["count"], &read["unread"]), (&json!(100), &json!(1)));
    }
    let rest = alice.ok("warp_messages_read_direct", json!({})).await;
    assert_eq!(rest.structured["messages"][0]["content"], "left");
    assert_eq!(
        (&rest.structured["count"], &rest.structured["unread"]),
        (&json!(1), &json!(0))
    );
}
