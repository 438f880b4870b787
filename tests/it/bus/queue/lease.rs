use super::{LEASE, NOW, Place, SHORT, claimed_soon, queue_on, release, until};
use crate::bus::bus;
use jacquard::bus::{ErrorKind, ItemState, Release};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_item_is_claimed_extended_and_completed() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    assert!(place.claim(&lane, "me").await.is_none());
    let seq = place.add(&lane, 5, "one").await;
    let again = place
        .queue
        .enqueue(&lane, 5, "one", "x", Vec::new())
        .await
        .unwrap();
    assert_eq!((again.seq, again.duplicate), (seq, true));
    let claim = place.claim(&lane, "me").await.unwrap();
    assert!(claim.token.starts_with("rust.one."), "{}", claim.token);
    assert_eq!(
        (
            claim.id.as_str(),
            claim.level,
            claim.attempt,
            claim.attempts
        ),
        ("one", 5, 1, 3)
    );
    assert_eq!(claim.message.seq, seq);
    assert!(place.claim(&lane, "you").await.is_none(), "it is held");

    // Any gateway takes the token.
    let other = queue_on(&bus(&place.server).await);
    let extended = other
        .extend(&claim.token, Some(json!("half")))
        .await
        .unwrap();
    assert!(
        extended.until > claim.until && extended.note == Some(json!("half")),
        "{extended:?}"
    );
    assert_eq!(
        other.extend(&claim.token, None).await.unwrap().note,
        Some(json!("half"))
    );
    let seen = place
        .queue
        .peek(std::slice::from_ref(&lane), 10)
        .await
        .unwrap();
    let item = &seen.items[0];
    assert_eq!(
        (item.state, item.holder.as_deref(), item.attempt),
        (ItemState::Claimed, Some("me"), 1)
    );
    assert_eq!(
        (seen.total, seen.more, item.note.clone()),
        (1, false, Some(json!("half")))
    );
    let depth = place
        .queue
        .depth(std::slice::from_ref(&lane))
        .await
        .unwrap();
    assert_eq!(
        (depth[0].pending, depth[0].claimed, depth[0].messages),
        (0, 1, 1)
    );

    let done = other.complete(&claim.token).await.unwrap();
    assert_eq!(
        (done.id.as_str(), done.attempt, done.duplicate),
        ("one", 1, false)
    );
    assert!(place.queue.complete(&claim.token).await.unwrap().duplicate);
    assert_eq!(place.messages().await, 0);
    let error = place.queue.extend(&claim.token, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
    let error = place
        .queue
        .release(&claim.token, release("late"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn unknown_tokens_are_not_found() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    place.claim(&lane, "me").await.unwrap();
    for token in [
        "",
        "x",
        "rust.one",
        "rust.one.0000",
        "rust.two.0000",
        "a.b.c.d",
        "rust.*.0",
        "é.b.c",
    ] {
        let error = place.queue.complete(token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{token:?}: {error}");
    }
}

#[tokio::test]
async fn an_expired_lease_ends_the_claim_and_the_item_comes_back() {
    let place = Place::new().await;
    let lane = place.lane("rust", SHORT);
    place.add(&lane, 1, "one").await;
    let first = place.claim(&lane, "dead worker").await.unwrap();
    tokio::time::sleep(SHORT + Duration::from_millis(20)).await;
    let error = place.queue.complete(&first.token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
    assert!(error.to_string().contains("waits in the queue"), "{error}");
    let second = claimed_soon(&place.queue, &lane, "second").await;
    assert_eq!(second.attempt, 2);
    assert!(
        second.errors[0].contains("attempt 1: the lease of dead worker ran out"),
        "{:?}",
        second.errors
    );
    for error in [
        place.queue.complete(&first.token).await.unwrap_err(),
        place.queue.extend(&first.token, None).await.unwrap_err(),
        place
            .queue
            .release(&first.token, release("x"))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::LeaseLost);
        assert!(error.to_string().contains("second has it now"), "{error}");
    }
    place.queue.complete(&second.token).await.unwrap();
    assert_eq!(place.messages().await, 0);
}

#[tokio::test]
async fn an_extended_lease_is_not_given_to_others() {
    let place = Place::new().await;
    let lane = place.lane("rust", SHORT);
    place.add(&lane, 1, "one").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    let start = Instant::now();
    while start.elapsed() < SHORT * 3 {
        place.queue.extend(&claim.token, None).await.unwrap();
        assert!(place.claim(&lane, "you").await.is_none());
        tokio::time::sleep(SHORT / 4).await;
    }
    place.queue.complete(&claim.token).await.unwrap();
}

#[tokio::test]
async fn a_released_item_goes_to_the_next_and_keeps_the_reasons() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    for attempt in 1..=3 {
        let claim = claimed_soon(&place.queue, &lane, &format!("w{attempt}")).await;
        assert_eq!(
            (claim.attempt, claim.errors.len()),
            (attempt, attempt as usize - 1)
        );
        let released = place
            .queue
            .release(&claim.token, release(&format!("no {attempt}")))
            .await
            .unwrap();
        assert_eq!(
            (released.dead, released.attempt, released.attempts),
            (attempt == 3, attempt, 3)
        );
        let error = place.queue.complete(&claim.token).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LeaseLost);
        assert_eq!(
            error.to_string().contains("dead letter"),
            attempt == 3,
            "{error}"
        );
    }
    let letters = place.letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["reason"], "no 3");
    assert_eq!(letters[0]["attempts"], 3);
    assert_eq!(
        letters[0]["errors"],
        json!([
            "attempt 1 by w1: no 1",
            "attempt 2 by w2: no 2",
            "attempt 3 by w3: no 3"
        ])
    );
    assert_eq!(place.messages().await, 0);
}

