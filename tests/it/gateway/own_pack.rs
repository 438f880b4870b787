//! A pack of the user's own, outside of this repository.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::own_pack;
use crate::support::LIMIT;
use crate::support::mcp::Agent;
use crate::support::place::{self, Place};
use crate::support::server::{NatsServer, settled};

async fn agent(place: &Place) -> Agent {
    let config = own_pack(place);
    Agent::start(place.command(&["serve", "--config", config.to_str().unwrap()])).await
}

#[test]
fn it_is_validated_and_listed_with_the_built_in_tools() {
    let place = Place::without_nats();
    let config = own_pack(&place);
    let config = config.to_str().unwrap();
    for paths in [&["mine"][..], &[config], &["."], &["mine/tools.yaml"]] {
        let done = place.run(&[&["validate"], paths].concat());
        assert_eq!(done.code, Some(0), "{paths:?}: {done:?}");
        assert!(done.stdout.contains("0 error(s), 0 warning(s)"), "{done:?}");
        assert_eq!(done.stderr, "", "{paths:?}");
    }
    let done = place.run(&["tools", "-c", config]);
    assert_eq!(done.code, Some(0));
    let names: Vec<&str> = done
        .stdout
        .lines()
        .filter_map(|l| l.split(' ').next())
        .collect();
    assert_eq!(names.len(), 6 + place::tools_of("warp"), "{}", done.stdout);
    for name in ["mine_announce", "mine_ask", "warp_channels_read"] {
        assert!(names.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn what_it_publishes_reaches_a_plain_subscriber() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let plain = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("{}.news.birds", place.namespace);
    let mut news = plain.subscribe(subject.clone()).await.unwrap();
    settled(&plain).await;
    let agent = agent(&place).await;
    let info = agent.client.peer_info().unwrap();
    assert_eq!(info.server_info.as_ref().unwrap().name, "ours");
    let answer = agent
        .ok(
            "mine_announce",
            json!({"topic": "birds", "text": "They fly"}),
        )
        .await;
    assert_eq!(answer.text, format!("Announced on {subject}"));
    let message = tokio::time::timeout(LIMIT, news.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&message.payload[..], br#"{"text":"They fly","loud":false}"#);
    let headers = message.headers.unwrap();
    assert_eq!(headers.get("X-Topic").unwrap().as_str(), "about birds");
}

#[tokio::test]
async fn a_key_of_its_bucket_goes_round() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = agent(&place).await;
    let absent = agent.ok("mine_recall", json!({"key": "k"})).await;
    assert_eq!(absent.structured, json!({"found": false, "note": null}));
    let value = json!({"list": [1, 2.5, "three", null, true], "text": "é"});
    let kept = agent
        .ok("mine_note", json!({"key": "k", "note": value}))
        .await;
    assert_eq!(kept.structured, json!({"revision": 1}));
    assert_eq!(
        kept.text, r#"{"revision":1}"#,
        "without a text its JSON is the text"
    );
    let found = agent.ok("mine_recall", json!({"key": "k"})).await;
    assert_eq!(found.structured, json!({"found": true, "note": value}));

    let plain = async_nats::connect(server.url()).await.unwrap();
    let plain = async_nats::jetstream::new(plain);
    let bucket = format!("{}-notes", place.namespace);
    let bucket = plain.get_key_value(bucket).await.unwrap();
    let stored = bucket.get("k").await.unwrap().unwrap();
    assert_eq!(stored, value.to_string());
    assert_eq!(bucket.status().await.unwrap().history(), 5);
    bucket.put("plain", "just text".into()).await.unwrap();
    let found = agent.ok("mine_recall", json!({"key": "plain"})).await;
    assert_eq!(found.structured["note"], "just text");
}

#[tokio::test]
async fn a_request_is_answered_by_a_plain_responder_and_fails_at_once_without_one() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = agent(&place).await;
    let question = json!({"who": "oracle", "question": "6 x 7"});
    let started = Instant::now();
    let text = agent.refused("mine_ask", question.clone()).await;
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    assert!(text.starts_with("Nobody answers: "), "{text}");

    let plain = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("{}.ask.oracle", place.namespace);
    let mut asked = plain.subscribe(subject).await.unwrap();
    settled(&plain).await;
    let answering = async {
        let message = asked.next().await.unwrap();
        assert_eq!(&message.payload[..], b"6 x 7");
        let reply = message.reply.unwrap();
        plain.publish(reply, "42".into()).await.unwrap();
        settled(&plain).await;
    };
    let (answer, ()) = tokio::join!(agent.ok("mine_ask", question), answering);
    assert_eq!(answer.text, "oracle says: 42");
}

#[tokio::test]
async fn an_argument_cannot_change_the_shape_of_a_subject_or_key() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = agent(&place).await;
    let plain = async_nats::connect(server.url()).await.unwrap();
    let mut everything = plain.subscribe(">").await.unwrap();
    plain.publish("probe", "".into()).await.unwrap();
    let probe = tokio::time::timeout(LIMIT, everything.next()).await;
    assert_eq!(probe.unwrap().unwrap().subject.as_str(), "probe");

    let hostile = [
        "a.b",
        "*",
        ">",
        "a b",
        "",
        " ",
        "a.*",
        "x.>",
        "a\tb",
        "a\nPUB x 1",
        "a\r\n",
        "\u{0}",
        "..",
        "$SYS.x",
    ];
    for bad in hostile {
        for (tool, args) in [
            ("mine_announce", json!({"topic": bad, "text": "x"})),
            ("mine_ask", json!({"who": bad, "question": "x"})),
            ("mine_note", json!({"key": bad, "note": "x"})),
            ("mine_recall", json!({"key": bad})),
        ] {
            let text = agent.refused(tool, args).await;
            assert!(text.contains("one token"), "{tool} {bad:?}: {text}");
        }
    }
    // Nothing of all that has reached the server; a good one does.
    agent
        .ok("mine_announce", json!({"topic": "good-1_é", "text": "x"}))
        .await;
    loop {
        let message = tokio::time::timeout(LIMIT, everything.next())
            .await
            .unwrap()
            .unwrap();
        let subject = message.subject.as_str();
        if subject == format!("{}.news.good-1_é", place.namespace) {
            break;
        }
        // Making the streams of `warp` and looking after its queues is no doing of these calls.
        let others = ["$JS.", "_INBOX.", "$KV.jacquard-leases."];
        assert!(
            others.iter().any(|other| subject.starts_with(other)),
            "{subject}"
        );
        assert!(!subject.contains("notes"), "{subject}");
    }
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_all_named_with_what_was_expected() {
    let server = NatsServer::start();
    let agent = agent(&Place::on(&server)).await;
    let text = agent
        .refused(
            "mine_announce",
            json!({"topc": "birds", "text": 5, "loud": "yes"}),
        )
        .await;
    for part in [
        "`topic`",
        "`text`",
        "`loud`",
        "`topc` (did you mean `topic`?)",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let text = agent.refused("mine_recall", Value::Null).await;
    assert!(text.contains("`key`"), "{text}");
}

#[tokio::test]
async fn a_cursor_works_only_in_the_tool_and_with_the_filters_it_came_from() {
    let server = NatsServer::start();
    let agent = agent(&Place::on(&server)).await;
    for who in ["a", "b", "a", "b", "a", "b"] {
        agent.ok("mine_event", json!({ "who": who })).await;
    }
    let first = agent.ok("mine_events", json!({"who": "a"})).await;
    assert_eq!(first.structured["seqs"], json!([3, 5]));
    let cursor = &first.structured["next"];
    let next = json!({"who": "a", "cursor": cursor});
    let next = agent.ok("mine_events", next).await;
    assert_eq!(next.structured, json!({"seqs": [1], "next": null}));
    // Another size of page is no other filter.
    let wide = json!({"who": "a", "cursor": cursor, "limit": 50});
    assert_eq!(
        agent.ok("mine_events", wide).await.structured["seqs"],
        json!([1])
    );

    let other_channel = json!({"channel": "parallel-work", "limit": 1});
    agent.ok("warp_handle_set", json!({"handle": "x"})).await;
    for _ in 0..2 {
        let note = json!({"channel": "parallel-work", "message": "x"});
        agent.ok("warp_channels_send", note).await;
    }
    let theirs = agent.ok("warp_channels_read", other_channel).await;
    let theirs = &theirs.structured["nextCursor"];
    let garbage = "A".repeat(5000);
    for (tool, args, why) in [
        (
            "mine_events",
            json!({"who": "b", "cursor": cursor}),
            "other filters",
        ),
        ("mine_events", json!({ "cursor": cursor }), "other filters"),
        (
            "mine_events",
            json!({ "cursor": theirs }),
            "warp_channels_read",
        ),
        (
            "warp_channels_read",
            json!({"channel": "roadmap", "cursor": cursor}),
            "mine_events",
        ),
        (
            "warp_channels_read",
            json!({"channel": "roadmap", "cursor": theirs}),
            "other filters",
        ),
        (
            "mine_events",
            json!({"cursor": "continue"}),
            "not one of ours",
        ),
        ("mine_events", json!({"cursor": ""}), "not one of ours"),
        ("mine_events", json!({ "cursor": garbage }), "too long"),
        (
            "mine_events",
            json!({"cursor": "é\u{0}"}),
            "not one of ours",
        ),
    ] {
        let text = agent.refused(tool, args.clone()).await;
        assert!(
            text.contains("cursor") && text.contains(why),
            "{args}: {text}"
        );
        assert!(text.len() < 1000, "{} bytes", text.len());
    }
}
