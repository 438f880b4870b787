//! Work that comes to nothing: given back, too late, dead; and put back or discarded.

use super::{OLD_ID, UUID, agent, plain, register, until};
use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::signal;
use serde_json::{Value, json};
use std::time::Duration;

use super::work::*;

#[tokio::test]
async fn a_dead_workers_item_returns_and_dies_when_its_attempts_are_used_up() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, _) = worker(&place, &[]).await;
    let id = offer(&planner, "T-1", "build", json!({})).await;
    for attempt in 1..=3 {
        let (worker, _) = worker(&place, &["build"]).await;
        let claimed = claim(&worker, "build").await;
        assert_eq!(claimed.structured["attempt"], attempt, "{}", claimed.text);
        signal("-KILL", worker.pid);
    }
    // Nobody claims any more, and it is dead all the same.
    let wanted = |answer: &Answer| answer.structured["total"] == 1;
    let list = until(
        &planner,
        "warp_dlq_list",
        json!({"capability": "build"}),
        wanted,
    )
    .await;
    let letter = &list.structured["items"][0];
    assert_eq!(
        (&letter["id"], &letter["attempts"], &letter["taskId"]),
        (&json!(id), &json!(3), &json!("T-1"))
    );
    assert_eq!(letter["errors"].as_array().unwrap().len(), 3, "{letter}");
    assert_eq!(counts(&planner, "build").await, [0, 0, 1]);
}

#[tokio::test]
async fn failures_are_tried_again_and_then_kept_with_their_reasons() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, _) = agent(&place, "planner", &[]).await;
    let id = offer(
        &planner,
        "T-1",
        "test",
        json!({"description": "the original words", "priority": 9}),
    )
    .await;
    let (worker, _) = worker(&place, &["test"]).await;
    for attempt in 1..=3 {
        let claimed = claim(&worker, "test").await;
        assert_eq!(
            claimed.structured["item"]["description"],
            "the original words"
        );
        let args = json!({"token": token(&claimed), "reason": format!("reason {attempt}")});
        let failed = worker.ok("warp_work_fail", args).await;
        assert_eq!(
            (&failed.structured["dead"], &failed.structured["attempt"]),
            (&json!(attempt == 3), &json!(attempt))
        );
    }
    let letters = dead(&planner, "test").await;
    assert_eq!(letters.len(), 1);
    for attempt in 1..=3 {
        let errors = letters[0]["errors"].to_string();
        assert!(errors.contains(&format!("reason {attempt}")), "{errors}");
    }
    // The record is the one that the original lists.
    let plain = plain(&server).await;
    let stream = plain.get_stream("WORKQUEUE_DEADLETTER").await.unwrap();
    let record: Value =
        serde_json::from_slice(&stream.get_raw_message(1).await.unwrap().payload).unwrap();
    let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["id", "workItem", "reason", "attempts", "failedAt", "errors"]
    );
    assert_eq!(
        (&record["id"], &record["workItem"]["id"]),
        (&json!(id), &json!(id))
    );
    // What makes no sense to repeat dies at once.
    offer(&planner, "T-2", "test", json!({})).await;
    let claimed = claim(&worker, "test").await;
    let args = json!({"token": token(&claimed), "reason": "cannot be done", "recoverable": false});
    assert_eq!(
        worker.ok("warp_work_fail", args).await.structured["dead"],
        true
    );
    assert_eq!(counts(&planner, "test").await, [0, 0, 2]);
}

#[tokio::test]
async fn of_retries_and_discards_at_once_one_is_done() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, _) = agent(&place, "planner", &[]).await;
    let (worker, _) = worker(&place, &["test"]).await;
    let mut back = 0;
    for number in 0..10 {
        let id = offer(
            &planner,
            &format!("T-{number}"),
            "test",
            json!({"priority": 10}),
        )
        .await;
        let claimed = claim(&worker, "test").await;
        let args = json!({"token": token(&claimed), "reason": "no", "recoverable": false});
        worker.ok("warp_work_fail", args).await;
        let letter = json!({"itemId": id});
        let (a, b, c, d) = tokio::join!(
            planner.call("warp_dlq_retry", letter.clone()),
            worker.call("warp_dlq_discard", letter.clone()),
            worker.call("warp_dlq_retry", letter.clone()),
            planner.call("warp_dlq_discard", letter.clone())
        );
        let done = [&a, &b, &c, &d]
            .iter()
            .filter(|answer| !answer.error)
            .count();
        assert_eq!(done, 1, "{a:?} {b:?} {c:?} {d:?}");
        if !a.error || !c.error {
            back += 1;
            let claimed = claim(&worker, "test").await;
            let args = json!({"token": token(&claimed)});
            worker.ok("warp_work_complete", args).await;
        }
        assert_eq!(
            counts(&planner, "test").await,
            [0, 0, 0],
            "{back} were put back"
        );
    }
}

