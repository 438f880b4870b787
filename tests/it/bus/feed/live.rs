//! As soon as it is heard.

use super::super::{bus, fill, spec};
use super::{
    ends, fill_until, flood, next, reader, send, send_again, stream, subjects, text, texts,
};
use crate::support::LIMIT;
use crate::support::server::NatsServer;
use jacquard::bus::{FeedReader, FeedStart, Outgoing, Pace, Stream, StreamSpec};
use std::collections::HashMap;
use std::time::{Duration, Instant};

async fn live(stream: &Stream) -> FeedReader {
    reader(stream, FeedStart::Now, Pace::Live).await
}

/// Reads up to this text; counts the others.
async fn count_until(reader: &mut FeedReader, end: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    loop {
        let heard = text(&next(reader).await);
        if heard == end {
            return counts;
        }
        *counts.entry(heard).or_default() += 1;
    }
}

/// Lets go by what may still come to a reader.
async fn moves_to(reader: &mut FeedReader, position: u64) {
    let start = Instant::now();
    while reader.position() < position {
        let more = tokio::time::timeout(Duration::from_millis(5), reader.next()).await;
        assert!(more.is_err(), "{:?}", more.unwrap());
        assert!(start.elapsed() < LIMIT, "it stays at {}", reader.position());
    }
}

#[tokio::test]
async fn each_comes_once_and_the_position_follows() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = stream(&ours);
    let mut readers = [live(&stream).await, live(&stream).await];
    for round in 0..200 {
        // All say the same.
        let last = send(&stream, "a.b", "same").await;
        assert_eq!(last, round + 1);
        for reader in &mut readers {
            let heard = next(reader).await;
            assert_eq!(text(&heard), "same");
            assert_eq!(heard.message.seq, heard.seq.unwrap_or(0));
            assert!(
                heard.message.time.starts_with("20"),
                "{}",
                heard.message.time
            );
        }
    }
    // Before anything else is sent.
    for reader in &mut readers {
        moves_to(reader, 200).await;
    }
    for reader in &mut readers {
        ends(&stream, reader).await;
    }
}

#[tokio::test]
async fn what_was_before_comes_from_the_stream_and_then_what_is_heard() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = stream(&ours);
    flood(&stream, 0..2000).await;
    let mut behind = reader(&stream, FeedStart::After(100), Pace::Live).await;
    let (counts, ()) = tokio::join!(count_until(&mut behind, "end"), async {
        flood(&stream, 2000..4000).await;
        send(&stream, "a.b", "end").await;
    });
    assert_eq!(counts.len(), 3900);
    assert!(counts.values().all(|count| *count == 1));
    ends(&stream, &mut behind).await;
}

#[tokio::test]
async fn a_slow_live_reader_loses_nothing() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = stream(&ours);
    let mut slow = live(&stream).await;
    send(&stream, "a.b", "first").await;
    assert_eq!(texts(&mut slow, 1).await, ["first"]);
    flood(&stream, 0..3000).await;
    let end = send(&stream, "a.b", "end").await;
    let mut counts = HashMap::new();
    for _ in 0..3001 {
        *counts.entry(text(&next(&mut slow).await)).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 3001);
    moves_to(&mut slow, end).await;
    ends(&stream, &mut slow).await;
}

#[tokio::test]
async fn nothing_is_missing_or_twice_when_the_connection_is_lost() {
    let mut server = NatsServer::start();
    let (ours, theirs) = (bus(&server).await, bus(&server).await);
    let stream = stream(&ours);
    let mut found = live(&stream).await;
    let sender = super::stream(&theirs);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let sending = tokio::spawn(async move { fill_until(&sender, stopped).await });
    let mut counts: HashMap<String, usize> = HashMap::new();
    for _ in 0..3 {
        for _ in 0..100 {
            *counts.entry(text(&next(&mut found).await)).or_default() += 1;
        }
        server.kill();
        server.restart();
    }
    stop.send_replace(true);
    let count = sending.await.unwrap();
    send_again(&stream, "the last one").await;
    for (text, more) in count_until(&mut found, "the last one").await {
        *counts.entry(text).or_default() += more;
    }
    // What was not heard comes from the stream, and may do so after a later message that was.
    while counts.len() < count {
        *counts.entry(text(&next(&mut found).await)).or_default() += 1;
    }
    assert_eq!(counts.len(), count);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}

#[tokio::test]
async fn what_is_sent_again_with_its_id_comes_once() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = stream(&ours);
    let mut found = live(&stream).await;
    for text in ["1", "1", "2", "1", "3"] {
        let sent = stream.publish(Outgoing::new("a.b", text), Some(text)).await;
        sent.unwrap();
    }
    assert_eq!(texts(&mut found, 3).await, ["1", "2", "3"]);
    ends(&stream, &mut found).await;
}

#[tokio::test]
async fn what_the_stream_refuses_stands_in_nobodys_way() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = ours.stream(StreamSpec {
        max_message_size: Some(100),
        ..spec("S", "a.>")
    });
    let mut found = live(&stream).await;
    let large = "x".repeat(200);
    ours.publish(Outgoing::new("a.b", large.clone()))
        .await
        .unwrap();
    assert_eq!(texts(&mut found, 1).await, [large]);
    fill(&stream, "a.b", 3).await;
    assert_eq!(texts(&mut found, 3).await, ["0", "1", "2"]);
    moves_to(&mut found, 3).await;
}

#[tokio::test]
async fn messages_on_several_subjects_come_in_the_order_in_which_they_were_sent() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = stream(&ours);
    let feed = stream.feed(&subjects(&["a.x.*", "a.y.*", "a.z.*"]));
    let mut found = feed.reader(FeedStart::Now, Pace::Live).await.unwrap();
    let sender = async_nats::connect(server.url()).await.unwrap();
    let kinds = ["x", "x", "z", "y", "other", "y", "x", "z", "z"];
    for round in 0..50 {
        let batch: Vec<(String, String)> = (0..20)
            .flat_map(|_| kinds)
            .enumerate()
            .map(|(number, kind)| (format!("a.{kind}.m"), format!("{round}.{number}")))
            .collect();
        for (subject, text) in &batch {
            let (subject, text) = (subject.clone(), text.clone().into());
            sender.publish(subject, text).await.unwrap();
        }
        let wanted = batch.iter().filter(|(subject, _)| subject != "a.other.m");
        let wanted: Vec<String> = wanted.map(|(_, text)| text.clone()).collect();
        assert_eq!(texts(&mut found, wanted.len()).await, wanted);
    }
}
