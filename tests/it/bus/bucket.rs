use super::{bus, other_program};
use crate::support::server::NatsServer;
use async_nats::jetstream;
use jacquard::bus::{Bucket, BucketSpec, Bus, ErrorKind, Operation};
use std::time::Duration;

fn bucket(bus: &Bus, change: impl FnOnce(&mut BucketSpec)) -> Bucket {
    let mut spec = BucketSpec {
        name: "b".into(),
        ..BucketSpec::default()
    };
    change(&mut spec);
    bus.bucket(spec)
}

fn kind<T: std::fmt::Debug>(result: Result<T, jacquard::bus::Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn values_are_put_got_and_compared() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let bucket = bucket(&bus, |spec| spec.history = Some(5));
    assert_eq!(bucket.get("a.b").await.unwrap(), None);
    assert_eq!(bucket.put("a.b", "1").await.unwrap(), 1);
    let entry = bucket.get("a.b").await.unwrap().unwrap();
    assert_eq!(
        (entry.key.as_str(), &entry.value[..], entry.revision),
        ("a.b", &b"1"[..], 1)
    );
    assert_eq!(bucket.update("a.b", "2", 1).await.unwrap(), 2);
    assert_eq!(
        kind(bucket.update("a.b", "3", 1).await),
        ErrorKind::Conflict
    );
    assert_eq!(
        kind(bucket.create("a.b", "3", None).await),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        kind(bucket.delete("a.b", Some(1)).await),
        ErrorKind::Conflict
    );
    bucket.delete("a.b", None).await.unwrap();
    assert_eq!(bucket.get("a.b").await.unwrap(), None);
    assert_eq!(bucket.create("a.b", "4", None).await.unwrap(), 4);
    let history = bucket.history("a.b").await.unwrap();
    let operations: Vec<_> = history
        .iter()
        .map(|entry| (entry.revision, entry.operation))
        .collect();
    assert_eq!(
        operations,
        [
            (1, Operation::Put),
            (2, Operation::Put),
            (3, Operation::Delete),
            (4, Operation::Put)
        ]
    );
    for key in ["", ".a", "a.", "a..b", "a b", "a*", ">", "ä"] {
        assert_eq!(kind(bucket.get(key).await), ErrorKind::InvalidKey, "{key}");
        assert_eq!(
            kind(bucket.put(key, "").await),
            ErrorKind::InvalidKey,
            "{key}"
        );
    }
}

#[tokio::test]
async fn other_clients_share_a_bucket() {
    let server = NatsServer::start();
    let ours = bucket(&bus(&server).await, |spec| {
        spec.limit_markers = Some(Duration::from_secs(5))
    });
    ours.put("k", "ours").await.unwrap();
    assert_eq!(ours.drift(), []);
    let theirs = other_program(&server)
        .await
        .get_key_value("b")
        .await
        .unwrap();
    assert_eq!(theirs.get("k").await.unwrap().unwrap(), "ours");
    theirs.purge("k").await.unwrap();
    assert_eq!(ours.get("k").await.unwrap(), None);
    assert_eq!(
        ours.history("k").await.unwrap()[0].operation,
        Operation::Purge
    );
    assert_eq!(ours.create("k", "again", None).await.unwrap(), 3);
}

#[tokio::test]
async fn an_entry_may_have_a_life() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let plain = bucket(&bus, |spec| spec.name = "plain".into());
    let second = Some(Duration::from_secs(1));
    assert_eq!(
        kind(plain.create("k", "v", second).await),
        ErrorKind::InvalidConfig
    );
    let bucket = bucket(&bus, |spec| {
        spec.limit_markers = Some(Duration::from_secs(30))
    });
    bucket.create("k", "v", second).await.unwrap();
    assert!(bucket.get("k").await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(bucket.get("k").await.unwrap(), None);
    assert_eq!(bucket.list(">", 9).await.unwrap().entries, []);
    bucket.create("k", "v", second).await.unwrap();
}

