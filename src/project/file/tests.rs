#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::spec::diag::Severity;

fn check(text: &str) -> (Option<ProjectFile>, Report) {
    check_project_file(Source::new(".loominal-config.json", text))
}

/// Code, line and column of every problem, in order.
fn found(text: &str) -> Vec<(Code, usize, usize)> {
    let (file, report) = check(text);
    assert_eq!(file.is_some(), !report.has_errors());
    report
        .sorted()
        .iter()
        .map(|d| {
            assert_eq!(d.severity, Severity::Error);
            let place = d.place().unwrap();
            (d.code, place.line, place.column)
        })
        .collect()
}

fn read(text: &str) -> ProjectFile {
    let (file, report) = check(text);
    assert!(report.is_empty(), "{report}");
    file.unwrap()
}

#[test]
fn the_whole_form_is_read() {
    let file = read(
        r#"{
          "$schema": "project.schema.json",
          "namespace": "team-1",
          "natsUrl": "nats://u:p@localhost:4222",
          "channels": [
            {"name": "plans", "description": "What comes next", "maxMessages": 5, "maxBytes": 1024, "maxAge": "7d"},
            {"name": "talk", "description": "Anything"}
          ],
          "logging": {"level": "WARN", "format": "text"},
          "workQueue": {"ackTimeoutMs": 1000, "maxDeliveryAttempts": 5, "deadLetterTTLMs": 2000}
        }"#,
    );
    assert_eq!(file.namespace.as_deref(), Some("team-1"));
    let url = file.nats_url.as_ref().map(Secret::expose);
    assert_eq!(url, Some("nats://u:p@localhost:4222"));
    let [plans, talk] = file.channels.as_deref().unwrap() else {
        panic!("two channels expected");
    };
    assert_eq!(
        (plans.max_messages, plans.max_bytes, plans.max_age.as_str()),
        (5, 1024, "7d")
    );
    assert_eq!(*talk, Channel::new("talk", "Anything"));
    assert_eq!(
        file.logging,
        Some(Logging {
            level: Some(Level::Warn),
            format: Some(Format::Text)
        })
    );
    assert_eq!(
        file.work_queue,
        Some(WorkQueue {
            ack_timeout_ms: 1000,
            max_delivery_attempts: 5,
            dead_letter_ttl_ms: 2000
        })
    );
}

#[test]
fn what_is_not_said_is_filled_in_within_a_key() {
    let file = read("{workQueue: {maxDeliveryAttempts: 1}, logging: {}, channels: []}");
    let queue = file.work_queue.unwrap();
    assert_eq!(
        (queue.ack_timeout_ms, queue.max_delivery_attempts),
        (300_000, 1)
    );
    assert_eq!(file.logging, Some(Logging::default()));
    // No channels is something else than no word about channels.
    assert_eq!(file.channels, Some(Vec::new()));
    assert_eq!(read("{}"), ProjectFile::default());
}

