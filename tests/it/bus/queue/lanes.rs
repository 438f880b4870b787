use super::{LEASE, NOW, Place, lane};
use jacquard::bus::{Found, ItemState, Lane, StreamSpec};

/// As the `token` filter of the language writes them.
const CAPABILITIES: [(&str, &str); 8] = [
    ("code-review", "code-review"),
    ("code_review", "code_review"),
    ("c++", "c=2B=2B"),
    ("c%%", "c=25=25"),
    ("ü", "=C3=BC"),
    ("deadletter", "deadletter"),
    ("A", "=41"),
    ("a", "a"),
];

#[tokio::test]
async fn any_capability_has_a_lane_of_its_own() {
    let place = Place::new().await;
    for (capability, token) in CAPABILITIES {
        place.add(&place.lane(token, LEASE), 3, capability).await;
    }
    let found = place.queue.lanes_found(&place.work, "work").await.unwrap();
    assert_eq!(found.len(), CAPABILITIES.len());
    for (capability, token) in CAPABILITIES {
        let lane = place.lane(token, LEASE);
        assert!(found.contains(&Found {
            tokens: vec![token.into(), "any".into()],
            level: 3,
            messages: 1
        }));
        let claim = place.claim(&lane, "me").await.unwrap();
        assert_eq!(claim.id, capability);
        assert!(place.claim(&lane, "me").await.is_none());
        let how = jacquard::bus::Release {
            dead: true,
            ..super::release("x")
        };
        place.queue.release(&claim.token, how).await.unwrap();
        assert_eq!(place.queue.discard(capability).await.unwrap(), 1);
    }
    assert!(
        place
            .queue
            .lanes_found(&place.work, "work")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn the_highest_level_of_all_lanes_comes_first_then_the_oldest() {
    let place = Place::new().await;
    let lanes: Vec<Lane> = ["a", "b", "c"]
        .iter()
        .map(|first| lane(&place.work, first, LEASE))
        .collect();
    for (index, level, id) in [
        (0, 5, "1"),
        (1, 5, "2"),
        (2, 9, "3"),
        (0, 5, "4"),
        (1, 10, "5"),
        (2, 1, "6"),
    ] {
        place.add(&lanes[index], level, id).await;
    }
    let order = ["5", "3", "1", "2", "4", "6"];
    let seen = place.queue.peek(&lanes, 100).await.unwrap();
    let ids: Vec<&str> = seen
        .items
        .iter()
        .map(|item| item.id.as_deref().unwrap())
        .collect();
    assert_eq!((ids, seen.total, seen.more), (order.to_vec(), 6, false));
    assert!(
        seen.items
            .iter()
            .all(|item| item.state == ItemState::Pending)
    );
    let seen = place.queue.peek(&lanes, 3).await.unwrap();
    assert_eq!(
        (seen.items.len(), seen.total, seen.more, seen.items[2].lane),
        (3, 6, true, 0)
    );
    for (id, index) in order.iter().zip([1, 2, 0, 1, 0, 2]) {
        let claim = place.queue.claim(&lanes, "me", NOW).await.unwrap().unwrap();
        assert_eq!((claim.id.as_str(), claim.lane), (*id, index));
        place.queue.complete(&claim.token).await.unwrap();
    }
    let depth = place.queue.depth(&lanes).await.unwrap();
    assert_eq!(depth, vec![Default::default(); 3]);
}

#[tokio::test]
async fn looking_at_what_is_not_there_makes_nothing() {
    let place = Place::new().await;
    let absent = place.bus.stream(StreamSpec {
        name: "ABSENT".into(),
        ..place.work.spec().clone()
    });
    let lanes = [lane(&absent, "rust", LEASE)];
    assert_eq!(
        place.queue.depth(&lanes).await.unwrap(),
        [Default::default()]
    );
    assert!(place.queue.peek(&lanes, 9).await.unwrap().items.is_empty());
    assert!(
        place
            .queue
            .lanes_found(&absent, "work")
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(absent.info().await.unwrap(), None);
}

/// More subjects than one answer of the server holds.
#[tokio::test]
async fn lanes_with_many_levels_are_found() {
    let place = Place::new().await;
    let lanes: Vec<Lane> = (0..12)
        .map(|index| Lane {
            levels: 100,
            ..lane(&place.work, &format!("c{index}"), LEASE)
        })
        .collect();
    let adds = lanes.iter().flat_map(|lane| {
        let place = &place;
        (1..=100).map(move |level| async move {
            place
                .add(lane, level, &format!("{}-{level}", lane.first))
                .await
        })
    });
    futures_util::future::join_all(adds).await;
    for _ in 0..3 {
        let claim = place.queue.claim(&lanes, "me", NOW).await.unwrap().unwrap();
        assert_eq!(claim.level, 100);
    }
}
