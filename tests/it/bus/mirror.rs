//! A mirrored bucket must say what the server would say.

use super::{SOON, bus, config, connected, other_program, vanish};
use crate::support::server::NatsServer;
use async_nats::jetstream;
use jacquard::bus::{Bucket, BucketSpec, Bus};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn bucket(bus: &Bus, change: impl FnOnce(&mut BucketSpec)) -> Bucket {
    let mut spec = BucketSpec {
        name: "b".into(),
        mirror: true,
        ..BucketSpec::default()
    };
    change(&mut spec);
    bus.bucket(spec)
}

/// The same bucket, listed by the server.
fn plain(bus: &Bus) -> Bucket {
    bucket(bus, |spec| spec.mirror = false)
}

async fn keys(bucket: &Bucket, filter: &str) -> String {
    let listing = bucket.list(filter, 10_000).await.unwrap();
    let keys: Vec<&str> = listing.entries.iter().map(|e| e.key.as_str()).collect();
    keys.join(" ")
}

#[tokio::test]
async fn it_lists_as_the_server_does() {
    let server = NatsServer::start();
    let (ours, theirs) = (bus(&server).await, bus(&server).await);
    let (mirror, plain) = (bucket(&ours, |_| ()), plain(&theirs));
    assert_eq!(keys(&mirror, ">").await, "");
    for key in ["b.2", "b.1", "c.1", "d"] {
        plain.put(key, "old").await.unwrap();
        plain.put(key, key.to_owned()).await.unwrap();
        let (listed, wanted) = tokio::join!(mirror.list(">", 9), plain.list(">", 9));
        assert_eq!(listed.unwrap(), wanted.unwrap());
    }
    plain.delete("c.1", None).await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "b.1 b.2 d");
    assert_eq!(keys(&mirror, "b.*").await, "b.1 b.2");
    assert_eq!(keys(&mirror, "c.>").await, "");
    let two = mirror.list(">", 2).await.unwrap();
    assert_eq!((two.entries.len(), two.more), (2, true));
    // What did not change is the same entry, with what was made of it.
    let again = mirror.list(">", 2).await.unwrap();
    assert!(Arc::ptr_eq(&two.entries[0], &again.entries[0]));
    assert!(mirror.list("a b", 2).await.is_err());
}

#[tokio::test]
async fn no_acknowledged_write_is_missed() {
    const WRITERS: usize = 4;
    const ROUNDS: usize = 300;
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let mirror = bucket(&ours, |_| ());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (mirror, url) = (mirror.clone(), server.url());
            tokio::spawn(async move {
                let theirs = connected(config(url)).await;
                let plain = plain(&theirs);
                for round in 0..ROUNDS {
                    // Keys are new, changed, deleted, and made again.
                    let key = format!("w{writer}.k{}", round % 7);
                    let value = (round % 5 != 4).then(|| round.to_string());
                    match &value {
                        Some(value) => drop(plain.put(&key, value.clone()).await.unwrap()),
                        None => plain.delete(&key, None).await.unwrap(),
                    }
                    let listing = mirror.list(&format!("w{writer}.>"), 99).await.unwrap();
                    let mut found = listing.entries.iter().filter(|entry| entry.key == key);
                    let found = found
                        .next()
                        .map(|e| String::from_utf8_lossy(&e.value).into_owned());
                    assert_eq!(found, value, "{key} in round {round}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let (listed, wanted) = (
        mirror.list(">", 999).await,
        plain(&ours).list(">", 999).await,
    );
    assert_eq!(listed.unwrap(), wanted.unwrap());
}

#[tokio::test]
async fn a_purged_stream_is_empty() {
    let server = NatsServer::start();
    let mirror = bucket(&bus(&server).await, |_| ());
    let other = other_program(&server).await;
    for key in ["a.1", "a.2", "b.1"] {
        mirror.put(key, "x").await.unwrap();
    }
    assert_eq!(keys(&mirror, ">").await, "a.1 a.2 b.1");
    let stream = other.get_stream("KV_b").await.unwrap();
    stream.purge().filter("$KV.b.a.2").await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "a.1 b.1");
    stream.purge().filter("$KV.b.b.>").await.unwrap();
    mirror.put("c", "x").await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "a.1 c");
    stream.purge().await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "");
    mirror.put("d", "x").await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "d");
    // As other clients purge a key.
    let store = other.get_key_value("b").await.unwrap();
    store.purge("d").await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "");
}

