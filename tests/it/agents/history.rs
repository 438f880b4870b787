//! History: the newest are the newest, pages get further, and nothing is somebody else's.

use serde_json::{Value, json};

use super::{Talker, jetstream, plain, token};
use crate::support::server::NatsServer;

fn contents(answer: &Value) -> Vec<&str> {
    let messages = answer["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|m| m["content"].as_str().unwrap())
        .collect()
}

/// Stores messages as the original sends them.
async fn store(server: &NatsServer, kind: &str, target: &str, from: &str, count: usize) {
    let key = match kind {
        "dm" => "to_agent",
        "broadcast" => "group",
        _ => "channel",
    };
    let context = jetstream(&plain(server).await);
    let mut acks = Vec::new();
    for n in 0..count {
        let payload = json!({
            key: target, "from_agent": from, "content": format!("{from} {n}"), "origin_host": "far",
            "origin_ts": 1_795_206_638_000_u64 + n as u64, "origin_seq": n
        });
        let subject = format!("agents.{kind}.{}", token(target));
        acks.push(
            context
                .publish(subject, payload.to_string().into())
                .await
                .unwrap(),
        );
        if acks.len() == 500 {
            for ack in acks.drain(..) {
                ack.await.unwrap();
            }
        }
    }
    for ack in acks {
        ack.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_a_conversation_are_read_whoever_asks() {
    let server = NatsServer::start();
    let mut ann = Talker::join(&server, "ann-1", "red");
    let mut ben = Talker::join(&server, "ben-2", "red");
    for n in 0..3 {
        ann.say(
            "agent_dm",
            json!({"to": "ben-2", "message": format!("ask {n}")}),
        );
        ben.say(
            "agent_dm",
            json!({"to": "ann-1", "message": format!("answer {n}")}),
        );
    }
    store(&server, "dm", "ben-2", "somebody", 200).await;
    let newest = ["answer 1", "ask 2", "answer 2"];
    let by_ann = ann.json(
        "dm_history",
        json!({"with_agent": "ben-2", "limit": 3, "detailed": true}),
    );
    let by_ben = ben.json(
        "dm_history",
        json!({"with_agent": "ann-1", "limit": 3, "detailed": true}),
    );
    assert_eq!(
        (contents(&by_ann), contents(&by_ben)),
        (newest.to_vec(), newest.to_vec())
    );
    assert_eq!(by_ann["count"], 3);
    let text = ann.say("dm_history", json!({"with_agent": "ben-2", "limit": 1}));
    assert!(
        text.starts_with("DM history with ben-2 (1):\n[") && text.ends_with("] ben-2: answer 2"),
        "{text}"
    );
    // Not a third one's.
    ann.refused(
        "dm_history",
        json!({"name": "somebody", "with_agent": "ben-2"}),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_many_are_the_newest() {
    let server = NatsServer::start();
    let mut ann = Talker::join(&server, "ann", "red");
    store(&server, "channel", "busy", "other", 3000).await;
    store(&server, "channel", "noise", "other", 500).await;
    let newest = |answer: &Value| contents(answer).last().map(|text| (*text).to_owned());
    let read = json!({"channel": "busy", "limit": 50, "detailed": true});
    let answer = ann.json("channel_history", read.clone());
    assert_eq!(
        (answer["count"].as_u64(), newest(&answer).as_deref()),
        (Some(50), Some("other 2999"))
    );
    // What is acknowledged is there, in every read after it.
    for n in 0..20 {
        ann.say(
            "channel_send",
            json!({"channel": "busy", "message": format!("mine {n}")}),
        );
        let answer = ann.json("channel_history", read.clone());
        assert_eq!(newest(&answer), Some(format!("mine {n}")));
        assert_eq!(answer["count"], 50);
    }
    let all = ann.json("messages_since", json!({"limit": 1000}));
    assert_eq!(newest(&all).as_deref(), Some("mine 19"));
    assert_eq!(all["messages"].as_array().unwrap().len(), 1000);
    let list = ann.say("channel_list", json!({}));
    assert_eq!(
        list,
        "Active channels (2):\n- #busy (3020 messages)\n- #noise (500 messages)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_always_gets_further() {
    let server = NatsServer::start();
    let mut ann = Talker::join(&server, "ann", "red");
    ann.say(
        "channel_send",
        json!({"channel": "c", "message": "the first of all"}),
    );
    let start = ann.json("poll_messages", json!({}))["last_id"].clone();
    assert_eq!(start, 1);
    // A hundred of her own would fill a page of which nothing is left.
    store(&server, "broadcast", "red", "ann", 300).await;
    store(&server, "dm", "ann", "ben", 60).await;
    let page = ann.json("poll_messages", json!({"since_id": start}));
    assert_eq!(contents(&page).first(), Some(&"ben 0"));
    assert_eq!(contents(&page).len(), 50);
    let rest = ann.json("poll_messages", json!({"since_id": page["last_id"]}));
    assert_eq!(
        contents(&rest),
        (50..60).map(|n| format!("ben {n}")).collect::<Vec<_>>()
    );
    let end = ann.json("poll_messages", json!({"since_id": rest["last_id"]}));
    assert_eq!(end["messages"], json!([]));
    assert!(end["last_id"].as_u64() >= rest["last_id"].as_u64());
    // All of it, page by page, each once.
    let (mut since, mut seen) = (json!(1), Vec::new());
    loop {
        let page = ann.json("messages_since", json!({"since_id": since, "limit": 70}));
        if page["messages"] == json!([]) {
            break;
        }
        seen.extend(
            page["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|m| m["id"].as_u64().unwrap()),
        );
        since = page["last_id"].clone();
    }
    assert_eq!(seen, (2..=361).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_channels_are_listed_page_by_page() {
    let server = NatsServer::start();
    let mut ann = Talker::join(&server, "ann", "red");
    for n in 0..25 {
        ann.say(
            "channel_send",
            json!({"channel": format!("c{n}"), "message": "x"}),
        );
    }
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let mut args = json!({"limit": 10});
        if let Some(cursor) = &cursor {
            args["cursor"] = json!(cursor);
        }
        let text = ann.say("channel_list", args);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("Active channels (25):"));
        cursor = None;
        for line in lines {
            match line.strip_prefix("More with cursor ") {
                Some(next) => cursor = Some(next.to_owned()),
                None => seen.push(line.to_owned()),
            }
        }
        if cursor.is_none() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 25);
    assert!(seen.contains(&"- #c7 (1 messages)".to_owned()), "{seen:?}");
}
