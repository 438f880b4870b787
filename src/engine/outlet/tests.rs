//! What waits for a client, what it has, and what becomes of the rest.
#![allow(clippy::unwrap_used)]
use super::super::push::Pushes;
use super::*;

const MOMENT: Duration = Duration::from_millis(50);

fn outlet(patience: Duration, drops: bool) -> Arc<Outlet> {
    let listeners = BTreeSet::from(["p.a".to_owned(), "p.b".to_owned()]);
    let outlet = Outlet::new("x", "f".into(), listeners);
    outlet.open(patience, drops);
    Arc::new(outlet)
}

fn reader(outlet: &Arc<Outlet>, seen: Option<&str>) -> Pushes {
    let reader = outlet.attach(seen.map(|seen| seen.parse().unwrap()));
    Pushes::new(Arc::clone(outlet), reader)
}

#[tokio::test]
async fn news_overtake_what_waits_and_say_nothing_of_it() {
    let outlet = outlet(PUSH_TIMEOUT, true);
    outlet.begin("p.a", 0);
    let mut pushes = reader(&outlet, None);
    four(&outlet).await;
    is(next(&mut pushes).await, "1", "f;p.a:1");
    outlet.relisted(&"g".into());
    for text in ["n", "m", "n"] {
        outlet.news(note(text));
    }
    is(next(&mut pushes).await, "n", "g;p.a:1");
    drop(pushes);
    // It was not confirmed, and is kept; the messages come again from their stream.
    assert_eq!(outlet.position("p.a"), Some(1));
    let mut pushes = reader(&outlet, None);
    is(next(&mut pushes).await, "m", "g;p.a:1");
    is(next(&mut pushes).await, "n", "g;p.a:1");
    assert_eq!(next(&mut pushes).await, None);
}

#[tokio::test]
async fn news_that_nobody_takes_are_bounded() {
    let outlet = outlet(PUSH_TIMEOUT, true);
    for index in 0..=NEWS {
        outlet.news(note(&index.to_string()));
    }
    let mut pushes = reader(&outlet, None);
    is(next(&mut pushes).await, "1", "f;");
}

fn note(text: &str) -> Note {
    Note {
        method: text.to_owned(),
        params: None,
    }
}

/// Two messages with one note each, one without, one with two.
async fn four(outlet: &Arc<Outlet>) {
    let reader = *outlet.readers().borrow();
    for (seq, notes) in [
        (1, vec!["1"]),
        (2, vec!["2"]),
        (3, vec![]),
        (4, vec!["4a", "4b"]),
    ] {
        let notes = notes.into_iter().map(note).collect();
        let sent = outlet.replayed(reader, "p.a", Some(seq), notes).await;
        assert_eq!(sent, Ok(()));
    }
}

async fn next(pushes: &mut Pushes) -> Option<(String, String)> {
    let push = timeout_at(Instant::now() + MOMENT, pushes.next()).await;
    let push = push.ok()?.unwrap();
    Some((push.method, push.seen.to_string()))
}

fn is(got: Option<(String, String)>, method: &str, seen: &str) {
    assert_eq!(got, Some((method.to_owned(), seen.to_owned())));
}

#[tokio::test]
async fn only_what_was_asked_past_is_confirmed() {
    let outlet = outlet(PUSH_TIMEOUT, true);
    outlet.begin("p.a", 0);
    outlet.begin("nobody", 7);
    let mut pushes = reader(&outlet, None);
    four(&outlet).await;
    is(next(&mut pushes).await, "1", "f;p.a:1");
    is(next(&mut pushes).await, "2", "f;p.a:2");
    assert_eq!(outlet.seen().to_string(), "f;p.a:1");
    drop(pushes);
    // The second was not confirmed, and comes again.
    assert_eq!(outlet.position("p.a"), Some(1));
    let mut pushes = reader(&outlet, Some("f;p.a:0,p.c:9"));
    assert_eq!(outlet.position("p.a"), Some(0));
    assert_eq!(outlet.position("p.c"), None);
    four(&outlet).await;
    for (method, seen) in [("1", 1), ("2", 2), ("4a", 3), ("4b", 4)] {
        is(next(&mut pushes).await, method, &format!("f;p.a:{seen}"));
    }
    assert_eq!(next(&mut pushes).await, None);
    // Nothing is left over: what was passed over counts too.
    let now = *outlet.readers().borrow();
    outlet.replayed(now, "p.a", Some(9), vec![]).await.unwrap();
    assert_eq!(outlet.seen().to_string(), "f;p.a:9");
    drop(pushes);
    assert_eq!(outlet.position("p.a"), Some(9));
}

