use super::{LEASE, Place, SHORT, all_dead, claimed_soon, dead, queue_on, release};
use crate::bus::{bus, other_program};
use crate::support::logs;
use jacquard::bus::{DeadQuery, ErrorKind, Outgoing};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_worker_that_dies_in_the_last_attempt_leaves_a_dead_letter() {
    let place = Place::new().await;
    let lane = place.lane("rust", SHORT);
    place.add(&lane, 1, "one").await;
    for attempt in 1..=3 {
        assert_eq!(
            claimed_soon(&place.queue, &lane, "mortal").await.attempt,
            attempt
        );
        // Too early: somebody holds it.
        assert_eq!(place.queue.sweep().await.unwrap(), Default::default());
    }
    tokio::time::sleep(SHORT + Duration::from_millis(50)).await;
    let other = queue_on(&bus(&place.server).await);
    let (a, b) = tokio::join!(place.queue.sweep(), other.sweep());
    assert_eq!(a.unwrap().buried + b.unwrap().buried, 1);
    let letters = place.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["attempts"], 3);
    let errors = letters[0]["errors"].as_array().unwrap();
    assert!(
        errors[2]
            .as_str()
            .unwrap()
            .starts_with("attempt 3: the lease of mortal ran out"),
        "{errors:?}"
    );
    assert_eq!(place.messages().await, 0);
}

#[tokio::test]
async fn what_is_no_item_or_too_late_is_buried_on_the_way() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    let long = "x".repeat(500);
    for body in [
        "not json".to_owned(),
        String::new(),
        "{}".to_owned(),
        json!({"id": ""}).to_string(),
        json!({ "id": long }).to_string(),
        json!({"id": "late", "deadline": "2020-01-01T00:00:00Z"}).to_string(),
        json!({"id": "good", "deadline": "when you like"}).to_string(),
    ] {
        place
            .work
            .publish(Outgoing::new("work.rust.any.p4", body), None)
            .await
            .unwrap();
    }
    // An own level of a foreign program is nothing to claim.
    place
        .work
        .publish(Outgoing::new("work.rust.any.urgent", "{}"), None)
        .await
        .unwrap();
    assert_eq!(place.claim(&lane, "me").await.unwrap().id, "good");
    let letters = place.letters().await;
    let told: Vec<_> = letters
        .iter()
        .map(|l| (l["id"].as_str().unwrap(), l["reason"].as_str().unwrap()))
        .collect();
    let bad = "not a work item";
    assert_eq!(
        told,
        [
            ("message-1", bad),
            ("message-2", bad),
            ("message-3", bad),
            ("message-4", bad),
            ("message-5", bad),
            ("late", "the deadline 2020-01-01T00:00:00Z has passed"),
        ]
    );
    assert_eq!(letters[0]["workItem"], "not json");
    assert_eq!(place.messages().await, 2);
}

