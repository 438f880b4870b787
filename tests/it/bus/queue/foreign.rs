//! Queues that other programs made and use too: a plain lane on one durable for all, as Warp has it.

use super::{LEASE, NOW, Place, claimed_soon, release};
use crate::bus::{other_program, spec};
use async_nats::jetstream::{consumer, stream};
use futures_util::StreamExt as _;
use jacquard::bus::{ErrorKind, ItemState, Lane, Retention, StreamSpec};
use serde_json::json;
use std::time::Duration;

async fn foreign(place: &Place, ack_wait: Duration) -> (Lane, consumer::PullConsumer) {
    let other = other_program(&place.server).await;
    let config = stream::Config {
        name: "WORKQUEUE_RUST".into(),
        subjects: vec!["global.workqueue.rust".into()],
        retention: stream::RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    let theirs = other.create_stream(config).await.unwrap();
    let config = consumer::pull::Config {
        durable_name: Some("worker-RUST".into()),
        ack_wait,
        max_deliver: 3,
        ..Default::default()
    };
    let theirs = theirs.create_consumer(config).await.unwrap();
    let lane = Lane {
        stream: place.bus.stream(StreamSpec {
            retention: Retention::WorkQueue,
            ..spec("WORKQUEUE_RUST", "global.workqueue.rust")
        }),
        subject: "global.workqueue.rust".into(),
        consumer: "worker-RUST".into(),
        levels: 0,
        lease: LEASE,
        first: "rust".into(),
        label: json!({}),
    };
    (lane, theirs)
}

#[tokio::test]
async fn a_plain_lane_shares_a_durable_with_another_program() {
    let place = Place::new().await;
    let (lane, theirs) = foreign(&place, Duration::from_secs(300)).await;
    for id in ["one", "two", "three"] {
        place.add(&lane, 0, id).await;
    }
    let claim = place.claim(&lane, "me").await.unwrap();
    assert_eq!((claim.id.as_str(), claim.level), ("one", 0));
    let now = time::OffsetDateTime::now_utc();
    let until = &claim.until;
    let until =
        time::OffsetDateTime::parse(until, &time::format_description::well_known::Rfc3339).unwrap();
    let lease = (until - now).whole_seconds();
    assert!(
        (290..=300).contains(&lease),
        "the durable's own time counts: {lease}"
    );
    let message = theirs
        .fetch()
        .max_messages(1)
        .messages()
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&message.payload[..], br#"{"id":"two"}"#);
    message.ack().await.unwrap();
    assert_eq!(place.claim(&lane, "me").await.unwrap().id, "three");
    place.queue.complete(&claim.token).await.unwrap();
    let seen = place
        .queue
        .peek(std::slice::from_ref(&lane), 9)
        .await
        .unwrap();
    assert_eq!(
        (seen.items.len(), seen.items[0].state),
        (1, ItemState::Claimed)
    );
}

#[tokio::test]
async fn a_durable_that_delivers_no_more_does_not_bury_an_item_alive() {
    let place = Place::new().await;
    let (lane, _) = foreign(&place, Duration::from_secs(1)).await;
    place.add(&lane, 0, "one").await;
    // Deliveries that nobody made anything of.
    let other = other_program(&place.server).await;
    let stream = other.get_stream("WORKQUEUE_RUST").await.unwrap();
    let theirs: consumer::PullConsumer = stream.get_consumer("worker-RUST").await.unwrap();
    let claim = place.claim(&lane, "w1").await.unwrap();
    place
        .queue
        .release(&claim.token, release("no"))
        .await
        .unwrap();
    for _ in 0..2 {
        let batch = theirs
            .batch()
            .max_messages(1)
            .expires(Duration::from_secs(2));
        let message = batch
            .messages()
            .await
            .unwrap()
            .next()
            .await
            .unwrap()
            .unwrap();
        message
            .ack_with(async_nats::jetstream::AckKind::Nak(None))
            .await
            .unwrap();
    }
    let claim = claimed_soon(&place.queue, &lane, "w2").await;
    assert_eq!((claim.id.as_str(), claim.attempt), ("one", 2));
    assert!(
        place
            .queue
            .claim(std::slice::from_ref(&lane), "w3", NOW)
            .await
            .unwrap()
            .is_none()
    );
    place.queue.extend(&claim.token, None).await.unwrap();
    place.queue.complete(&claim.token).await.unwrap();
    assert_eq!(lane.stream.info().await.unwrap().unwrap().messages, 0);
}

#[tokio::test]
async fn lanes_that_cannot_work_are_refused() {
    let place = Place::new().await;
    let other = other_program(&place.server).await;
    let claim = async |lane: Lane| {
        place
            .queue
            .claim(&[lane], "me", NOW)
            .await
            .unwrap_err()
            .kind()
    };
    let good = place.lane("rust", LEASE);
    let limits = place.bus.stream(spec("LIMITS", "limits.>"));
    assert_eq!(
        claim(Lane {
            stream: limits,
            ..good.clone()
        })
        .await,
        ErrorKind::InvalidConfig
    );
    // The stream of the dead letters would hand them out as work.
    let dead = place.bus.stream(StreamSpec {
        retention: Retention::WorkQueue,
        ..spec("DEAD", "dead")
    });
    assert_eq!(
        claim(Lane {
            stream: dead,
            ..good.clone()
        })
        .await,
        ErrorKind::InvalidConfig
    );
    // It exists with another retention than declared.
    other
        .create_stream(stream::Config {
            name: "OLD".into(),
            subjects: vec!["old.>".into()],
            ..Default::default()
        })
        .await
        .unwrap();
    let old = place.bus.stream(StreamSpec {
        retention: Retention::WorkQueue,
        ..spec("OLD", "old.>")
    });
    let lane = Lane {
        stream: old,
        subject: "old.x".into(),
        levels: 0,
        ..good.clone()
    };
    assert_eq!(claim(lane).await, ErrorKind::InvalidConfig);
    for change in [
        |lane: &mut Lane| lane.first = "a.b".into(),
        |lane: &mut Lane| lane.levels = 101,
        |lane: &mut Lane| {
            lane.consumer = "a.b".into();
            lane.levels = 0;
        },
    ] {
        let mut lane = good.clone();
        change(&mut lane);
        assert_eq!(claim(lane).await, ErrorKind::InvalidConfig);
    }
    let error = place
        .queue
        .claim(&vec![good.clone(); 65], "me", NOW)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    for (level, id, kind) in [
        (0, "x", ErrorKind::InvalidConfig),
        (11, "x", ErrorKind::InvalidConfig),
        (1, "", ErrorKind::InvalidKey),
    ] {
        let error = place
            .queue
            .enqueue(&good, level, id, "", Vec::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{level} {id:?}");
    }
}