#[tokio::test]
async fn half_of_a_message_comes_again_as_a_whole() {
    let outlet = outlet(PUSH_TIMEOUT, true);
    let mut pushes = reader(&outlet, None);
    four(&outlet).await;
    outlet.begin("p.b", 3);
    for _ in 0..3 {
        next(&mut pushes).await.unwrap();
    }
    assert_eq!(outlet.seen().to_string(), "f;p.a:2,p.b:3");
    // The client says that it has `4a`.
    let pushes = reader(&outlet, Some("f;p.a:3"));
    assert_eq!(outlet.position("p.a"), Some(3));
    drop(pushes);
}

#[tokio::test]
async fn a_new_reader_ends_the_one_before() {
    let outlet = outlet(PUSH_TIMEOUT, true);
    let mut first = reader(&outlet, None);
    let old = *outlet.readers().borrow();
    let waits = tokio::spawn(async move { (first.next().await, first) });
    tokio::task::yield_now().await;
    let mut second = reader(&outlet, None);
    let (ended, first) = waits.await.unwrap();
    assert_eq!(ended, None);
    // The first one's going does not touch the second.
    drop(first);
    let stale = outlet.replayed(old, "p.a", Some(1), vec![note("1")]).await;
    assert_eq!(stale, Err(Gone));
    four(&outlet).await;
    is(next(&mut second).await, "1", "f;p.a:1");
    outlet.close();
    assert_eq!(second.next().await, None);
    assert_eq!(*outlet.readers().borrow(), 0);
}

#[tokio::test]
async fn what_no_stream_can_give_again_is_kept_and_the_oldest_gives_way() {
    let outlet = outlet(PUSH_TIMEOUT, true);
    for n in 0..WAITING + 6 {
        let read = outlet.kept(note(&n.to_string()), Pressure::GivesWay).await;
        assert!(!read);
    }
    outlet.begin("p.a", 5);
    let mut pushes = reader(&outlet, None);
    is(next(&mut pushes).await, "6", "f;p.a:5");
    is(next(&mut pushes).await, "7", "f;p.a:5");
    drop(pushes);
    let mut pushes = reader(&outlet, Some("f;p.a:6"));
    for n in 7..WAITING + 6 {
        is(next(&mut pushes).await, &n.to_string(), "f;p.a:6");
    }
    assert_eq!(next(&mut pushes).await, None);
    assert!(outlet.kept(note("x"), Pressure::GivesWay).await);
    is(next(&mut pushes).await, "x", "f;p.a:6");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_dropped_and_loses_nothing() {
    let outlet = outlet(MOMENT, true);
    let mut pushes = reader(&outlet, None);
    let now = *outlet.readers().borrow();
    for seq in 1..=WAITING as u64 {
        let notes = vec![note("x")];
        outlet.replayed(now, "p.a", Some(seq), notes).await.unwrap();
    }
    let late = outlet.replayed(now, "p.a", Some(100), vec![note("x")]);
    assert_eq!(late.await, Err(Gone));
    assert_eq!(pushes.next().await, None);
    assert_eq!(outlet.position("p.a"), None);
}

#[tokio::test]
async fn a_slow_reader_that_stays_gets_everything_that_can_wait() {
    let outlet = outlet(MOMENT, false);
    let mut pushes = reader(&outlet, None);
    let writer = Arc::clone(&outlet);
    let writes = tokio::spawn(async move {
        for n in 0..200 {
            writer.kept(note(&n.to_string()), Pressure::Waits).await;
        }
    });
    tokio::time::sleep(MOMENT * 3).await;
    assert!(!writes.is_finished());
    for n in 0..200 {
        is(next(&mut pushes).await, &n.to_string(), "f;");
    }
    writes.await.unwrap();
    for n in 0..WAITING + 1 {
        outlet.kept(note(&n.to_string()), Pressure::GivesWay).await;
    }
    // Nobody took one in time: the oldest is gone, and the reader is not.
    is(next(&mut pushes).await, "1", "f;");
}
