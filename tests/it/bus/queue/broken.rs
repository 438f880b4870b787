//! Processes that end between two steps, and things that vanish. The records that they leave are written by hand.

use super::{
    LEASE, NOW, Place, SHORT, all_dead, claimed_soon, dead, lane, queue_on, until, work_stream,
};
use crate::bus::{other_program, vanish};
use crate::support::server::NatsServer;
use jacquard::bus::{ErrorKind, Outgoing};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KEY: &str = "rust.one";

/// The lease record of [`KEY`].
async fn record(place: &Place) -> (Value, u64) {
    let entry = place.queue.spec().leases.get(KEY).await.unwrap().unwrap();
    (
        serde_json::from_slice(&entry.value).unwrap(),
        entry.revision,
    )
}

async fn write(place: &Place, record: &Value, revision: u64) {
    place
        .queue
        .spec()
        .leases
        .update(KEY, record.to_string(), revision)
        .await
        .unwrap();
}

/// Waits until others may go on with what was interrupted.
async fn sweeps(place: &Place) {
    assert_eq!(
        place.queue.sweep().await.unwrap(),
        Default::default(),
        "too early"
    );
    until("a sweep that finishes it", || async {
        let swept = place.queue.sweep().await.unwrap();
        assert_eq!(swept.failed, 0);
        swept.finished == 1
    })
    .await;
}

/// A record of an item that is claimed, changed to `state`.
async fn interrupted(state: &str) -> Place {
    let place = Place::new().await;
    let lane = place.lane("rust", SHORT);
    place.add(&lane, 1, "one").await;
    place.claim(&lane, "me").await.unwrap();
    let (mut value, revision) = record(&place).await;
    value["state"] = json!(state);
    value["reason"] = json!("it is hopeless");
    write(&place, &value, revision).await;
    place
}

/// Each of them waits until others may go on; so they wait together.
#[tokio::test]
async fn what_was_interrupted_is_finished_by_a_sweep() {
    tokio::join!(
        a_burial_that_has_only_begun(),
        a_burial_whose_letter_is_written(),
        a_completed_item_whose_message_stayed(),
        a_revival_whose_message_is_written(),
        a_revival_that_has_only_begun(),
    );
}

async fn a_burial_that_has_only_begun() {
    let place = interrupted("burying").await;
    sweeps(&place).await;
    let letters = place.letters().await;
    assert_eq!(
        (letters.len(), &letters[0]["reason"]),
        (1, &json!("it is hopeless"))
    );
    assert_eq!(place.messages().await, 0);
}

#[tokio::test]
async fn a_burial_that_has_only_begun_is_finished_by_a_claim() {
    let place = interrupted("burying").await;
    let lane = place.lane("rust", SHORT);
    place.add(&lane, 1, "two").await;
    // The delivery of the first one comes back when its time is over.
    tokio::time::sleep(SHORT + Duration::from_millis(200)).await;
    assert_eq!(claimed_soon(&place.queue, &lane, "me").await.id, "two");
    until("the burial", || async {
        place.letters().await.len() == 1 && place.messages().await == 1
    })
    .await;
}

async fn a_burial_whose_letter_is_written() {
    let place = interrupted("burying").await;
    let (value, _) = record(&place).await;
    let number = |name: &str| value[name].as_u64().unwrap();
    let mut letter = Outgoing::new("dead.rust.one", "{\"id\":\"one\"}");
    let origin = format!("WORK:{}:{}", number("seq"), number("time"));
    letter.headers = vec![
        ("Jacquard-Origin".into(), origin),
        ("Jacquard-Item".into(), KEY.into()),
    ];
    place.dead.publish(letter, None).await.unwrap();
    sweeps(&place).await;
    assert_eq!(
        (place.letters().await.len(), place.messages().await),
        (1, 0)
    );
}

#[tokio::test]
async fn a_completed_item_whose_message_stayed_is_not_done_again() {
    let place = interrupted("done").await;
    let lane = place.lane("rust", SHORT);
    until("the message goes with its next delivery", || async {
        assert!(place.claim(&lane, "other").await.is_none());
        place.messages().await == 0
    })
    .await;
}

async fn a_completed_item_whose_message_stayed() {
    let place = interrupted("done").await;
    sweeps(&place).await;
    assert_eq!(place.messages().await, 0);
    let (value, _) = record(&place).await;
    assert_eq!(value["gone"], true);
}

/// A dead letter, and a record that says that it is being put back.
async fn reviving(published: bool) -> (Place, u64) {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    place.queue.release(&claim.token, dead("x")).await.unwrap();
    let letter = all_dead(&place.queue).await.remove(0).message;
    let time = time_of(&letter.time);
    let (old, revision) = record(&place).await;
    let value = json!({
        "v": 1, "queue": "work", "state": "reviving", "id": "one", "first": "rust", "stream": "DEAD",
        "seq": letter.seq, "time": time, "subject": "work.rust.any.p2", "target": "WORK", "after": old["seq"],
        "until": letter.time,
    });
    write(&place, &value, revision).await;
    if published {
        let id = format!("one-revived-{}-{time}", letter.seq);
        let message = Outgoing::new("work.rust.any.p2", json!({"id": "one"}).to_string());
        place.work.publish(message, Some(&id)).await.unwrap();
    }
    (place, letter.seq)
}

