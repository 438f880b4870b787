//! What agents need that examples do not show: many messages, servers that forget, agents that have gone.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{Site, User, prove};
use crate::support::mcp::Answer;

/// The lines of pack warp that [`warp`] needs, and no example.
pub(super) const WARP: &[&str] = &[
    "subscribe jacquard.session.",
    "allow_responses",
    "publish $JS.API.STREAM.DELETE.*",
    "publish $JS.API.STREAM.PURGE.*",
    "subscribe global.agent.*",
];
/// The lines of pack agents that [`agents`] needs, and no example.
pub(super) const AGENTS: &[&str] = &["$JS.FC.", "$JS.API.CONSUMER.DELETE."];

#[tokio::test]
async fn warp_needs_what_no_example_shows() {
    let config = "packs: [warp]\nsettings: {warp: {fifo: [shared]}}\n";
    prove(config, &[], WARP, &[], warp).await;
}

#[tokio::test]
async fn agents_need_what_no_example_shows() {
    prove("packs: [agents]\n", &[], AGENTS, &[], agents).await;
}

fn text_of<'a>(answer: &'a Answer, key: &str) -> Result<&'a str, String> {
    let found = answer.structured.pointer(key).and_then(Value::as_str);
    found.ok_or_else(|| format!("no {key} in {answer:?}"))
}

/// Every tool of the pack, by two agents.
async fn warp(site: Site<'_>) -> Result<(), String> {
    let admin = site.admin().await;
    let (alice, bob) = (site.user().await, site.user().await);
    alice
        .ok("warp_handle_set", json!({"handle": "alice"}))
        .await?;
    bob.ok("warp_handle_set", json!({"handle": "bob"})).await?;
    for channel in ["roadmap", "parallel-work", "errors"] {
        let said = json!({"channel": channel, "message": "hi"});
        alice.ok("warp_channels_send", said).await?;
    }
    bob.ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await?;
    bob.ok("warp_channels_status", json!({})).await?;
    let guid = meet(&site, &alice, &bob).await?;
    for index in 0..700 {
        let letter = json!({"id": format!("m{index}"), "content": "x", "recipientGuid": guid});
        let subject = format!("global.agent.{guid}");
        admin
            .publish(subject, letter.to_string().into())
            .await
            .unwrap();
    }
    admin.flush().await.unwrap();
    for _ in 0..9 {
        let read = json!({"limit": 100, "wait": 500});
        bob.ok("warp_messages_read_direct", read).await?;
    }
    work(&alice, &bob, "rust").await?;
    work(&alice, &bob, "shared").await?;
    letters(&alice, &bob).await?;
    alice.ok("warp_registry_deregister", json!({})).await?;
    bob.unrefused()
}

/// Two agents register, and one that has gone long ago leaves. Gives the second one's id.
async fn meet(site: &Site<'_>, alice: &User, bob: &User) -> Result<String, String> {
    let me = json!({"agentType": "tester", "capabilities": ["rust", "shared"]});
    alice.ok("warp_registry_register", me.clone()).await?;
    let js = async_nats::jetstream::new(site.admin().await);
    let registry = js.get_key_value("agent-registry").await;
    let registry = registry.map_err(|error| error.to_string())?;
    let gone = json!({"guid": "gone", "lastHeartbeat": "2020-01-01T00:00:00.000Z"});
    registry.put("gone", gone.to_string().into()).await.unwrap();
    let inbox = async_nats::jetstream::stream::Config {
        name: "INBOX_gone".to_owned(),
        subjects: vec!["global.agent.gone".to_owned()],
        ..Default::default()
    };
    js.create_stream(inbox).await.unwrap();
    let registered = bob.ok("warp_registry_register", me).await?;
    let guid = text_of(&registered, "/guid")?.to_owned();
    alice.ok("warp_registry_discover", json!({})).await?;
    alice
        .ok("warp_registry_get_info", json!({"guid": guid}))
        .await?;
    let busy = json!({"status": "busy"});
    alice.ok("warp_registry_update_presence", busy).await?;
    let letter = json!({"recipientGuid": guid, "message": "hello"});
    alice.ok("warp_messages_send_direct", letter).await?;
    // Whoever asks a session whether it lives is answered.
    let seats = js.get_key_value("jacquard-seats").await;
    let seat = seats.map_err(|error| error.to_string())?.get(&guid).await;
    let seat: Value = serde_json::from_slice(&seat.unwrap().unwrap()).unwrap();
    let holder = seat["holder"].as_str().unwrap();
    let asked = site.admin().await;
    let alive = asked.request(format!("jacquard.session.{holder}"), "".into());
    alive.await.map_err(|error| format!("not alive: {error}"))?;
    Ok(guid)
}

