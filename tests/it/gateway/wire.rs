//! What goes over NATS, byte by byte, against a plain client: Warp's format.

use std::time::Duration;

use async_nats::jetstream::{self, Context};
use serde_json::json;

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

async fn plain(server: &NatsServer) -> Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

#[tokio::test]
async fn streams_have_the_names_subjects_and_limits_of_the_project_file() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = Agent::at(&place).await;
    // Made at start, whatever is called: a message of another program is kept from then on.
    agent.ok("warp_channels_status", json!({})).await;
    let plain = plain(&server).await;
    let ns = &place.namespace;
    let hours = |n: u64| Duration::from_secs(n * 3600);
    for (channel, name, messages, bytes, age) in [
        ("roadmap", "ROADMAP", 500, 1_048_576, hours(48)),
        (
            "parallel-work",
            "PARALLEL_WORK",
            10_000,
            10_485_760,
            hours(24),
        ),
    ] {
        let stream = wait_for_stream(&plain, &format!("{ns}_{name}")).await;
        let config = &stream.cached_info().config;
        assert_eq!(config.subjects, [format!("{ns}.{channel}")]);
        assert_eq!(config.max_messages, messages);
        assert_eq!(config.max_bytes, bytes);
        assert_eq!(config.max_age, age);
        assert_eq!(config.retention, jetstream::stream::RetentionPolicy::Limits);
        assert_eq!(config.storage, jetstream::stream::StorageType::File);
    }
}

async fn wait_for_stream(js: &Context, name: &str) -> jetstream::stream::Stream {
    for _ in 0..200 {
        if let Ok(stream) = js.get_stream(name).await {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there is no stream {name}");
}

#[tokio::test]
async fn a_post_is_exactly_the_message_that_warp_would_send() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = Agent::named(&place, "planner").await;
    let before = time::OffsetDateTime::now_utc();
    let text = "Größe \"5\"\n</script> \u{1f600}";
    let args = json!({"channel": "parallel-work", "message": text, "scope": "public"});
    agent.ok("warp_channels_send", args).await;
    let args = json!({"channel": "parallel-work", "message": "plain"});
    agent.ok("warp_channels_send", args).await;

    let stream = plain(&server).await;
    let stream = stream.get_stream(format!("{}_PARALLEL_WORK", place.namespace));
    let stream = stream.await.unwrap();
    for (seq, text, scope) in [(1, text, "public"), (2, "plain", "team")] {
        let stored = stream.get_raw_message(seq).await.unwrap();
        assert_eq!(
            stored.subject.as_str(),
            format!("{}.parallel-work", place.namespace)
        );
        assert!(stored.headers.is_empty(), "{:?}", stored.headers);
        let value: serde_json::Value = serde_json::from_slice(&stored.payload).unwrap();
        let timestamp = value["timestamp"].as_str().unwrap();
        // The same characters as JavaScript's `JSON.stringify` of `{handle, message, timestamp, scope}`.
        let expected = format!(
            r#"{{"handle":"planner","message":{},"timestamp":"{timestamp}","scope":"{scope}"}}"#,
            json!(text)
        );
        assert_eq!(std::str::from_utf8(&stored.payload).unwrap(), expected);
        check_timestamp(timestamp, before);
    }
}

/// As JavaScript's `toISOString` has it: 24 characters, milliseconds, `Z`.
fn check_timestamp(text: &str, not_before: time::OffsetDateTime) {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    assert_eq!(shape, "9999-99-99T99:99:99.999Z");
    let format = &time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(text, format).unwrap();
    let age = time - not_before;
    assert!(
        age > -time::Duration::milliseconds(1) && age < time::Duration::MINUTE,
        "{age}"
    );
}

#[tokio::test]
async fn messages_of_a_warp_are_read_and_foreign_ones_are_skipped_and_counted() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = Agent::named(&place, "planner").await;
    let plain = plain(&server).await;
    wait_for_stream(&plain, &format!("{}_ROADMAP", place.namespace)).await;
    for payload in [
        r#"{"handle":"warp-agent","message":"Hi","timestamp":"2026-01-31T08:15:00.000Z","scope":"team"}"#,
        "not JSON at all",
        r#"{"handle":"warp-agent","message":"No scope","timestamp":"2026-01-31T08:16:00.000Z"}"#,
        r#"{"message":"nobody's"}"#,
        "\u{0}\u{1}",
        "",
    ] {
        let subject = format!("{}.roadmap", place.namespace);
        let sent = plain.publish(subject, payload.into()).await.unwrap();
        sent.await.unwrap();
    }
    let read = agent
        .ok("warp_channels_read", json!({"channel": "roadmap"}))
        .await;
    let s = &read.structured;
    assert_eq!(
        s["messages"],
        json!([
            {"seq": 1, "handle": "warp-agent", "message": "Hi",
             "timestamp": "2026-01-31T08:15:00.000Z", "scope": "team"},
            {"seq": 3, "handle": "warp-agent", "message": "No scope",
             "timestamp": "2026-01-31T08:16:00.000Z"},
        ])
    );
    assert_eq!(
        (&s["count"], &s["total"], &s["skipped"]),
        (&json!(2), &json!(6), &json!(4))
    );
    assert_eq!(s["nextCursor"], json!(null));
    assert!(
        read.text
            .contains("[2026-01-31T08:15:00.000Z] **warp-agent**: Hi"),
        "{}",
        read.text
    );
}