#[tokio::test]
async fn dead_letters_are_listed_discarded_and_revived() {
    let place = Place::new().await;
    let (rust, go) = (place.lane("rust", LEASE), place.lane("go", LEASE));
    for (lane, id) in [(&rust, "A b"), (&go, "two"), (&rust, "three")] {
        place.add(lane, 2, id).await;
        let claim = place.claim(lane, "me").await.unwrap();
        let how = dead("broken");
        assert!(place.queue.release(&claim.token, how).await.unwrap().dead);
    }
    let letters = all_dead(&place.queue).await;
    let told: Vec<_> = letters
        .iter()
        .map(|l| (l.first.as_deref().unwrap(), l.id.as_deref().unwrap()))
        .collect();
    assert_eq!(told, [("rust", "A b"), ("go", "two"), ("rust", "three")]);
    let query = DeadQuery {
        first: Some("rust".into()),
        limit: 1,
        ..DeadQuery::default()
    };
    let page = place.queue.dead(&query, &mut |_| true).await.unwrap();
    assert_eq!((page.letters.len(), page.total), (1, 2));
    let query = DeadQuery {
        after: page.next.unwrap(),
        ..query
    };
    let page = place.queue.dead(&query, &mut |_| true).await.unwrap();
    assert_eq!(
        (page.letters[0].id.as_deref(), page.next),
        (Some("three"), None)
    );

    assert_eq!(place.queue.discard("two").await.unwrap(), 1);
    assert_eq!(
        place.queue.discard("two").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        place.queue.discard("none").await.unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let body = json!({"id": "A b", "attempts": 3}).to_string();
    let seq = letters[0].message.seq;
    for (lane, id, seq) in [(&go, "A b", seq), (&rust, "three", seq), (&rust, "A b", 99)] {
        let error = place
            .queue
            .revive(lane, id, seq, 9, body.clone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    let other = queue_on(&bus(&place.server).await);
    let (a, b) = tokio::join!(
        place.queue.revive(&rust, "A b", seq, 9, body.clone()),
        other.revive(&rust, "A b", seq, 9, body.clone())
    );
    let lost = match (a, b) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error.kind(),
        both => panic!("{both:?}"),
    };
    assert_eq!(lost, ErrorKind::NotFound);
    assert_eq!(place.messages().await, 1);
    assert_eq!(place.letters().await.len(), 1);
    // Three attempts were made; it gets one more.
    let claim = place.claim(&rust, "me").await.unwrap();
    assert_eq!((claim.level, claim.attempt, claim.attempts), (9, 4, 4));
    assert!(
        place
            .queue
            .release(&claim.token, release("again"))
            .await
            .unwrap()
            .dead
    );
    let letters = all_dead(&place.queue).await;
    assert_eq!(letters.len(), 2);
    // The same item dies and comes back as often as one likes.
    let seq = letters[1].message.seq;
    place
        .queue
        .revive(&rust, "A b", seq, 1, json!({"id": "A b"}).to_string())
        .await
        .unwrap();
    assert_eq!(place.claim(&rust, "me").await.unwrap().attempt, 1);
    assert_eq!(place.letters().await.len(), 1);
}

/// However far the first has come when the second begins.
#[tokio::test]
async fn of_two_revivals_one_wins() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    let other = queue_on(&bus(&place.server).await);
    for round in 0..20 {
        let id = format!("i{round}");
        place.add(&lane, 1, &id).await;
        let claim = place.claim(&lane, "me").await.unwrap();
        place.queue.release(&claim.token, dead("x")).await.unwrap();
        let seq = all_dead(&place.queue).await[0].message.seq;
        let body = json!({ "id": id }).to_string();
        let (a, b) = tokio::join!(
            place.queue.revive(&lane, &id, seq, 1, body.clone()),
            async {
                tokio::time::sleep(Duration::from_micros(250 * round)).await;
                other.revive(&lane, &id, seq, 1, body.clone()).await
            }
        );
        match (a, b) {
            (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{round}");
            }
            both => panic!("{round}: {both:?}"),
        }
        let claim = place.claim(&lane, "me").await.unwrap();
        place.queue.complete(&claim.token).await.unwrap();
        assert_eq!(place.messages().await, 0);
    }
}

#[tokio::test]
async fn an_item_in_the_queue_keeps_its_dead_namesake_where_it_is() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    place.queue.release(&claim.token, dead("x")).await.unwrap();
    place
        .work
        .publish(
            Outgoing::new("work.rust.any.p1", json!({"id": "one"}).to_string()),
            None,
        )
        .await
        .unwrap();
    let claim = place.claim(&lane, "me").await.unwrap();
    let seq = all_dead(&place.queue).await[0].message.seq;
    let error = place
        .queue
        .revive(&lane, "one", seq, 1, "{}")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    place.queue.complete(&claim.token).await.unwrap();
    place
        .queue
        .revive(&lane, "one", seq, 1, json!({"id": "one"}).to_string())
        .await
        .unwrap();
}