#[tokio::test]
async fn what_ends_by_itself_is_gone() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let short = bucket(&bus, |spec| spec.ttl = Some(Duration::from_millis(800)));
    let lives = bucket(&bus, |spec| {
        spec.name = "lives".into();
        spec.limit_markers = Some(Duration::from_secs(1));
    });
    short.put("a", "x").await.unwrap();
    let second = Some(Duration::from_secs(1));
    lives.create("a", "x", second).await.unwrap();
    lives.put("b", "x").await.unwrap();
    assert_eq!(keys(&short, ">").await, "a");
    assert_eq!(keys(&lives, ">").await, "a b");
    // Later than the marker of the end has ended, too.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let listed = keys(&lives, ">").await;
        assert!(listed == "a b" || listed == "b", "{listed}");
    }
    assert_eq!(keys(&short, ">").await, "");
    assert_eq!(keys(&lives, ">").await, "b");
}

#[tokio::test]
async fn a_bucket_made_anew_is_read_anew() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let mirror = bucket(&ours, |_| ());
    let other = other_program(&server).await;
    for round in 0..3 {
        for key in ["a", "b", "c"] {
            mirror.put(key, "old").await.unwrap();
        }
        assert_eq!(keys(&mirror, ">").await, "a b c");
        vanish(&other, "KV_b").await;
        if round > 0 {
            // More messages than there were before.
            let theirs = plain(&ours);
            for key in ["x", "x", "y", "z"] {
                theirs.put(key, "new").await.unwrap();
            }
            assert_eq!(keys(&mirror, ">").await, "x y z");
            vanish(&other, "KV_b").await;
        }
        assert_eq!(keys(&mirror, ">").await, "");
    }
}

#[tokio::test]
async fn it_outlives_the_server() {
    let mut server = NatsServer::start();
    let ours = bus(&server).await;
    let mirror = bucket(&ours, |spec| spec.storage = jacquard::bus::Storage::Memory);
    for key in ["a", "b", "c"] {
        mirror.put(key, "x").await.unwrap();
    }
    assert_eq!(keys(&mirror, ">").await, "a b c");
    server.kill();
    assert!(mirror.list(">", 9).await.is_err());
    server.restart();
    let start = Instant::now();
    // What was in memory is lost, and counted anew.
    while let Err(error) = mirror.put("d", "x").await {
        assert!(start.elapsed() < SOON, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for key in ["e", "f", "g"] {
        mirror.put(key, "x").await.unwrap();
    }
    assert_eq!(keys(&mirror, ">").await, "d e f g");
}

#[tokio::test]
async fn it_moves_to_other_servers() {
    let first = NatsServer::start();
    let second = NatsServer::start();
    let ours = bus(&first).await;
    let mirror = bucket(&ours, |_| ());
    mirror.put("first", "x").await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "first");
    ours.replace_servers(vec![second.url()]).await.unwrap();
    ours.wait_connected(SOON).await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "");
    mirror.put("second", "x").await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "second");
}

#[tokio::test]
async fn a_large_bucket_is_read_in_parts() {
    let server = NatsServer::start();
    let ours = bus(&server).await;
    let mirror = bucket(&ours, |spec| spec.history = Some(2));
    let puts = (0..2500).map(|index| {
        let mirror = mirror.clone();
        async move { mirror.put(&format!("k{:04}", index % 2100), "x").await }
    });
    futures_util::future::try_join_all(puts).await.unwrap();
    let listing = mirror.list(">", 5000).await.unwrap();
    assert_eq!((listing.entries.len(), listing.more), (2100, false));
    let wanted = plain(&ours).list(">", 5000).await.unwrap();
    assert_eq!(listing, wanted);
}

#[tokio::test]
async fn what_cannot_be_mirrored_is_listed_by_the_server() {
    let server = NatsServer::start();
    let other = other_program(&server).await;
    let config = jetstream::stream::Config {
        name: "KV_b".into(),
        subjects: vec!["$KV.b.>".into()],
        max_messages_per_subject: 1,
        ..Default::default()
    };
    other.create_stream(config).await.unwrap();
    let mirror = bucket(&bus(&server).await, |_| ());
    mirror.put("k", "v").await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "k");
    mirror.delete("k", None).await.unwrap();
    assert_eq!(keys(&mirror, ">").await, "");
}