fn time_of(text: &str) -> u64 {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    OffsetDateTime::parse(text, &Rfc3339)
        .unwrap()
        .unix_timestamp_nanos() as u64
}

#[tokio::test]
async fn an_interrupted_revival_is_finished_by_whoever_claims_the_item() {
    let (place, _) = reviving(true).await;
    let claim = place.claim(&place.lane("rust", LEASE), "me").await.unwrap();
    assert_eq!(
        (claim.id.as_str(), claim.level, claim.attempt),
        ("one", 2, 1)
    );
    assert_eq!(place.letters().await.len(), 0);
    place.queue.complete(&claim.token).await.unwrap();
    assert_eq!(place.messages().await, 0);
}

async fn a_revival_whose_message_is_written() {
    let (place, _) = reviving(true).await;
    sweeps(&place).await;
    assert_eq!(
        (place.letters().await.len(), place.messages().await),
        (0, 1)
    );
}

/// It is undone.
async fn a_revival_that_has_only_begun() {
    let (place, seq) = reviving(false).await;
    let lane = place.lane("rust", LEASE);
    sweeps(&place).await;
    assert_eq!(
        (place.letters().await.len(), place.messages().await),
        (1, 0)
    );
    place
        .queue
        .revive(&lane, "one", seq, 1, json!({"id": "one"}).to_string())
        .await
        .unwrap();
    assert_eq!(
        (place.letters().await.len(), place.messages().await),
        (0, 1)
    );
}

#[tokio::test]
async fn a_record_of_a_later_version_stops_nobody_else() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place
        .queue
        .spec()
        .leases
        .put(KEY, r#"{"v": 2, "state": "asleep"}"#)
        .await
        .unwrap();
    place.add(&lane, 9, "one").await;
    place.add(&lane, 1, "two").await;
    assert_eq!(place.claim(&lane, "me").await.unwrap().id, "two");
    assert_eq!(place.queue.sweep().await.unwrap(), Default::default());
    assert_eq!(place.messages().await, 2);
}

#[tokio::test]
async fn what_is_no_record_holds_nothing() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    let odd = ["nonsense", "", "5", "{}", r#"{"v": 1}"#, r#"{"v": "x"}"#];
    for (number, odd) in odd.into_iter().enumerate() {
        let id = format!("odd{number}");
        let leases = &place.queue.spec().leases;
        leases.put(&format!("rust.{id}"), odd).await.unwrap();
        place.add(&lane, 9, &id).await;
        let claim = place.claim(&lane, "me").await.unwrap();
        assert_eq!((&claim.id, claim.attempt), (&id, 1), "{odd}");
        place.queue.complete(&claim.token).await.unwrap();
    }
}

#[tokio::test]
async fn a_consumer_that_was_made_anew_gives_nothing_away() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    place.add(&lane, 1, "two").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    let other = other_program(&place.server).await;
    other
        .get_stream("WORK")
        .await
        .unwrap()
        .delete_consumer("rust~any~p1")
        .await
        .unwrap();
    assert_eq!(place.claim(&lane, "you").await.unwrap().id, "two");
    assert!(place.claim(&lane, "you").await.is_none());
    place.queue.extend(&claim.token, None).await.unwrap();
    // Its delivery is unknown to the consumer now; it leaves the queue all the same.
    other
        .get_stream("WORK")
        .await
        .unwrap()
        .delete_consumer("rust~any~p1")
        .await
        .unwrap();
    place.queue.complete(&claim.token).await.unwrap();
    assert_eq!(place.messages().await, 1);
}

#[tokio::test]
async fn a_stream_that_was_made_anew_keeps_its_new_items() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    let other = other_program(&place.server).await;
    vanish(&other, "WORK").await;
    assert!(place.claim(&lane, "you").await.is_none());
    // The same number as the item before, and the same id.
    assert_eq!(place.add(&lane, 1, "one").await, 1);
    let again = place.claim(&lane, "you").await.unwrap();
    assert_eq!((again.id.as_str(), again.attempt), ("one", 1));
    assert_eq!(
        place.queue.complete(&claim.token).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(place.messages().await, 1);
    place.queue.complete(&again.token).await.unwrap();
    assert_eq!(place.messages().await, 0);

    // A claim on a message that is no more completes, and takes nothing else with it.
    place.add(&lane, 1, "two").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    vanish(&other, "WORK").await;
    for id in ["three", "four", "five"] {
        place.add(&lane, 1, id).await;
    }
    place.queue.complete(&claim.token).await.unwrap();
    assert_eq!(place.messages().await, 3);
}

