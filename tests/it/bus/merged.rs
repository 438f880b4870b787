//! Reads of several subjects at once, and reads that remember where the newest messages were.

use super::read::{all, gapped, read, request, seqs};
use super::{bus, fill, other_program, spec, vanish};
use crate::support::server::NatsServer;
use futures_util::StreamExt as _;
use jacquard::bus::{From, Outgoing, ReadRequest};
use std::time::{Duration, Instant};

async fn check_merged(server: NatsServer, direct: bool) {
    let (stream, alive) = gapped(&server, direct).await;
    // Some fit two filters, and one filter has nothing.
    for subjects in [
        &["g.rare", "g.dense"][..],
        &["g.rare", "g.three", "g.none"],
        &["g.*", "g.dense"],
        &["g.dense", "g.dense"],
    ] {
        let fits = |subject: &str| subjects.contains(&subject) || subjects.contains(&"g.*");
        let expected: Vec<u64> = alive
            .iter()
            .filter(|(_, subject)| fits(subject))
            .map(|(seq, _)| *seq)
            .collect();
        let odd: Vec<u64> = expected
            .iter()
            .copied()
            .filter(|seq| seq % 10 == 3)
            .collect();
        for limit in [7, 50, 1000] {
            for forward in [false, true] {
                let named = subjects.iter().copied();
                let found = all(&stream, named.clone(), limit, forward, |_| true).await;
                assert_eq!(found, expected, "{subjects:?} {limit} {forward}");
                let found = all(&stream, named, limit, forward, |s| s.seq % 10 == 3).await;
                assert_eq!(found, odd, "odd {subjects:?} {limit} {forward}");
            }
        }
    }
}

#[tokio::test]
async fn several_subjects_are_merged() {
    check_merged(NatsServer::start(), true).await;
}

#[tokio::test]
async fn several_subjects_are_merged_without_direct_get() {
    check_merged(NatsServer::start(), false).await;
}

#[tokio::test]
async fn several_subjects_are_merged_without_direct_get_and_consumers() {
    let server = NatsServer::with_config(
        "authorization { users: [{ user: u, password: p, permissions: {\
         publish: { deny: [\"$JS.API.CONSUMER.>\"] } } }] }\nno_auth_user: u",
    );
    check_merged(server, false).await;
}

