//! Over lost connections, servers that were killed, and streams that were made anew.

use super::super::{bus, other_program, vanish};
use super::{ends, fill_until, in_memory, next, reader, send, sequences, stream, texts};
use crate::support::server::NatsServer;
use jacquard::bus::{FeedStart, Pace};

#[tokio::test]
async fn nothing_is_missing_or_twice_when_the_server_is_killed() {
    let mut server = NatsServer::start();
    let (ours, theirs) = (bus(&server).await, bus(&server).await);
    let stream = stream(&ours);
    let mut found = reader(&stream, FeedStart::Now, Pace::Stored).await;
    let sender = super::stream(&theirs);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let sending = tokio::spawn(async move { fill_until(&sender, stopped).await });
    let mut last = 0;
    for _ in 0..3 {
        for _ in 0..100 {
            last += 1;
            assert_eq!(next(&mut found).await.message.seq, last);
        }
        server.kill();
        server.restart();
    }
    stop.send_replace(true);
    let count = sending.await.unwrap();
    let end = send(&stream, "a.b", "end").await;
    let rest: Vec<u64> = (last + 1..=end).collect();
    assert_eq!(sequences(&mut found, rest.len()).await, rest);
    assert!(end > count as u64);
}

#[tokio::test]
async fn a_stream_that_is_made_anew_is_read_from_its_start() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = stream(&ours);
    let mut ahead = reader(&stream, FeedStart::Now, Pace::Stored).await;
    let mut behind = reader(&stream, FeedStart::Now, Pace::Stored).await;
    for text in ["1", "2", "3"] {
        send(&stream, "a.b", text).await;
    }
    assert_eq!(texts(&mut ahead, 3).await, ["1", "2", "3"]);
    assert_eq!(texts(&mut behind, 1).await, ["1"]);
    vanish(&other_program(&server).await, "S").await;
    // More than before: the sequence alone says nothing.
    for text in ["a", "b", "c", "d", "e"] {
        send(&stream, "a.b", text).await;
    }
    assert_eq!(texts(&mut ahead, 5).await, ["a", "b", "c", "d", "e"]);
    assert_eq!(ahead.position(), 5);
    // What was in memory may or may not be given out; what is stored is.
    let mut first = texts(&mut behind, 1).await;
    while first != ["a"] {
        assert!(first == ["2"] || first == ["3"], "{first:?}");
        first = texts(&mut behind, 1).await;
    }
    assert_eq!(texts(&mut behind, 4).await, ["b", "c", "d", "e"]);
    ends(&stream, &mut ahead).await;
}

#[tokio::test]
async fn a_stream_in_memory_goes_with_its_server() {
    let mut server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = in_memory(&ours);
    for pace in [Pace::Stored, Pace::Live] {
        let mut found = reader(&stream, FeedStart::Now, pace).await;
        for text in ["1", "2", "3"] {
            send(&stream, "a.b", text).await;
        }
        assert_eq!(texts(&mut found, 3).await, ["1", "2", "3"]);
        server.kill();
        server.restart();
        ours.wait_connected(super::SOON).await.unwrap();
        send(&stream, "a.b", "new").await;
        assert_eq!(texts(&mut found, 1).await, ["new"]);
        ends(&stream, &mut found).await;
    }
}

#[tokio::test]
async fn a_consumer_that_is_deleted_is_made_again() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let stream = stream(&ours);
    let mut found = reader(&stream, FeedStart::Now, Pace::Stored).await;
    send(&stream, "a.b", "1").await;
    assert_eq!(texts(&mut found, 1).await, ["1"]);
    let other = other_program(&server).await;
    let theirs = other.get_stream("S").await.unwrap();
    let names: Vec<String> = {
        use futures_util::TryStreamExt as _;
        theirs.consumer_names().try_collect().await.unwrap()
    };
    for name in names {
        theirs.delete_consumer(&name).await.unwrap();
    }
    send(&stream, "a.b", "2").await;
    assert_eq!(texts(&mut found, 1).await, ["2"]);
}