#[tokio::test]
async fn without_its_record_an_item_is_claimed_anew() {
    let place = Place::new().await;
    let lane = place.lane("rust", SHORT);
    place.add(&lane, 1, "one").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    let other = other_program(&place.server).await;
    vanish(&other, "KV_leases").await;
    assert_eq!(
        place.queue.complete(&claim.token).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let claim = claimed_soon(&place.queue, &lane, "you").await;
    assert_eq!(claim.attempt, 1);
    place.queue.complete(&claim.token).await.unwrap();
}

#[tokio::test]
async fn claims_go_on_after_the_server_came_back() {
    let mut place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    place.add(&lane, 2, "two").await;
    let claim = place.claim(&lane, "me").await.unwrap();
    place.server.kill();
    until("the loss is noticed", || async {
        !place.bus.state().is_connected()
    })
    .await;
    assert_eq!(
        place.queue.complete(&claim.token).await.unwrap_err().kind(),
        ErrorKind::Disconnected
    );
    place.server.restart();
    place
        .bus
        .wait_connected(Duration::from_secs(10))
        .await
        .unwrap();
    place.queue.complete(&claim.token).await.unwrap();
    assert_eq!(claimed_soon(&place.queue, &lane, "me").await.id, "one");
}

/// Where a worker process finds its server, and the file in which it says what it has completed.
const URL: &str = "QUEUE_TEST_URL";
const LOG: &str = "QUEUE_TEST_LOG";

/// Not a test: a worker that [`workers_are_killed_all_the_time`] starts as a process of its own.
#[tokio::test]
#[ignore = "a process that another test starts"]
async fn worker() {
    use std::io::Write as _;
    let bus = crate::bus::connected(crate::bus::config(std::env::var(URL).unwrap())).await;
    let mut log = std::fs::OpenOptions::new()
        .append(true)
        .open(std::env::var(LOG).unwrap())
        .unwrap();
    let (queue, lanes) = (queue_on(&bus), [lane(&work_stream(&bus), "rust", SHORT)]);
    loop {
        queue.sweep().await.unwrap();
        if let Some(claim) = queue
            .claim(&lanes, "mortal", Duration::from_millis(500))
            .await
            .unwrap()
        {
            tokio::time::sleep(Duration::from_millis(claim.message.seq % 20)).await;
            if queue.complete(&claim.token).await.is_ok() {
                // In one piece: several processes write.
                log.write_all(format!("{}\n", claim.id).as_bytes()).unwrap();
            }
        }
    }
}

fn start_worker(server: &NatsServer, log: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "bus::queue::broken::worker", "--ignored"])
        .env(URL, server.url())
        .env(LOG, log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn workers_are_killed_all_the_time() {
    const ITEMS: usize = 300;
    let place = Place::new().await;
    let lane = place.lane("rust", SHORT);
    for index in 0..ITEMS {
        place
            .add(&lane, index as u32 % 10 + 1, &format!("i{index}"))
            .await;
    }
    let log = place.server.dir().join("completed.log");
    std::fs::write(&log, "").unwrap();
    let mut workers: Vec<Child> = (0..3).map(|_| start_worker(&place.server, &log)).collect();
    let (mut kills, start) = (0, Instant::now());
    while place.messages().await > 0 {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "{} are left",
            place.messages().await
        );
        tokio::time::sleep(Duration::from_millis(250 + kills % 7 * 30)).await;
        if kills < 25 {
            let mut worker = workers.remove(0);
            worker.kill().unwrap();
            worker.wait().unwrap();
            workers.push(start_worker(&place.server, &log));
            kills += 1;
        }
    }
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
        kills += 1;
    }
    let mut done: HashMap<String, usize> = HashMap::new();
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        *done.entry(line.to_owned()).or_default() += 1;
    }
    let dead = place.letters().await;
    assert!(done.values().all(|times| *times == 1), "{done:?}");
    assert!(
        dead.iter()
            .all(|letter| !done.contains_key(letter["id"].as_str().unwrap()))
    );
    // Killed between completing an item and saying so: at most one item for each kill.
    let unsaid = ITEMS - done.len() - dead.len();
    assert!(
        unsaid as u64 <= kills,
        "{unsaid} are lost after {kills} kills"
    );
    assert!(
        place
            .queue
            .claim(&[lane], "me", NOW)
            .await
            .unwrap()
            .is_none()
    );
    println!(
        "{kills} kills: {} completed, {} dead letters, {unsaid} unsaid",
        done.len(),
        dead.len()
    );
}

/// Somebody who hears everything keeps the server from saying that a consumer is gone.
#[tokio::test]
async fn a_stream_that_vanished_under_a_listener_to_everything_is_made_again() {
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    place.add(&lane, 1, "one").await;
    place.claim(&lane, "me").await.unwrap();
    let client = async_nats::connect(place.server.url()).await.unwrap();
    let _everything = client.subscribe(">").await.unwrap();
    client.flush().await.unwrap();
    let other = other_program(&place.server).await;
    vanish(&other, "WORK").await;
    assert!(place.claim(&lane, "you").await.is_none());
    place.add(&lane, 1, "two").await;
    assert_eq!(place.claim(&lane, "you").await.unwrap().id, "two");
}