#[test]
fn numbers_may_be_written_with_an_exponent() {
    let file = read(r#"{"channels": [{"name": "a", "description": "b", "maxMessages": 1e4}]}"#);
    assert_eq!(file.channels.unwrap()[0].max_messages, 10_000);
}

#[test]
fn yaml_is_read_alike() {
    let file = read("namespace: a\nchannels:\n  - name: b\n    description: c\n");
    assert_eq!(file.channels.unwrap().len(), 1);
}

#[test]
fn the_default_channels_pass_their_own_check() {
    let text = serde_json::json!({"channels": Channel::defaults()}).to_string();
    assert_eq!(read(&text).channels, Some(Channel::defaults()));
}

#[test]
fn each_bad_value_is_reported_at_its_place() {
    for (text, expected) in [
        ("", (Code::Schema, 1, 1)),
        ("[1]", (Code::Schema, 1, 1)),
        ("{\"a\": ", (Code::Syntax, 1, 1)),
        ("namespace: a\nnamespace: b", (Code::Duplicate, 2, 1)),
        ("namespaces: a", (Code::UnknownKey, 1, 1)),
        ("namespace: Team", (Code::Schema, 1, 12)),
        ("namespace: ''", (Code::Schema, 1, 12)),
        ("namespace: null", (Code::Schema, 1, 12)),
        ("natsUrl: ''", (Code::Schema, 1, 10)),
        ("natsUrl: 4222", (Code::Schema, 1, 10)),
        ("channels: {}", (Code::Schema, 1, 11)),
        ("channels: [{name: a}]", (Code::Schema, 1, 12)),
        ("channels: [{description: a}]", (Code::Schema, 1, 12)),
        ("logging: {level: info}", (Code::Schema, 1, 18)),
        ("logging: {level: 5}", (Code::Schema, 1, 18)),
        ("logging: {format: xml}", (Code::Schema, 1, 19)),
        ("logging: {lvl: INFO}", (Code::UnknownKey, 1, 11)),
        ("workQueue: {ackTimeoutMs: 999}", (Code::Schema, 1, 27)),
        ("workQueue: {ackTimeoutMs: 1e13}", (Code::Schema, 1, 27)),
        ("workQueue: {maxDeliveryAttempts: 0}", (Code::Schema, 1, 34)),
        (
            "workQueue: {deadLetterTTLMs: 1000.5}",
            (Code::Schema, 1, 30),
        ),
        (
            "workQueue: {deadLetterTtlMs: 1000}",
            (Code::UnknownKey, 1, 13),
        ),
    ] {
        assert_eq!(found(text), [expected], "{text}");
    }
}

#[test]
fn each_bad_channel_value_is_reported_at_its_place() {
    for (entry, code) in [
        ("maxMessages: 0", Code::Schema),
        ("maxMessages: 9007199254740992", Code::Schema),
        ("maxMessages: 1.5", Code::Schema),
        ("maxMessages: '5'", Code::Schema),
        ("maxBytes: 1023", Code::Schema),
        ("maxAge: 99ms", Code::Schema),
        ("maxAge: 0s", Code::Schema),
        ("maxAge: 99999999ns", Code::Schema),
        ("maxAge: 106752d", Code::Schema),
        ("maxAge: 99999999999999999999d", Code::Schema),
        ("maxAge: 999999999999999999d", Code::Schema),
        ("maxAge: 1w", Code::Schema),
        ("maxAge: 1.5h", Code::Schema),
        ("maxAge: 1 h", Code::Schema),
        ("maxAge: h", Code::Schema),
        ("maxAge: 24", Code::Schema),
    ] {
        let text = format!("channels: [{{name: a, description: b, {entry}}}]");
        let column = 39 + entry.find(' ').unwrap();
        assert_eq!(found(&text), [(code, 1, column)], "{text}");
    }
    for fine in ["100ms", "100000us", "106751d", "1m"] {
        read(&format!(
            "channels: [{{name: a, description: b, maxAge: {fine}}}]"
        ));
    }
    assert_eq!(
        found("channels: [{name: a, description: '  '}]"),
        [(Code::Schema, 1, 35)]
    );
    let long = "a".repeat(MAX_NAME + 1);
    assert_eq!(
        found(&format!("channels: [{{name: {long}, description: b}}]")),
        [(Code::Schema, 1, 19)]
    );
}

#[test]
fn two_channels_of_one_name_show_both_places() {
    let text = "channels:\n- {name: a, description: x}\n- {name: b, description: x}\n- {name: a, description: x}\n";
    assert_eq!(found(text), [(Code::Duplicate, 4, 10)]);
    let (_, report) = check(text);
    let problems = report.sorted();
    let other = &problems[0].related[0];
    assert_eq!(other.source.place(other.range.start).line, 2);
}

#[test]
fn two_channels_of_one_stream_are_told_apart_from_a_bad_name() {
    assert_eq!(
        found("channels: [{name: a-b, description: x}, {name: a_b, description: x}]"),
        [(Code::Schema, 1, 48), (Code::Duplicate, 1, 48)]
    );
}

#[test]
fn a_misspelt_key_or_word_comes_with_what_was_meant() {
    for (text, meant) in [
        ("natsURL: x", "natsUrl"),
        (
            "channels: [{name: a, description: b, maxMessage: 1}]",
            "maxMessages",
        ),
        ("logging: {level: warn}", "WARN"),
    ] {
        let (_, report) = check(text);
        let help = report.sorted()[0].help.clone().unwrap_or_default();
        assert!(help.contains(&format!("`{meant}`")), "{text}: {help}");
    }
}

#[test]
fn credentials_are_in_no_report_and_no_debug_output() {
    for text in [
        r#"{"natsUrl":"nats://u:hunter2@h","namespace":"BAD"}"#,
        r#"{"natUrl":"nats://u:hunter2@h"}"#,
        r#"{"namespace":"nats://u:hunter2@h"}"#,
        &format!(r#"{{"namespace":"nats://u:hunter2{}@h"}}"#, "y".repeat(80)),
        r#"{"natsPassword":"hunter2"}"#,
        r#"{"natsUrl":"nats://u:hunter2@h", "#,
        "natsUrl: nats://u:hunter2@h: 5",
        "natsUrl: nats://u:hunter2@h\nnatsUrl: nats://u:hunter2@h",
    ] {
        let (_, report) = check(text);
        assert!(report.has_errors(), "{text}");
        let shown = format!("{report} {report:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let file = read(r#"{"natsUrl":"nats://u:hunter2@h"}"#);
    assert!(!format!("{file:?}").contains("hunter2"));
}

#[test]
fn the_schema_holds_the_rules() {
    let schema = project_schema();
    assert_eq!(schema["title"], "Jacquard project file");
    assert_eq!(schema["additionalProperties"], false);
    let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        [
            "$schema",
            "namespace",
            "natsUrl",
            "channels",
            "logging",
            "workQueue"
        ]
    );
    let logging = &schema["$defs"]["Logging"]["properties"];
    assert_eq!(
        logging["level"]["enum"],
        serde_json::json!(["DEBUG", "INFO", "WARN", "ERROR"])
    );
    let channel = &schema["$defs"]["Channel"];
    assert_eq!(
        channel["required"],
        serde_json::json!(["name", "description"])
    );
    let bytes = &channel["properties"]["maxBytes"];
    assert_eq!(
        (&bytes["minimum"], &bytes["default"]),
        (&1024.into(), &10_485_760.into())
    );
}

#[test]
fn a_badly_broken_file_is_told_everything_at_once() {
    let text = r#"{
  "namespce": "team-1",
  "natsURL": "nats://gateway:hunter2@localhost:4222",
  "namespace": "Team 1",
  "channels": [
    {"name": "roadmap", "description": "Plans"},
    {"name": "Errors", "description": "  ", "maxMessages": 0, "maxAge": "50ms"},
    {"name": "roadmap", "description": "Plans again", "maxBytes": "10MB", "maxAge": "2w"},
    {"descripton": "Nameless"}
  ],
  "logging": {"level": "warning", "format": "TEXT"},
  "workQueue": {"ackTimeoutMs": 5, "deadLetterTtl": 7}
}
"#;
    let (file, report) = check(text);
    assert!(file.is_none());
    insta::assert_snapshot!(report);
}
