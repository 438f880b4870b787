//! Beside the original: what a plain NATS client sees of ours, and ours of what it sends.

use serde_json::{Value, json};

use super::{Talker, gateway, jetstream, next, now_ms, plain, token, until};
use crate::support::place::Place;
use crate::support::server::NatsServer;

fn keys(text: &[u8]) -> (Value, Vec<String>) {
    let value: Value = serde_json::from_slice(text).unwrap();
    let keys = value.as_object().unwrap().keys().cloned().collect();
    (value, keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ours_sends_is_as_the_original_has_it() {
    let server = NatsServer::start();
    let client = plain(&server).await;
    let mut all = client.subscribe("agents.>").await.unwrap();
    client.flush().await.unwrap();
    let mut ann = Talker::join(&server, "ann", "red team");
    let beat = next(&mut all).await;
    assert_eq!(beat.subject.as_str(), "agents.presence");
    let (value, names) = keys(&beat.payload);
    assert_eq!(
        names,
        ["agent_id", "name", "group", "host", "ts", "description"]
    );
    let host = value["host"].as_str().unwrap().to_owned();
    assert!(
        value["ts"].is_u64() && value["group"] == "red team",
        "{value}"
    );
    let _ben = Talker::join(&server, "日本 語", "red team");
    next(&mut all).await;
    ann.say("agent_dm", json!({"to": "日本 語", "message": "hej"}));
    ann.say(
        "channel_send",
        json!({"channel": "#eng", "message": "post"}),
    );
    ann.say("agent_broadcast", json!({"message": "all of you"}));
    let expected = [
        ("agents.dm.5pel5pysIOiqng", "to_agent", "日本 語", "hej"),
        ("agents.channel.I2VuZw", "channel", "#eng", "post"),
        (
            "agents.broadcast.cmVkIHRlYW0",
            "group",
            "red team",
            "all of you",
        ),
    ];
    for (subject, target, whom, content) in expected {
        let message = loop {
            let message = next(&mut all).await;
            if message.subject.as_str() != "agents.presence" {
                break message;
            }
        };
        assert_eq!(message.subject.as_str(), subject);
        let (value, names) = keys(&message.payload);
        assert_eq!(
            names[..6],
            [
                target,
                "from_agent",
                "content",
                "origin_host",
                "origin_ts",
                "origin_seq"
            ]
        );
        assert_eq!(
            (&value[target], &value["content"]),
            (&json!(whom), &json!(content))
        );
        assert_eq!(value["from_agent"], "ann");
        assert_eq!(value["origin_host"], host);
        assert!(
            value["origin_ts"].is_u64() && value["origin_seq"].is_u64(),
            "{value}"
        );
        assert!(message.headers.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_original_sends_is_heard_and_kept() {
    let server = NatsServer::start();
    let client = plain(&server).await;
    let mut ann = Talker::join(&server, "ann", "red");
    // A beat of the original makes an agent that can be written to.
    let beat = |ts: u64| json!({"agent_id": "zoe-11111111", "name": "zoe", "group": "red", "host": "far", "ts": ts});
    client
        .publish("agents.presence", beat(now_ms()).to_string().into())
        .await
        .unwrap();
    // Beats that the original passes over, and one without a group.
    for odd in [
        r#"{"name":"x","ts":1}"#,
        "no JSON",
        "[1]",
        r#"{"agent_id":"y-1","name":"y","ts":"now"}"#,
    ] {
        client.publish("agents.presence", odd.into()).await.unwrap();
    }
    let groupless = json!({"agent_id": "w-1", "name": "w", "ts": now_ms()});
    client
        .publish("agents.presence", groupless.to_string().into())
        .await
        .unwrap();
    let list = until(&mut ann, "agent_discover", &json!({}), |t| {
        t.contains("- w (w-1): active")
    });
    assert!(
        list.contains("- zoe (zoe-11111111): active | group: red | host: remote"),
        "{list}"
    );
    assert!(list.starts_with("Active agents (3):"), "{list}");
    ann.say("agent_groups", json!({}));
    let mut to_zoe = client
        .subscribe(format!("agents.dm.{}", token("zoe")))
        .await
        .unwrap();
    client.flush().await.unwrap();
    ann.say("agent_dm", json!({"to": "zoe", "message": "hello"}));
    assert_eq!(keys(&next(&mut to_zoe).await.payload).0["content"], "hello");

    let say = |kind: &str, target: &str, payload: Value| {
        client.publish(
            format!("agents.{kind}.{}", token(target)),
            payload.to_string().into(),
        )
    };
    // What the original does not push is not pushed, and disturbs nothing.
    say(
        "dm",
        "ann",
        json!({"to_agent": "ann", "content": "no sender", "origin_host": "far"}),
    )
    .await
    .unwrap();
    say(
        "dm",
        "ann",
        json!({"to_agent": "ann", "from_agent": "zoe", "content": 5, "origin_host": "far"}),
    )
    .await
    .unwrap();
    client
        .publish(format!("agents.dm.{}", token("ann")), "no JSON".into())
        .await
        .unwrap();
    say(
        "channel",
        "eng",
        json!({"channel": "eng", "content": "nobody's", "origin_host": "far", "more": [1]}),
    )
    .await
    .unwrap();
    let dm = json!({
        "to_agent": "ann", "from_agent": "zoe", "content": "hi", "origin_host": "far",
        "origin_ts": 1_795_206_638_329_u64, "origin_seq": 7
    });
    say("dm", "ann", dm).await.unwrap();
    let push = ann.push();
    assert_eq!(
        (&push["meta"]["kind"], &push["meta"]["from_agent"]),
        (&json!("channel"), &json!("unknown"))
    );
    assert_eq!(ann.push()["content"], "<dm> 20:30:38 [zoe@far] hi");
    let read = ann.json(
        "dm_history",
        json!({"with_agent": "zoe", "detailed": true, "limit": 1}),
    );
    assert_eq!(read["messages"][0]["timestamp"], "2026-11-20T20:30:38.329Z");
    assert_eq!(read["messages"][0]["content"], "hi");
    // A last beat of the past makes it leave.
    client
        .publish(
            "agents.presence",
            beat(now_ms() - 60_000).to_string().into(),
        )
        .await
        .unwrap();
    until(&mut ann, "agent_discover", &json!({}), |t| {
        !t.contains("- zoe (")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_made_as_the_original_makes_it_and_left_as_it_is() {
    let server = NatsServer::start();
    let client = plain(&server).await;
    let context = jetstream(&client);
    let ann = Talker::join(&server, "ann", "red");
    let made = context
        .get_stream("agents-history")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    assert_eq!(
        made.subjects,
        ["agents.dm.>", "agents.channel.>", "agents.broadcast.>"]
    );
    assert_eq!(made.max_age.as_secs(), 30 * 24 * 60 * 60);
    assert_eq!(
        (made.max_bytes, made.max_messages_per_subject),
        (536_870_912, 10_000)
    );
    ann.raw.close();
    let mut other = made.clone();
    other.max_bytes = 1_000_000;
    context.update_stream(other).await.unwrap();
    let size = async || {
        context
            .get_stream("agents-history")
            .await
            .unwrap()
            .cached_info()
            .config
            .max_bytes
    };
    Talker::join(&server, "ann", "red").raw.close();
    assert_eq!(size().await, 1_000_000);
    // Unless it is asked for.
    let place = Place::on(&server);
    let config =
        "packs: [agents]\nsettings: {agents: {history: {max_bytes: 2000000, adjust: true}}}\n";
    let config = place.write("config.yaml", config);
    let mut talker = Talker::start(place.command(&["serve", "-c", config.to_str().unwrap()]));
    talker.register("ann", "red");
    assert_eq!(size().await, 2_000_000);
    let variables = [
        ("AGENTS_HISTORY_MAX_BYTES", "3000000"),
        ("AGENTS_HISTORY_MAX_AGE_MS", "nonsense"),
    ];
    context.delete_stream("agents-history").await.unwrap();
    drop(talker);
    Talker::start(gateway(&Place::on(&server), &variables)).register("eve", "red");
    assert_eq!(size().await, 3_000_000);
}
