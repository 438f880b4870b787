use super::{bus, fill, other_program, spec};
use crate::support::server::NatsServer;
use async_nats::jetstream;
use jacquard::bus::{BucketSpec, Discard, ErrorKind, Outgoing, ReadRequest, StreamSpec};
use std::time::Duration;

#[tokio::test]
async fn a_message_is_acked_and_deduplicated() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    let mut message = Outgoing::new("a.b", "x");
    message.headers.push(("X-Test".into(), "ü".into()));
    let ack = stream.publish(message.clone(), Some("id-1")).await.unwrap();
    assert_eq!(
        (ack.stream.as_str(), ack.seq, ack.duplicate),
        ("A", 1, false)
    );
    let again = stream.publish(message, Some("id-1")).await.unwrap();
    assert_eq!((again.seq, again.duplicate), (1, true));
    let state = stream.info().await.unwrap().unwrap();
    assert_eq!((state.messages, state.first_seq, state.last_seq), (1, 1, 1));
    let page = stream
        .read(&Default::default(), &mut |_| true)
        .await
        .unwrap();
    let stored = &page.messages[0];
    assert_eq!(
        (stored.subject.as_str(), &stored.payload[..]),
        ("a.b", &b"x"[..])
    );
    assert!(
        stored.headers.contains(&("X-Test".into(), "ü".into())),
        "{:?}",
        stored.headers
    );
    assert!(
        stored
            .headers
            .iter()
            .all(|(name, _)| name != "Nats-Sequence")
    );
    assert!(stored.time.ends_with('Z'));
}

#[tokio::test]
async fn a_vanished_stream_is_made_again() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    stream
        .publish(Outgoing::new("a.b", "x"), None)
        .await
        .unwrap();
    let other = other_program(&server).await;
    super::vanish(&other, "A").await;
    assert_eq!(stream.info().await.unwrap(), None);
    let ack = stream
        .publish(Outgoing::new("a.b", "x"), None)
        .await
        .unwrap();
    assert_eq!(ack.seq, 1);
    super::vanish(&other, "A").await;
    assert_eq!(
        stream
            .publish(Outgoing::new("a.b", "x"), None)
            .await
            .unwrap()
            .seq,
        1
    );
    super::vanish(&other, "A").await;
    let page = stream
        .read(&Default::default(), &mut |_| true)
        .await
        .unwrap();
    assert_eq!((page.messages.len(), page.total, page.next), (0, 0, None));
}

#[tokio::test]
async fn an_existing_stream_is_left_as_it_is_and_its_drift_is_told() {
    let server = NatsServer::start();
    let other = other_program(&server).await;
    let config = jetstream::stream::Config {
        name: "OLD".into(),
        subjects: vec!["old.>".into()],
        max_messages: 7,
        ..Default::default()
    };
    other.create_stream(config).await.unwrap();
    let declared = StreamSpec {
        max_messages: Some(9),
        max_age: Some(Duration::from_secs(60)),
        duplicate_window: Some(Duration::from_secs(60)),
        ..spec("OLD", "old.>")
    };
    let bus = bus(&server).await;
    let stream = bus.stream(declared.clone());
    stream.ensure().await.unwrap();
    let drift = stream.drift();
    let told: Vec<_> = drift
        .iter()
        .map(|d| (d.field.as_str(), d.declared.as_str(), d.found.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("max_msgs", "9", "7"),
            ("max_age", "60s", "0ns"),
            ("duplicate_window", "60s", "120s"),
            ("allow_direct", "true", "false"),
        ]
    );
    let mut kept = other.get_stream("OLD").await.unwrap();
    assert_eq!(kept.info().await.unwrap().config.max_messages, 7);

    let fresh = bus.stream(StreamSpec {
        name: "NEW".into(),
        subjects: vec!["new".into()],
        ..declared
    });
    fresh.ensure().await.unwrap();
    assert_eq!(fresh.drift(), []);
}

