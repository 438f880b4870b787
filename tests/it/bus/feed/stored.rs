//! In the order of the stream.

use super::super::{bus, config, fill, other_program, spec};
use super::{consumers, ends, flood, next, reader, send, sequences, stream, subjects, texts};
use crate::support::server::NatsServer;
use async_nats::jetstream::stream::Config;
use jacquard::bus::{Bus, ErrorKind, FeedReader, FeedStart, Outgoing, Pace, Stream};
use std::time::Duration;

async fn from(stream: &Stream, start: FeedStart) -> FeedReader {
    reader(stream, start, Pace::Stored).await
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_and_holds_nobody_up() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = stream(&bus);
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(from(&stream, FeedStart::Now).await);
    }
    let mut slow = readers.pop().unwrap();
    const COUNT: usize = 3000;
    let all: Vec<u64> = (1..=COUNT as u64).collect();
    let reading = readers.into_iter().map(async |mut reader| {
        let found = sequences(&mut reader, COUNT).await;
        assert_eq!(reader.position(), COUNT as u64);
        found
    });
    let (found, ()) = tokio::join!(
        futures_util::future::join_all(reading),
        flood(&stream, 0..COUNT)
    );
    assert!(found.iter().all(|found| *found == all));
    assert_eq!(slow.position(), 0);
    assert_eq!(sequences(&mut slow, 700).await, all[..700]);
    assert_eq!(slow.position(), 700);
    flood(&stream, COUNT..COUNT + 10).await;
    assert_eq!(
        sequences(&mut slow, COUNT - 690).await,
        (701..=COUNT as u64 + 10).collect::<Vec<_>>()
    );
    ends(&stream, &mut slow).await;
}

#[tokio::test]
async fn a_reader_begins_where_it_is_told() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = stream(&bus);
    fill(&stream, "a.b", 5).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    fill(&stream, "a.b", 5).await;
    for (start, first) in [
        (FeedStart::Now, 11),
        (FeedStart::After(0), 1),
        (FeedStart::After(3), 4),
        (FeedStart::After(10), 11),
        (FeedStart::Ago(Duration::from_secs(1)), 6),
        (FeedStart::Ago(Duration::from_secs(60)), 1),
        (FeedStart::Ago(Duration::ZERO), 11),
        // Another stream's.
        (FeedStart::After(99), 1),
    ] {
        let mut reader = from(&stream, start).await;
        assert_eq!(reader.position() + 1, first, "{start:?}");
        let before: Vec<u64> = (first..=10).collect();
        assert_eq!(
            sequences(&mut reader, before.len()).await,
            before,
            "{start:?}"
        );
    }
    // `Now` is exact, also where others read already.
    let mut others = from(&stream, FeedStart::Now).await;
    for round in 0..50 {
        let last = send(&stream, "a.b", "before").await;
        let mut reader = from(&stream, FeedStart::Now).await;
        assert_eq!(reader.position(), last);
        assert_eq!(stream.feed(&[]).last().await.unwrap(), last);
        let text = format!("after {round}");
        send(&stream, "a.b", &text).await;
        assert_eq!(texts(&mut reader, 1).await, [text]);
    }
    assert_eq!(
        sequences(&mut others, 100).await,
        (11..=110).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_feed_has_its_subjects_and_no_others() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = stream(&bus);
    for round in 0..2 {
        for subject in ["a.b", "a.c", "a.b.d", "a.c.d", "a.x"] {
            send(&stream, subject, &format!("{subject} {round}")).await;
        }
    }
    for (list, expected) in [
        (&["a.b", "a.c"][..], &["a.b", "a.c"][..]),
        (&["a.*.d"], &["a.b.d", "a.c.d"]),
        (&["a.b", "a.b", "a.*"], &["a.b", "a.c", "a.x"]),
        (&["a.b.*", "a.*.d"], &["a.b.d", "a.c.d"]),
        (&["*.b", "a.b.>", "a.none"], &["a.b", "a.b.d"]),
    ] {
        let feed = stream.feed(&subjects(list));
        let mut past = feed
            .reader(FeedStart::After(0), Pace::Stored)
            .await
            .unwrap();
        let mut wanted = Vec::new();
        for round in 0..2 {
            wanted.extend(expected.iter().map(|subject| format!("{subject} {round}")));
        }
        assert_eq!(texts(&mut past, wanted.len()).await, wanted, "{list:?}");
        let mut now = feed.reader(FeedStart::Now, Pace::Stored).await.unwrap();
        let last = expected.last().unwrap();
        send(&stream, "a.y", "for nobody").await;
        for reader in [&mut past, &mut now] {
            send(&stream, last, "new").await;
            let heard = next(reader).await;
            assert_eq!(
                (heard.message.subject.as_str(), &heard.message.payload[..]),
                (*last, &b"new"[..])
            );
            assert_eq!(heard.seq, Some(heard.message.seq));
            assert_eq!(reader.position(), heard.message.seq);
        }
    }
}