#[tokio::test]
async fn dead_letters_go_back_once_and_are_discarded_once() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, _) = agent(&place, "planner", &[]).await;
    let (worker, _) = worker(&place, &["test"]).await;
    let bury = async |task: &str| {
        let id = offer(&planner, task, "test", json!({})).await;
        let claimed = claim(&worker, "test").await;
        let args = json!({"token": token(&claimed), "reason": "no", "recoverable": false});
        worker.ok("warp_work_fail", args).await;
        id
    };
    let id = bury("T-1").await;
    // Two at once: one of them puts it back.
    let retry = json!({"itemId": id});
    let (a, b) = tokio::join!(
        planner.call("warp_dlq_retry", retry.clone()),
        worker.call("warp_dlq_retry", retry.clone())
    );
    assert!(a.error != b.error, "{a:?} {b:?}");
    assert_eq!(counts(&planner, "test").await, [1, 0, 0]);
    assert!(
        planner
            .refused("warp_dlq_retry", retry.clone())
            .await
            .contains("not found")
    );
    // The attempts go on counting, and there is one more try.
    let claimed = claim(&worker, "test").await;
    assert_eq!(claimed.structured["attempt"], 2);
    nothing(&worker, "test").await;
    let args = json!({"token": token(&claimed), "reason": "again", "recoverable": false});
    worker.ok("warp_work_fail", args).await;
    let args = json!({"itemId": id, "resetAttempts": true});
    planner.ok("warp_dlq_retry", args).await;
    let claimed = claim(&worker, "test").await;
    assert_eq!(claimed.structured["attempt"], 1);
    worker
        .ok("warp_work_complete", json!({"token": token(&claimed)}))
        .await;
    assert_eq!(counts(&planner, "test").await, [0, 0, 0]);

    let id = bury("T-2").await;
    planner.ok("warp_dlq_discard", json!({"itemId": id})).await;
    assert!(
        planner
            .refused("warp_dlq_discard", json!({"itemId": id}))
            .await
            .contains("not found")
    );
    assert_eq!(counts(&planner, "test").await, [0, 0, 0]);
    // Pages, and the exact total on each of them.
    for n in 0..5 {
        bury(&format!("P-{n}")).await;
    }
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let mut args = json!({"capability": "test", "limit": 2});
        if cursor != Value::Null {
            args["cursor"] = cursor;
        }
        let page = planner.ok("warp_dlq_list", args).await;
        assert_eq!(page.structured["total"], 5);
        seen.extend(
            page.structured["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| super::text(&d["taskId"])),
        );
        cursor = page.structured["nextCursor"].clone();
        if cursor == Value::Null {
            break;
        }
    }
    assert_eq!(seen, ["P-0", "P-1", "P-2", "P-3", "P-4"]);
}

#[tokio::test]
async fn a_deadline_that_has_passed_is_a_dead_letter() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, _) = worker(&place, &[]).await;
    let (worker, _) = agent(&place, "worker", &["x"]).await;
    let text = planner.refused("warp_work_broadcast", json!({
        "taskId": "T", "description": "d", "requiredCapability": "x", "deadline": "2020-01-31T08:15:00Z",
    })).await;
    assert!(text.contains("passed"), "{text}");
    let text = planner.refused("warp_work_broadcast", json!({
        "taskId": "T", "description": "d", "requiredCapability": "x", "deadline": "tomorrow",
    })).await;
    assert!(text.contains("deadline"), "{text}");
    offer(&planner, "late", "x", json!({"deadline": super::stamp(1)})).await;
    offer(
        &planner,
        "good",
        "x",
        json!({"deadline": super::stamp(600), "priority": 1}),
    )
    .await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let claimed = claim(&worker, "x").await;
    assert_eq!(claimed.structured["item"]["taskId"], "good");
    let letters = dead(&planner, "x").await;
    assert_eq!(letters[0]["taskId"], "late");
    assert!(
        letters[0]["reason"].as_str().unwrap().contains("deadline"),
        "{letters:?}"
    );
    // Also when nobody claims; and in a queue that nobody ever claimed from.
    let late = json!({"deadline": super::stamp(1), "scope": "public"});
    offer(&planner, "unclaimed", "lonely", late).await;
    let wanted = |answer: &Answer| answer.structured["total"] == 1;
    until(
        &planner,
        "warp_dlq_list",
        json!({"capability": "lonely"}),
        wanted,
    )
    .await;
    assert_eq!(counts(&planner, "lonely").await, [0, 0, 1]);
}