#[tokio::test]
async fn many_gateways_create_at_once() {
    let server = NatsServer::start();
    let mut tasks = Vec::new();
    for index in 0..6 {
        let bus = bus(&server).await;
        // Two different declarations: whoever comes second takes what is there.
        let stream = bus.stream(StreamSpec {
            max_messages: Some(10 + index % 2),
            ..spec("A", "a")
        });
        for _ in 0..4 {
            let stream = stream.clone();
            tasks.push(tokio::spawn(async move {
                stream.publish(Outgoing::new("a", "x"), None).await
            }));
        }
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn refusals_have_their_kinds() {
    let server = NatsServer::with_config("max_payload: 4096");
    let bus = bus(&server).await;
    let stream = bus.stream(StreamSpec {
        max_messages: Some(1),
        max_message_size: Some(100),
        discard: Discard::New,
        ..spec("A", "a.>")
    });
    let send = async |subject: &str, size: usize| {
        stream
            .publish(Outgoing::new(subject, vec![b'x'; size]), None)
            .await
            .map_err(|e| e.kind())
    };
    assert_eq!(send("a.b", 101).await, Err(ErrorKind::TooLarge));
    assert_eq!(send("a.b", 5000).await, Err(ErrorKind::TooLarge));
    assert_eq!(send("a.b", 1).await.unwrap().seq, 1);
    assert_eq!(send("a.b", 1).await, Err(ErrorKind::LimitExceeded));
    assert_eq!(send("b", 1).await, Err(ErrorKind::NoStream));
    assert_eq!(send("a.*", 1).await, Err(ErrorKind::InvalidSubject));
    assert_eq!(send("a. b", 1).await, Err(ErrorKind::InvalidSubject));
    let overlap = bus.stream(spec("B", "a.c")).ensure().await.unwrap_err();
    assert_eq!(overlap.kind(), ErrorKind::Overlap);
    assert!(
        overlap.to_string().contains("a.c") && overlap.to_string().contains("stream A"),
        "{overlap}"
    );
    assert_eq!(
        bus.stream(spec("B.c", "z"))
            .ensure()
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidConfig
    );
    let bad = StreamSpec {
        duplicate_window: Some(Duration::from_secs(99)),
        max_age: Some(Duration::from_secs(9)),
        ..spec("C", "c")
    };
    assert_eq!(
        bus.stream(bad).ensure().await.unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
}

#[tokio::test]
async fn a_message_stored_by_another_stream_is_an_error() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    bus.stream(spec("A", "a.>")).ensure().await.unwrap();
    let stream = bus.stream(spec("B", "b.>"));
    let error = stream
        .publish(Outgoing::new("a.x", "x"), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongStream);
}

#[tokio::test]
async fn one_round_trip_per_publish() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a"));
    super::fill(&stream, "a", 20).await;
    let raw = other_program(&server).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let start = std::time::Instant::now();
        stream.publish(Outgoing::new("a", "x"), None).await.unwrap();
        ours.push(start.elapsed());
        let start = std::time::Instant::now();
        raw.publish("a", "x".into()).await.unwrap().await.unwrap();
        theirs.push(start.elapsed());
    }
    ours.sort();
    theirs.sort();
    // Generous: this is a debug build on a shared machine. The number itself is what one reads.
    let (ours, theirs) = (ours[150], theirs[150]);
    println!("publish p50: ours {ours:?}, async-nats {theirs:?}");
    assert!(
        ours < theirs * 2 + Duration::from_millis(1),
        "{ours:?} against {theirs:?}"
    );
}

/// Somebody who hears everything keeps the server from saying that nobody takes a message.
#[tokio::test]
async fn a_vanished_stream_is_made_again_under_a_listener_to_everything() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let other = other_program(&server).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let _everything = client.subscribe(">").await.unwrap();
    client.flush().await.unwrap();
    let stream = bus.stream(spec("A", "a.>"));
    let bucket = bus.bucket(BucketSpec {
        name: "b".into(),
        ..BucketSpec::default()
    });
    fill(&stream, "a.x", 3).await;
    bucket.put("k", "v").await.unwrap();
    let page = ReadRequest::default();
    stream.read(&page, &mut |_| true).await.unwrap();
    super::vanish(&other, "A").await;
    fill(&stream, "a.x", 1).await;
    super::vanish(&other, "A").await;
    assert_eq!(stream.read(&page, &mut |_| true).await.unwrap().total, 0);
    super::vanish(&other, "A").await;
    assert!(stream.subjects(">").await.unwrap().is_empty());
    fill(&stream, "a.x", 1).await;

    super::vanish(&other, "KV_b").await;
    assert_eq!(bucket.get("k").await.unwrap(), None);
    super::vanish(&other, "KV_b").await;
    assert!(bucket.list(">", 9).await.unwrap().entries.is_empty());
    super::vanish(&other, "KV_b").await;
    bucket.put("k", "w").await.unwrap();
}

#[tokio::test]
async fn limits_of_an_existing_stream_are_adjusted_where_that_is_declared() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let other = other_program(&server).await;
    let config = jetstream::stream::Config {
        name: "A".into(),
        subjects: vec!["a.>".into(), "b".into()],
        max_age: Duration::from_secs(600),
        max_bytes: 1 << 20,
        max_message_size: 4096,
        ..Default::default()
    };
    other.create_stream(config).await.unwrap();
    let declared = |max_age, adjust| StreamSpec {
        max_age: Some(Duration::from_secs(max_age)),
        max_bytes: Some(1 << 21),
        max_messages_per_subject: Some(7),
        adjust,
        ..spec("A", "a.>")
    };
    let found = async || {
        let mut stream = other.get_stream("A").await.unwrap();
        stream.info().await.unwrap().config.clone()
    };
    let before = found().await;
    bus.stream(declared(60, false)).ensure().await.unwrap();
    assert_eq!(found().await, before);

    // 60 s is less than the window of the server's own.
    let stream = bus.stream(declared(60, true));
    stream.ensure().await.unwrap();
    let after = found().await;
    assert_eq!(after.max_age, Duration::from_secs(60));
    assert_eq!(after.duplicate_window, Duration::from_secs(60));
    assert_eq!(
        (after.max_bytes, after.max_messages_per_subject),
        (1 << 21, 7)
    );
    assert!(after.allow_direct);
    assert_eq!(
        (&after.subjects, after.max_message_size),
        (&before.subjects, 4096)
    );
    let fields: Vec<_> = stream.drift().into_iter().map(|d| d.field).collect();
    assert_eq!(fields, ["subjects"]);
}