/// Work that is offered, waited for, held, and done.
async fn work(alice: &User, bob: &User, capability: &str) -> Result<(), String> {
    let offer = json!({"taskId": "t", "description": "d", "requiredCapability": capability});
    let claim = json!({"capability": capability, "timeout": 5000});
    let (claimed, offered) = tokio::join!(bob.ok("warp_work_claim", claim), async {
        // The claim waits by then; if it does not, it finds the item all the same.
        tokio::time::sleep(Duration::from_millis(300)).await;
        alice.ok("warp_work_broadcast", offer).await
    });
    offered?;
    let claimed = claimed?;
    let token = text_of(&claimed, "/token")?;
    bob.ok("warp_work_progress", json!({"token": token, "note": "n"}))
        .await?;
    bob.ok("warp_work_complete", json!({"token": token}))
        .await?;
    let which = json!({"capability": capability});
    alice.ok("warp_work_list", which.clone()).await?;
    alice.ok("warp_work_queue_status", which).await?;
    Ok(())
}

/// Work that cannot be done comes back, and goes.
async fn letters(alice: &User, bob: &User) -> Result<(), String> {
    let offer = json!({"taskId": "t", "description": "d", "requiredCapability": "rust"});
    alice.ok("warp_work_broadcast", offer).await?;
    let claim = json!({"capability": "rust", "timeout": 5000});
    for last in [false, true] {
        let claimed = bob.ok("warp_work_claim", claim.clone()).await?;
        let token = text_of(&claimed, "/token")?;
        let failed = json!({"token": token, "reason": "no", "recoverable": false});
        bob.ok("warp_work_fail", failed).await?;
        let listed = alice.ok("warp_dlq_list", json!({})).await?;
        let id = text_of(&listed, "/items/0/id")?;
        let tool = if last {
            "warp_dlq_discard"
        } else {
            "warp_dlq_retry"
        };
        alice.ok(tool, json!({"itemId": id})).await?;
    }
    Ok(())
}

/// Every tool of the pack, by two agents; then more messages at once than are sent without a pause.
async fn agents(site: Site<'_>) -> Result<(), String> {
    let one = site.user().await;
    let register = |name: &str| json!({"name": name, "description": "x"});
    one.ok("agent_register", register("planner")).await?;
    // It reads who is there already.
    let other = site.user().await;
    other.ok("agent_register", register("builder")).await?;
    one.ok("agent_discover", json!({})).await?;
    one.ok("agent_groups", json!({})).await?;
    let from = |mut more: Value| {
        more["name"] = "planner".into();
        more["message"] = "hello".into();
        more
    };
    one.ok("agent_broadcast", from(json!({}))).await?;
    one.ok("agent_dm", from(json!({"to": "builder"}))).await?;
    one.ok("channel_send", from(json!({"channel": "c"})))
        .await?;
    other.heard(1).await?;
    other.ok("channel_history", json!({"channel": "c"})).await?;
    let both = json!({"name": "builder", "with_agent": "planner"});
    other.ok("dm_history", both).await?;
    other.ok("channel_list", json!({})).await?;
    other.ok("messages_since", json!({"since_id": 0})).await?;
    other
        .ok("poll_messages", json!({"name": "builder"}))
        .await?;
    for (stream, subject) in [
        ("agents-history", "agents.channel.Yw"),
        ("jacquard-agents-presence", "agents.presence"),
    ] {
        burst(&site, &other, stream, subject).await?;
    }
    one.ok("agent_deregister", json!({"name": "planner"}))
        .await?;
    one.close().await?;
    other.close().await
}

/// Sends far more than a consumer sends before it asks whether that has come; then takes the consumers away, as a server that
/// was replaced does.
async fn burst(site: &Site<'_>, user: &User, stream: &str, subject: &str) -> Result<(), String> {
    let admin = site.admin().await;
    let js = async_nats::jetstream::new(admin.clone());
    let stream = js.get_stream(stream).await.map_err(|e| e.to_string())?;
    let text = "x".repeat(1_000);
    for _ in 0..6_000 {
        let message = text.clone().into();
        admin.publish(subject.to_owned(), message).await.unwrap();
    }
    admin.flush().await.unwrap();
    let names = async || -> Vec<String> {
        let names: Vec<_> = stream.consumer_names().collect().await;
        names.into_iter().flatten().collect()
    };
    let come = async || {
        for name in names().await {
            match stream.consumer_info(&name).await {
                Ok(info) if info.num_pending == 0 => {}
                _ => return false,
            }
        }
        true
    };
    user.until("sending all", come).await?;
    let before = names().await;
    for name in &before {
        let _ = stream.delete_consumer(name).await;
    }
    let anew = async || {
        let now = names().await;
        now.len() == before.len() && !now.iter().any(|name| before.contains(name))
    };
    user.until("following anew", anew).await
}