#[tokio::test]
async fn listing_leaves_out_deletions() {
    let server = NatsServer::start();
    let bucket = bucket(&bus(&server).await, |spec| spec.history = Some(3));
    assert_eq!(bucket.list(">", 10).await.unwrap(), Default::default());
    for key in ["b.2", "b.1", "c.1", "d"] {
        bucket.put(key, "old").await.unwrap();
        bucket.put(key, key.to_owned()).await.unwrap();
    }
    bucket.delete("c.1", None).await.unwrap();
    let keys = async |filter: &str, limit: usize| {
        let listing = bucket.list(filter, limit).await.unwrap();
        let keys: Vec<String> = listing
            .entries
            .iter()
            .map(|entry| entry.key.clone())
            .collect();
        (keys.join(" "), listing.more)
    };
    assert_eq!(keys(">", 10).await, ("b.1 b.2 d".into(), false));
    assert_eq!(keys("b.*", 10).await, ("b.1 b.2".into(), false));
    assert_eq!(keys(">", 2).await, ("b.1 b.2".into(), true));
    assert_eq!(keys("zz.>", 2).await, (String::new(), false));
    assert_eq!(kind(bucket.list("a b", 2).await), ErrorKind::InvalidKey);
}

#[tokio::test]
async fn a_large_bucket_is_listed_too() {
    let server = NatsServer::start();
    let bucket = bucket(&bus(&server).await, |_| ());
    let puts = (0..1500).map(|index| bucket.put_owned(index));
    futures_util::future::try_join_all(puts).await.unwrap();
    let listing = bucket.list(">", 5000).await.unwrap();
    assert_eq!((listing.entries.len(), listing.more), (1500, false));
}

trait PutOwned {
    fn put_owned(&self, index: usize) -> impl Future<Output = Result<u64, jacquard::bus::Error>>;
}

impl PutOwned for Bucket {
    async fn put_owned(&self, index: usize) -> Result<u64, jacquard::bus::Error> {
        self.put(&format!("k{index:04}"), index.to_string()).await
    }
}

#[tokio::test]
async fn a_vanished_bucket_is_made_again() {
    let server = NatsServer::start();
    let bucket = bucket(&bus(&server).await, |_| ());
    let other = other_program(&server).await;
    bucket.put("k", "v").await.unwrap();
    super::vanish(&other, "KV_b").await;
    assert_eq!(bucket.get("k").await.unwrap(), None);
    assert_eq!(bucket.put("k", "v").await.unwrap(), 1);
    super::vanish(&other, "KV_b").await;
    assert_eq!(bucket.put("k", "v").await.unwrap(), 1);
    super::vanish(&other, "KV_b").await;
    assert_eq!(bucket.list(">", 9).await.unwrap().entries, []);
    super::vanish(&other, "KV_b").await;
    assert_eq!(bucket.history("k").await.unwrap(), []);
}

#[tokio::test]
async fn a_bucket_without_direct_get_works() {
    let server = NatsServer::start();
    let other = other_program(&server).await;
    let config = jetstream::stream::Config {
        name: "KV_b".into(),
        subjects: vec!["$KV.b.>".into()],
        max_messages_per_subject: 1,
        ..Default::default()
    };
    other.create_stream(config).await.unwrap();
    let bucket = bucket(&bus(&server).await, |_| ());
    assert_eq!(bucket.get("k").await.unwrap(), None);
    bucket.put("k", "v").await.unwrap();
    assert_eq!(bucket.get("k").await.unwrap().unwrap().value, "v");
    assert_eq!(bucket.list(">", 9).await.unwrap().entries.len(), 1);
    assert_eq!(bucket.history("k").await.unwrap().len(), 1);
    assert!(
        bucket
            .drift()
            .iter()
            .any(|drift| drift.field == "allow_direct")
    );
    super::vanish(&other, "KV_b").await;
    assert_eq!(bucket.get("k").await.unwrap(), None);
    assert_eq!(bucket.drift(), []);
}
