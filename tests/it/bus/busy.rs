//! A server under load. The stream is a real one that acknowledges nothing; the test answers in its place.

use super::{SOON, config, connected, other_program, spec};
use crate::support::server::{NatsServer, settled};
use async_nats::jetstream;
use futures_util::StreamExt as _;
use jacquard::bus::{BusConfig, Error, ErrorKind, Outgoing, Stream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_millis(600);
const BUSY: &str = r#"{"error":{"code":429,"err_code":10167,"description":"too many requests"},"stream":"A","seq":0}"#;
const NO_LEADER: &str = r#"{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"},"stream":"A","seq":0}"#;
const FULL: &str = r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"A","seq":0}"#;
const STORED: &str = r#"{"stream":"A","seq":7}"#;

/// A stream whose publishes get these answers in turn, the last one for ever; and how many there were.
async fn answering(
    server: &NatsServer,
    answers: &'static [&'static str],
) -> (Stream, Arc<AtomicUsize>) {
    let silent = jetstream::stream::Config {
        name: "A".into(),
        subjects: vec!["a".into()],
        no_ack: true,
        ..Default::default()
    };
    other_program(server)
        .await
        .create_stream(silent)
        .await
        .unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut asked = client.subscribe("a").await.unwrap();
    settled(&client).await;
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            let index = counter.fetch_add(1, Ordering::Relaxed);
            let answer = answers.get(index).or(answers.last());
            if let (Some(reply), Some(&answer)) = (message.reply, answer) {
                client.publish(reply, answer.into()).await.unwrap();
            }
        }
    });
    let bus = connected(BusConfig {
        request_timeout: LIMIT,
        ..config(server.url())
    })
    .await;
    (bus.stream(spec("A", "a")), count)
}

async fn publish(stream: &Stream) -> Result<u64, Error> {
    let sent = stream.publish(Outgoing::new("a", "x"), None);
    let sent = tokio::time::timeout(SOON, sent).await.unwrap();
    sent.map(|ack| ack.seq)
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let server = NatsServer::start();
    let (stream, count) = answering(&server, &[BUSY, NO_LEADER, BUSY, STORED]).await;
    assert_eq!(publish(&stream).await.unwrap(), 7);
    assert_eq!(count.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_server_that_stays_busy_is_left_alone() {
    let server = NatsServer::start();
    let (stream, count) = answering(&server, &[BUSY]).await;
    let start = Instant::now();
    let error = publish(&stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(start.elapsed() < LIMIT + LIMIT / 2, "{:?}", start.elapsed());
    let count = count.load(Ordering::Relaxed);
    assert!((4..20).contains(&count), "{count}");
    let tried = format!("tried {count} times");
    assert!(error.to_string().contains(&tried), "{error}");
}

#[tokio::test]
async fn what_is_full_or_unknown_is_not_repeated() {
    let server = NatsServer::start();
    let (stream, count) = answering(&server, &[FULL]).await;
    let error = publish(&stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert_eq!(count.load(Ordering::Relaxed), 1);

    let server = NatsServer::start();
    let (stream, count) = answering(&server, &[]).await;
    let error = publish(&stream).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}