#[tokio::test]
async fn a_delay_is_kept() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    let delay = Duration::from_millis(1500);
    let how = Release {
        delay,
        ..release("not now")
    };
    let start = Instant::now();
    place.queue.release(&claim.token, how).await.unwrap();
    assert!(place.claim(&lane, "me").await.is_none());
    claimed_soon(&place.queue, &lane, "me").await;
    assert!(
        start.elapsed() >= delay - Duration::from_millis(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn an_idle_worker_hears_of_work_at_once() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    let waiting = tokio::spawn({
        let (queue, lane) = (place.queue.clone(), lane.clone());
        async move { claimed_soon(&queue, &lane, "me").await }
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    let start = Instant::now();
    place.add(&lane, 3, "one").await;
    assert_eq!(waiting.await.unwrap().id, "one");
    println!(
        "from enqueue to claim of an idle worker: {:?}",
        start.elapsed()
    );
    assert!(start.elapsed() < Duration::from_secs(2));
    let start = Instant::now();
    let lanes = std::slice::from_ref(&lane);
    assert!(
        place
            .queue
            .claim(lanes, "me", Duration::from_millis(300))
            .await
            .unwrap()
            .is_none()
    );
    assert!(start.elapsed() >= Duration::from_millis(300));
}

/// A caller that goes away in the middle of a claim takes nothing with it.
#[tokio::test]
async fn a_claim_that_nobody_waits_for_is_put_back() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    for micros in (0..4000).step_by(200) {
        let claim = place.queue.claim(std::slice::from_ref(&lane), "gone", NOW);
        let found = tokio::time::timeout(Duration::from_micros(micros), claim).await;
        if let Ok(Ok(Some(claim))) = found {
            place
                .queue
                .release(&claim.token, Release { ..release("x") })
                .await
                .unwrap();
            break;
        }
    }
    let queue = &place.queue;
    until("the item is there again", || async {
        queue.depth(std::slice::from_ref(&lane)).await.unwrap()[0].claimed == 0
    })
    .await;
    let claim = claimed_soon(queue, &lane, "me").await;
    assert!(claim.attempt <= 2, "{}", claim.attempt);
}