/// What a stream is read by without direct get does not stay.
#[tokio::test]
async fn reading_leaves_no_consumer_behind() {
    let server = NatsServer::start();
    let (stream, alive) = gapped(&server, false).await;
    let page = read(&stream, &request(["g.rare", "g.three"], 50, From::Newest)).await;
    let fits = |subject: &str| subject == "g.rare" || subject == "g.three";
    let expected = alive.iter().filter(|(_, subject)| fits(subject));
    let expected: Vec<u64> = expected.map(|(seq, _)| *seq).collect();
    assert_eq!(seqs(&page), expected[expected.len() - 50..]);
    let start = Instant::now();
    while stream.info().await.unwrap().unwrap().consumers > 0 {
        // The server would do it by itself after 5 seconds.
        assert!(start.elapsed() < Duration::from_secs(4), "a consumer stays");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whoever goes on after the last message of a page must not miss one of another subject.
#[tokio::test]
async fn nothing_is_missed_between_subjects_while_others_post() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    fill(&stream, "a.x", 10).await;
    let writers: Vec<_> = ["a.x", "a.y", "a.z"]
        .into_iter()
        .map(|subject| {
            let stream = stream.clone();
            tokio::spawn(async move { fill(&stream, subject, 400).await })
        })
        .collect();
    let (mut after, mut got) = (0, Vec::new());
    while got.len() < 1210 {
        let newest = read(&stream, &request(["a.x", "a.y", "a.z"], 5, From::Newest)).await;
        let first = seqs(&newest)[0];
        assert_eq!(seqs(&newest), (first..first + 5).collect::<Vec<_>>());
        assert_eq!(newest.last_seq, first + 4);
        let page = read(
            &stream,
            &request(["a.x", "a.y", "a.z"], 50, From::After(after)),
        )
        .await;
        got.extend(seqs(&page));
        after = got.last().copied().unwrap_or_default();
    }
    assert_eq!(got, (1..=1210).collect::<Vec<_>>());
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Reads of every size, before and after each change, are what a first read would give.
#[tokio::test]
async fn what_is_remembered_never_changes_what_is_read() {
    let server = NatsServer::start();
    let other = other_program(&server).await;
    let (warm, cold) = (bus(&server).await, bus(&server).await);
    let stream = warm.stream(spec("A", "a.>"));
    let check = async || {
        for subjects in [&["a.x"][..], &["a.y"], &["a.x", "a.y"], &["a.>"], &[]] {
            for limit in [1, 5, 200] {
                let wanted = request(subjects.iter().copied(), limit, From::Newest);
                let known = read(&stream, &wanted).await;
                let fresh = read(&cold.stream(spec("A", "a.>")), &wanted).await;
                assert_eq!(
                    (&known.messages, known.more, known.total, known.last_seq),
                    (&fresh.messages, fresh.more, fresh.total, fresh.last_seq),
                    "{subjects:?} {limit}"
                );
                let rare = ReadRequest { scan: 80, ..wanted };
                let accept = |stored: &jacquard::bus::Stored| stored.seq.is_multiple_of(7);
                let known = stream.read(&rare, &mut { accept }).await.unwrap();
                let fresh = cold.stream(spec("A", "a.>"));
                let fresh = fresh.read(&rare, &mut { accept }).await.unwrap();
                assert_eq!(known.messages, fresh.messages, "{subjects:?} {limit}");
                assert_eq!(known.skipped, fresh.skipped, "{subjects:?} {limit}");
            }
        }
    };
    check().await;
    fill(&stream, "a.x", 40).await;
    check().await;
    fill(&stream, "a.y", 300).await;
    fill(&stream, "a.x", 1).await;
    check().await;
    // More than is asked for at once has come.
    fill(&stream, "a.x", 500).await;
    check().await;
    let raw = other.get_stream("A").await.unwrap();
    for seq in (600..=841).filter(|seq| seq % 3 != 0) {
        raw.delete_message(seq).await.unwrap();
    }
    check().await;
    raw.purge().filter("a.x").await.unwrap();
    check().await;
    fill(&stream, "a.x", 3).await;
    check().await;
    raw.purge().await.unwrap();
    check().await;
    fill(&stream, "a.y", 2).await;
    check().await;
    vanish(&other, "A").await;
    check().await;
    fill(&stream, "a.x", 30).await;
    check().await;
}

#[tokio::test]
async fn newest_messages_that_were_read_before_are_asked_for_once() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut everything = client.subscribe(">").await.unwrap();
    client.flush().await.unwrap();
    for subject in ["a.y", "a.x", "a.y"] {
        fill(&stream, subject, 100).await;
    }
    // What the gateway asks for directly, until its mark.
    let mut asked = async || {
        bus.publish(Outgoing::new("mark", "")).await.unwrap();
        let mut count = 0;
        loop {
            let message = everything.next().await.unwrap();
            match message.subject.as_str() {
                "mark" => return count,
                "$JS.API.DIRECT.GET.A" => count += 1,
                _ => {}
            }
        }
    };
    let newest = request(["a.x"], 5, From::Newest);
    read(&stream, &newest).await;
    assert!(asked().await > 1);
    for new in [0, 3] {
        fill(&stream, "a.x", new).await;
        assert_eq!(read(&stream, &newest).await.messages.len(), 5);
        assert_eq!(asked().await, 1, "{new}");
    }
    let both = request(["a.x", "a.y"], 5, From::Newest);
    read(&stream, &both).await;
    asked().await;
    read(&stream, &both).await;
    assert_eq!(asked().await, 2);
    read(&stream, &request(["a.x"], 5, From::After(290))).await;
    assert_eq!(asked().await, 1);
}