#[tokio::test]
async fn a_shared_queue_is_the_originals_own() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let plain = plain(&server).await;
    // As the original makes and fills it.
    plain
        .create_stream(async_nats::jetstream::stream::Config {
            name: "WORKQUEUE_CODE_REVIEW".into(),
            subjects: vec!["global.workqueue.code-review".into()],
            retention: async_nats::jetstream::stream::RetentionPolicy::WorkQueue,
            max_age: Duration::from_secs(7 * 86_400),
            ..Default::default()
        })
        .await
        .unwrap();
    let theirs = format!(
        r#"{{"id":"{UUID}","taskId":"T-orig","capability":"code-review","description":"Review","priority":5,"offeredBy":"{OLD_ID}","offeredAt":"2026-01-31T08:15:00.000Z","attempts":0,"scope":"team"}}"#
    );
    plain
        .publish("global.workqueue.code-review", theirs.into())
        .await
        .unwrap()
        .await
        .unwrap();
    plain
        .publish("global.workqueue.code-review", "not json".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let config = place.write(
        "fifo.yaml",
        "packs: [warp]\nsettings:\n  warp: {fifo: [code-review]}\n",
    );
    let mut command = place.command(&["serve", "-c", config.to_str().unwrap()]);
    command.envs(SHORT);
    let agent = Agent::start(command).await;
    register(&agent, "worker", &["code-review"]).await;
    let ours = offer(&agent, "T-ours", "code-review", json!({"priority": 10})).await;
    let stream = plain.get_stream("WORKQUEUE_CODE_REVIEW").await.unwrap();
    let stored: Value =
        serde_json::from_slice(&stream.get_raw_message(3).await.unwrap().payload).unwrap();
    let keys: Vec<&String> = stored.as_object().unwrap().keys().take(9).collect();
    assert_eq!(
        keys,
        [
            "id",
            "taskId",
            "capability",
            "description",
            "priority",
            "offeredBy",
            "offeredAt",
            "attempts",
            "scope"
        ]
    );
    assert_eq!(
        (&stored["attempts"], &stored["priority"]),
        (&json!(0), &json!(10))
    );
    assert_eq!(counts(&agent, "code-review").await, [3, 0, 0]);
    let list = agent
        .ok("warp_work_list", json!({"capability": "code-review"}))
        .await;
    assert_eq!(list.structured["items"][0]["taskId"], "T-orig");
    // First in, first out; what is no item goes to the dead letters instead of being destroyed.
    let claimed = claim(&agent, "code-review").await;
    assert_eq!(claimed.structured["item"]["id"], UUID);
    agent
        .ok("warp_work_complete", json!({"token": token(&claimed)}))
        .await;
    let consumer: async_nats::jetstream::consumer::PullConsumer = plain
        .get_stream("WORKQUEUE_CODE_REVIEW")
        .await
        .unwrap()
        .get_consumer("worker-CODE_REVIEW")
        .await
        .unwrap();
    let claimed = claim(&agent, "code-review").await;
    assert_eq!(claimed.structured["item"]["id"], ours);
    assert_eq!(counts(&agent, "code-review").await, [0, 1, 1]);
    let args = json!({"token": token(&claimed), "reason": "for the others"});
    agent.ok("warp_work_fail", args).await;
    // The original takes it from there.
    use futures_util::StreamExt as _;
    let mut batch = consumer
        .fetch()
        .max_messages(1)
        .expires(Duration::from_secs(5))
        .messages()
        .await
        .unwrap();
    let message = batch.next().await.unwrap().unwrap();
    let value: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(
        (&value["id"], &value["capability"]),
        (&json!(ours), &json!("code-review"))
    );
    message.ack().await.unwrap();
}

#[tokio::test]
async fn dead_letters_of_the_original_are_listed_retried_and_discarded() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let plain = plain(&server).await;
    let (agent, _) = agent(&place, "planner", &["code-review"]).await;
    // The stream as another program made it, with its one subject.
    let _ = plain.delete_stream("WORKQUEUE_DEADLETTER").await;
    plain
        .create_stream(async_nats::jetstream::stream::Config {
            name: "WORKQUEUE_DEADLETTER".into(),
            subjects: vec!["global.workqueue.deadletter".into()],
            ..Default::default()
        })
        .await
        .unwrap();
    let other = "7f1c5a52-0d9e-4f5c-9d0a-0e5a6f7b8c9d";
    for id in [UUID, other] {
        let record = format!(
            r#"{{"id":"{id}","workItem":{{"id":"{id}","taskId":"T","capability":"code-review","description":"d","priority":3,"offeredBy":"{OLD_ID}","offeredAt":"2026-01-31T08:15:00.000Z","attempts":3,"scope":"team"}},"reason":"max attempts","attempts":3,"failedAt":"2026-01-31T09:15:00.000Z","errors":["e1"]}}"#
        );
        plain
            .publish("global.workqueue.deadletter", record.into())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    plain
        .publish("global.workqueue.deadletter", "{}".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let list = agent.ok("warp_dlq_list", json!({})).await;
    assert_eq!(list.structured["total"], 2, "{}", list.text);
    assert_eq!(list.structured["items"][0]["errors"], json!(["e1"]));
    agent.ok("warp_dlq_retry", json!({"itemId": UUID})).await;
    let claimed = claim(&agent, "code-review").await;
    assert_eq!(claimed.structured["item"]["id"], UUID);
    agent.ok("warp_dlq_discard", json!({"itemId": other})).await;
    // Ours goes there too.
    let args = json!({"token": token(&claimed), "reason": "no", "recoverable": false});
    agent.ok("warp_work_fail", args).await;
    let list = agent.ok("warp_dlq_list", json!({})).await;
    assert_eq!(
        (
            &list.structured["total"],
            &list.structured["items"][0]["id"]
        ),
        (&json!(1), &json!(UUID))
    );
}