/// The stream of dead letters was made by another program, with the plain subject only.
#[tokio::test]
async fn a_foreign_stream_of_dead_letters_is_used() {
    let place = Place::new().await;
    let other = other_program(&place.server).await;
    let config = async_nats::jetstream::stream::Config {
        name: "DEAD".into(),
        subjects: vec!["dead".into()],
        ..Default::default()
    };
    other.create_stream(config).await.unwrap();
    let foreign = json!({"id": "theirs", "workItem": {}}).to_string();
    other
        .publish("dead", foreign.into())
        .await
        .unwrap()
        .await
        .unwrap();
    other
        .publish("dead", "nonsense".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 2, "ours").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    place.queue.release(&claim.token, dead("x")).await.unwrap();
    let error = place.queue.complete(&claim.token).await.unwrap_err();
    assert!(error.to_string().contains("dead letter"), "{error}");
    let letters = all_dead(&place.queue).await;
    let told: Vec<_> = letters
        .iter()
        .map(|l| (l.first.as_deref(), l.id.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (None, Some("theirs")),
            (None, None),
            (Some("rust"), Some("ours"))
        ]
    );
    assert!(
        letters
            .iter()
            .all(|letter| letter.message.subject == "dead")
    );
    place
        .queue
        .revive(&lane, "theirs", 1, 1, json!({"id": "theirs"}).to_string())
        .await
        .unwrap();
    assert_eq!(place.claim(&lane, "me").await.unwrap().id, "theirs");
    assert_eq!(place.queue.discard("ours").await.unwrap(), 1);
    assert_eq!(all_dead(&place.queue).await.len(), 1);
}

#[tokio::test]
async fn an_item_leaves_room_for_its_dead_letter() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    let max = place.bus.server().unwrap().max_payload;
    let most = max - max / 16;
    let item = |id: &str, size: usize| {
        let empty = json!({ "id": id, "text": "" }).to_string().len();
        json!({ "id": id, "text": "x".repeat(size - empty) }).to_string()
    };
    let enqueue = async |id: &str, size| {
        let (body, headers) = (item(id, size), Vec::new());
        place.queue.enqueue(&lane, 1, id, body, headers).await
    };
    let error = enqueue("big", most + 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let text = error.to_string();
    for number in [most + 1, most, max] {
        assert!(text.contains(&number.to_string()), "{text}");
    }
    assert_eq!(place.work.info().await.unwrap(), None);
    enqueue("good", most).await.unwrap();
    for attempt in 1..=3 {
        let claim = claimed_soon(&place.queue, &lane, "me").await;
        let how = release(&"y".repeat(2000));
        let released = place.queue.release(&claim.token, how).await.unwrap();
        assert_eq!(released.dead, attempt == 3);
    }
    let letters = place.letters().await;
    assert_eq!(letters[0]["errors"].as_array().unwrap().len(), 3);
    assert_eq!(letters[0]["workItem"], item("good", most));
}

/// Another program may fill a message to the last byte.
#[tokio::test]
async fn an_item_whose_dead_letter_is_too_large_stops_nobody_else() {
    logs::capture();
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    let max = place.bus.server().unwrap().max_payload;
    let late = "2020-01-01T00:00:00Z";
    let mut body = json!({ "id": "huge-item", "deadline": late, "text": "" }).to_string();
    let fill = "x".repeat(max - body.len());
    body.insert_str(body.len() - 2, &fill);
    let huge = Outgoing::new("work.rust.any.p9", body);
    place.work.publish(huge, None).await.unwrap();
    place.add(&lane, 9, "two").await;
    place.add(&lane, 1, "three").await;
    for id in ["two", "three"] {
        let claim = place.claim(&lane, "me").await.unwrap();
        assert_eq!(claim.id, id);
        place.queue.complete(&claim.token).await.unwrap();
    }
    // It stays, and nobody is told that it is work.
    assert!(place.claim(&lane, "me").await.is_none());
    assert_eq!(
        (place.messages().await, place.letters().await.len()),
        (1, 0)
    );
    let log = logs::text();
    let told = log
        .lines()
        .find(|line| line.contains("left alone") && line.contains("rust.huge-item"));
    let told = told.expect("the log says so");
    assert!(
        told.contains("WARN") && told.contains("max_payload"),
        "{told}"
    );
}