#[tokio::test]
async fn a_message_is_whole_and_the_same_by_each_way() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = stream(&bus);
    let mut early = from(&stream, FeedStart::Now).await;
    let message = Outgoing {
        subject: "a.b".to_owned(),
        headers: vec![
            ("H".to_owned(), "1".to_owned()),
            ("H".to_owned(), "2".to_owned()),
        ],
        payload: "text".into(),
    };
    stream.publish(message, Some("id")).await.unwrap();
    let pushed = next(&mut early).await;
    let read = next(&mut from(&stream, FeedStart::After(0)).await).await;
    assert_eq!(pushed.message, read.message);
    drop(early);
    // Nobody has it in memory.
    consumers(&stream, 0).await;
    let read = next(&mut from(&stream, FeedStart::After(0)).await).await;
    assert_eq!(pushed.message, read.message);
}

#[tokio::test]
async fn a_stream_without_direct_get_is_read_from_its_leader() {
    let server = NatsServer::start();
    let other = other_program(&server).await;
    let config = Config {
        name: "S".to_owned(),
        subjects: vec!["a.>".to_owned()],
        ..Config::default()
    };
    other.create_stream(config).await.unwrap();
    let bus = bus(&server).await;
    let stream = stream(&bus);
    flood(&stream, 0..600).await;
    for seq in [3, 300, 599] {
        stream.remove(&[seq]).await.unwrap();
    }
    let mut reader = from(&stream, FeedStart::After(1)).await;
    let all: Vec<u64> = (2..=600)
        .filter(|seq| ![3, 300, 599].contains(seq))
        .collect();
    assert_eq!(sequences(&mut reader, all.len()).await, all);
    ends(&stream, &mut reader).await;
}

#[tokio::test]
async fn many_readers_are_one_consumer_which_goes_with_the_last() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = stream(&bus);
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(from(&stream, FeedStart::Now).await);
    }
    consumers(&stream, 1).await;
    let feed = stream.feed(&subjects(&["a.b"]));
    let other = feed.reader(FeedStart::Now, Pace::Stored).await.unwrap();
    consumers(&stream, 2).await;
    drop(other);
    consumers(&stream, 1).await;
    let all: Vec<u64> = (1..=200).collect();
    let reading = readers.iter_mut().map(|reader| sequences(reader, 200));
    let (found, ()) = tokio::join!(
        futures_util::future::join_all(reading),
        flood(&stream, 0..200)
    );
    assert!(found.iter().all(|found| *found == all));
    let last = readers.pop();
    drop(readers);
    consumers(&stream, 1).await;
    drop(last);
    consumers(&stream, 0).await;
}

#[tokio::test]
async fn what_cannot_work_is_an_error() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let kind = async |stream: Stream, list: &[&str]| {
        let feed = stream.feed(&subjects(list));
        let opened = feed.reader(FeedStart::Now, Pace::Stored).await;
        opened.map(drop).map_err(|error| error.kind())
    };
    let bad = kind(stream(&bus), &["a."]).await;
    assert_eq!(bad, Err(ErrorKind::InvalidSubject));
    let nameless = kind(bus.stream(spec("S.T", "a.>")), &[]).await;
    assert_eq!(nameless, Err(ErrorKind::InvalidConfig));
    stream(&bus).ensure().await.unwrap();
    let overlap = kind(bus.stream(spec("T", "a.b")), &[]).await;
    assert_eq!(overlap, Err(ErrorKind::Overlap));
    let foreign = kind(stream(&bus), &["b"]).await;
    assert_eq!(foreign, Err(ErrorKind::InvalidConfig));
}

#[tokio::test]
async fn a_feed_may_be_read_before_the_server_is_there_and_ends_with_the_bus() {
    let server = NatsServer::start();
    let idle = Bus::idle(config("nats://127.0.0.1:1")).await.unwrap();
    let stream = stream(&idle);
    let mut reader = from(&stream, FeedStart::Now).await;
    let theirs = bus(&server).await;
    send(&super::stream(&theirs), "a.b", "1").await;
    idle.replace_servers(vec![server.url()]).await.unwrap();
    assert_eq!(texts(&mut reader, 1).await, ["1"]);
    idle.close(super::SOON).await;
    let end = tokio::time::timeout(super::SOON, reader.next()).await;
    assert!(end.unwrap().is_none());
    let late = stream.feed(&[]).reader(FeedStart::Now, Pace::Stored).await;
    assert_eq!(late.map(drop).unwrap_err().kind(), ErrorKind::Closed);
}
