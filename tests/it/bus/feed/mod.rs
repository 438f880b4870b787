//! What a stream stores, as readers of its feed get it.

mod again;
mod live;
mod stored;

use super::{SOON, spec};
use crate::support::LIMIT;
use jacquard::bus::{
    Bus, FeedReader, FeedStart, Heard, Outgoing, Pace, Storage, Stream, StreamSpec,
};
use std::time::Instant;

fn subjects(list: &[&str]) -> Vec<String> {
    list.iter().map(|&subject| subject.to_owned()).collect()
}

/// The stream `S` with all subjects below `a`.
fn stream(bus: &Bus) -> Stream {
    bus.stream(spec("S", "a.>"))
}

fn in_memory(bus: &Bus) -> Stream {
    bus.stream(StreamSpec {
        storage: Storage::Memory,
        ..spec("S", "a.>")
    })
}

async fn reader(stream: &Stream, start: FeedStart, pace: Pace) -> FeedReader {
    stream.feed(&[]).reader(start, pace).await.unwrap()
}

async fn next(reader: &mut FeedReader) -> Heard {
    let next = tokio::time::timeout(LIMIT, reader.next()).await;
    next.expect("a message").expect("an open bus")
}

async fn sequences(reader: &mut FeedReader, count: usize) -> Vec<u64> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(next(reader).await.message.seq);
    }
    found
}

async fn texts(reader: &mut FeedReader, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(text(&next(reader).await));
    }
    found
}

fn text(heard: &Heard) -> String {
    String::from_utf8(heard.message.payload.to_vec()).unwrap()
}

/// Nothing more comes: what is sent last is the next thing to come.
async fn ends(stream: &Stream, reader: &mut FeedReader) {
    send(stream, "a.end", "end").await;
    assert_eq!(text(&next(reader).await), "end");
}

/// Stores a message; gives its sequence.
async fn send(stream: &Stream, subject: &str, text: &str) -> u64 {
    let sent = stream.publish(Outgoing::new(subject, text.to_owned()), None);
    sent.await.unwrap().seq
}

/// Stores many, without waiting for each.
async fn flood(stream: &Stream, numbers: std::ops::Range<usize>) {
    use futures_util::StreamExt as _;
    let sent = numbers.map(|number| {
        let message = Outgoing::new("a.b", number.to_string());
        async { stream.publish(message, None).await.unwrap() }
    });
    futures_util::stream::iter(sent)
        .buffered(64)
        .for_each(async |_| {})
        .await;
}

/// Waits until the stream has so many consumers.
async fn consumers(stream: &Stream, count: u64) {
    let start = Instant::now();
    loop {
        let state = stream.info().await.unwrap().unwrap();
        if state.consumers == count {
            return;
        }
        assert!(start.elapsed() < SOON, "{} consumers", state.consumers);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Stores one message after the other, each until it is stored, until it is told to stop. Gives how many.
async fn fill_until(stream: &Stream, stopped: tokio::sync::watch::Receiver<bool>) -> usize {
    let mut count = 0;
    while !*stopped.borrow() {
        let (text, id) = (count.to_string(), format!("id {count}"));
        let message = Outgoing::new("a.b", text);
        match stream.publish(message, Some(&id)).await {
            Ok(_) => count += 1,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    }
    count
}
