//! Work: offered, claimed under a lease, completed, given back, and dead in the end.

use std::time::Duration;

use serde_json::{Value, json};

use super::{OLD_ID, UUID, agent, plain, register, until, with};
use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::signal;

/// A short lease, so that it can run out in a test.
const SHORT: [(&str, &str); 1] = [("WORKQUEUE_ACK_TIMEOUT", "1000")];

async fn worker(place: &Place, capabilities: &[&str]) -> (Agent, String) {
    let agent = Agent::start(with(place, &SHORT)).await;
    let guid = register(&agent, "worker", capabilities).await;
    (agent, guid)
}

async fn offer(agent: &Agent, task: &str, capability: &str, more: Value) -> String {
    let mut args = json!({"taskId": task, "description": format!("Do {task}"), "requiredCapability": capability});
    args.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = agent.ok("warp_work_broadcast", args).await;
    super::text(&answer.structured["id"])
}

async fn claim(agent: &Agent, capability: &str) -> Answer {
    agent
        .ok(
            "warp_work_claim",
            json!({"capability": capability, "timeout": 3000}),
        )
        .await
}

async fn nothing(agent: &Agent, capability: &str) {
    let answer = agent
        .ok(
            "warp_work_claim",
            json!({"capability": capability, "timeout": 100}),
        )
        .await;
    assert_eq!(answer.structured["found"], false, "{}", answer.text);
}

fn token(claim: &Answer) -> String {
    super::text(&claim.structured["token"])
}

async fn counts(agent: &Agent, capability: &str) -> [i64; 3] {
    let answer = agent
        .ok("warp_work_queue_status", json!({"capability": capability}))
        .await;
    ["pending", "claimed", "dead"].map(|name| answer.structured[name].as_i64().unwrap())
}

async fn dead(agent: &Agent, capability: &str) -> Vec<Value> {
    let answer = agent
        .ok("warp_dlq_list", json!({"capability": capability}))
        .await;
    answer.structured["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn an_item_is_claimed_prolonged_and_completed_also_after_a_restart() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, guid) = agent(&place, "planner", &[]).await;
    let context = json!({"contextData": {"files": ["a|b"]}, "priority": 7});
    let id = offer(&planner, "T-1", "code-review", context).await;
    assert_eq!(counts(&planner, "code-review").await, [1, 0, 0]);
    let (worker, _) = worker(&place, &["code-review"]).await;
    let claimed = claim(&worker, "code-review").await;
    let item = &claimed.structured["item"];
    assert_eq!(
        (&item["id"], &item["taskId"], &item["priority"]),
        (&json!(id), &json!("T-1"), &json!(7))
    );
    assert_eq!(
        (&item["offeredBy"], &item["attempts"]),
        (&json!(guid), &json!(0))
    );
    assert_eq!(
        (
            &claimed.structured["attempt"],
            &claimed.structured["maxAttempts"]
        ),
        (&json!(1), &json!(3))
    );
    assert_eq!(counts(&planner, "code-review").await, [0, 1, 0]);
    nothing(&worker, "code-review").await;
    // Prolonged again and again, it is still ours long after the first lease.
    for percent in [10, 50, 90] {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let args = json!({"token": token(&claimed), "progress": percent, "note": "reading"});
        worker.ok("warp_work_progress", args).await;
    }
    let list = planner
        .ok("warp_work_list", json!({"capability": "code-review"}))
        .await;
    let shown = &list.structured["items"][0];
    assert_eq!(
        (&shown["state"], &shown["note"]["progress"]),
        (&json!("claimed"), &json!(90))
    );
    assert!(
        list.text.contains("| Progress | 90 % reading"),
        "{}",
        list.text
    );
    // The gateway is killed, and the token works from another one.
    signal("-KILL", worker.pid);
    drop(worker);
    let again = Agent::start(with(&place, &SHORT)).await;
    again
        .ok("warp_work_progress", json!({"token": token(&claimed)}))
        .await;
    let done = again
        .ok("warp_work_complete", json!({"token": token(&claimed)}))
        .await;
    assert_eq!(done.structured["id"], id);
    assert_eq!(counts(&planner, "code-review").await, [0, 0, 0]);
    // Asking twice does no harm; prolonging what is done says so.
    planner
        .ok("warp_work_complete", json!({"token": token(&claimed)}))
        .await;
    planner
        .refused("warp_work_progress", json!({"token": token(&claimed)}))
        .await;
}

#[tokio::test]
async fn a_lease_that_runs_out_passes_on_and_the_old_token_says_who_has_it() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, _) = agent(&place, "planner", &[]).await;
    offer(&planner, "T-1", "build", json!({})).await;
    let (first, _) = worker(&place, &["build"]).await;
    let (second, guid) = worker(&place, &["build"]).await;
    let old = claim(&first, "build").await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let text = first
        .refused("warp_work_progress", json!({"token": token(&old)}))
        .await;
    assert!(text.contains("queue"), "{text}");
    assert_eq!(counts(&planner, "build").await, [1, 0, 0]);
    let new = claim(&second, "build").await;
    assert_eq!(new.structured["attempt"], 2);
    assert!(
        new.structured["errors"][0]
            .as_str()
            .unwrap()
            .contains("ran out"),
        "{new:?}"
    );
    for (tool, args) in [
        ("warp_work_complete", json!({"token": token(&old)})),
        ("warp_work_progress", json!({"token": token(&old)})),
        (
            "warp_work_fail",
            json!({"token": token(&old), "reason": "x"}),
        ),
    ] {
        let text = first.refused(tool, args).await;
        assert!(text.contains(&guid), "{text}");
    }
    second
        .ok("warp_work_complete", json!({"token": token(&new)}))
        .await;
    assert_eq!(counts(&planner, "build").await, [0, 0, 0]);
}

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
async fn the_most_urgent_comes_first_and_then_the_oldest() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (planner, _) = agent(&place, "planner", &[]).await;
    for (task, priority) in [("a", 5), ("b", 1), ("c", 10), ("d", 5), ("e", 10)] {
        offer(&planner, task, "x", json!({"priority": priority})).await;
    }
    let list = planner
        .ok("warp_work_list", json!({"capability": "x", "limit": 3}))
        .await;
    let tasks: Vec<&str> = list.structured["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["taskId"].as_str().unwrap())
        .collect();
    assert_eq!(tasks, ["c", "e", "a"]);
    assert_eq!(
        (&list.structured["matching"], &list.structured["total"]),
        (&json!(5), &json!(5))
    );
    let list = planner
        .ok(
            "warp_work_list",
            json!({"capability": "x", "minPriority": 5, "maxPriority": 9}),
        )
        .await;
    assert_eq!(
        (&list.structured["matching"], &list.structured["total"]),
        (&json!(2), &json!(5))
    );
    let (worker, _) = agent(&place, "worker", &["x"]).await;
    let mut order = String::new();
    for _ in 0..5 {
        let claimed = claim(&worker, "x").await;
        order += claimed.structured["item"]["taskId"].as_str().unwrap();
    }
    assert_eq!(order, "ceadb");
}

#[tokio::test]
async fn scope_decides_who_claims_and_who_sees() {
    let server = NatsServer::start();
    let (one, two) = (Place::on(&server), Place::on(&server));
    let ada = [("USER", "ada")];
    let mine = Agent::start(with(&one, &ada)).await;
    let colleague = Agent::start(with(&one, &[("USER", "bob")])).await;
    let elsewhere = Agent::start(with(&two, &ada)).await;
    let stranger = Agent::start(with(&two, &[("USER", "eve")])).await;
    for agent in [&mine, &colleague, &elsewhere, &stranger] {
        register(agent, "worker", &["x"]).await;
    }
    for (scope, sees) in [
        ("public", [true, true, true, true]),
        ("team", [true, true, false, false]),
        ("personal", [true, false, true, false]),
        ("private", [true, false, false, false]),
    ] {
        offer(&mine, scope, "x", json!({"scope": scope})).await;
        for (agent, sees) in [&mine, &colleague, &elsewhere, &stranger]
            .into_iter()
            .zip(sees)
        {
            assert_eq!(counts(agent, "x").await[0], i64::from(sees), "{scope}");
            let list = agent.ok("warp_work_list", json!({"capability": "x"})).await;
            assert_eq!(list.structured["total"], i64::from(sees), "{scope}");
            if !sees {
                nothing(agent, "x").await;
            }
        }
        let last = [&mine, &colleague, &elsewhere, &stranger]
            .into_iter()
            .zip(sees)
            .rfind(|(_, sees)| *sees)
            .unwrap()
            .0;
        let claimed = claim(last, "x").await;
        let args = json!({"token": token(&claimed), "reason": "no", "recoverable": false});
        last.ok("warp_work_fail", args).await;
        // Dead letters are kept from the others as well.
        let id = claimed.structured["item"]["id"].clone();
        for (agent, sees) in [&mine, &colleague, &elsewhere, &stranger]
            .into_iter()
            .zip(sees)
        {
            assert_eq!(dead(agent, "x").await.len(), usize::from(sees), "{scope}");
            if !sees {
                agent
                    .refused("warp_dlq_discard", json!({"itemId": id}))
                    .await;
            }
        }
        mine.ok("warp_dlq_discard", json!({"itemId": id})).await;
    }
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
async fn capabilities_never_share_a_queue() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let names = [
        "code-review",
        "code_review",
        "CODE-REVIEW",
        "c++",
        "c%%",
        "c",
        "deadletter",
        "ü",
        "ö",
        "a.b",
        "*",
        ">",
        "two words",
    ];
    let (agent, _) = agent(&place, "planner", &names).await;
    for name in names {
        offer(&agent, name, name, json!({})).await;
    }
    let status = agent.ok("warp_work_queue_status", json!({})).await;
    let mut found: Vec<&str> = status.structured["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|q| {
            assert_eq!(q["pending"], 1, "{q}");
            q["capability"].as_str().unwrap()
        })
        .collect();
    found.sort_unstable();
    let mut expected = names;
    expected.sort_unstable();
    assert_eq!(found, expected);
    for name in names {
        assert_eq!(counts(&agent, name).await, [1, 0, 0], "{name}");
        let claimed = claim(&agent, name).await;
        assert_eq!(claimed.structured["item"]["taskId"], name);
        nothing(&agent, name).await;
        agent
            .ok("warp_work_complete", json!({"token": token(&claimed)}))
            .await;
    }
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

#[tokio::test]
async fn bad_calls_are_told_what_is_wrong() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let stranger = Agent::at(&place).await;
    let text = stranger
        .refused("warp_work_claim", json!({"capability": "x"}))
        .await;
    assert!(text.contains("warp_registry_register"), "{text}");
    let (agent, _) = agent(&place, "worker", &["a"]).await;
    let text = agent
        .refused("warp_work_claim", json!({"capability": "b"}))
        .await;
    assert!(
        text.contains("\"b\"")
            && text.contains("[a]")
            && text.contains("warp_registry_update_presence"),
        "{text}"
    );
    for (tool, args, name) in [
        (
            "warp_work_claim",
            json!({"capability": "a", "timeout": 99}),
            "timeout",
        ),
        (
            "warp_work_claim",
            json!({"capability": "a", "timeout": 30_001}),
            "timeout",
        ),
        ("warp_work_claim", json!({}), "capability"),
        (
            "warp_work_broadcast",
            json!({"taskId": "t", "description": "d"}),
            "requiredCapability",
        ),
        (
            "warp_work_broadcast",
            json!({"taskId": "t", "description": "d", "requiredCapability": "c", "priority": 2.5}),
            "priority",
        ),
        (
            "warp_work_broadcast",
            json!({"taskId": "t", "description": "d", "requiredCapability": "c", "scope": "all"}),
            "scope",
        ),
        (
            "warp_work_broadcast",
            json!({"taskId": "t", "description": "d", "requiredCapability": "c", "contextData": []}),
            "contextData",
        ),
        (
            "warp_work_list",
            json!({"capability": "a", "limit": 101}),
            "limit",
        ),
        (
            "warp_work_list",
            json!({"capability": "a", "deadlineBefore": "soon"}),
            "deadlineBefore",
        ),
        ("warp_work_complete", json!({}), "token"),
        ("warp_work_fail", json!({"token": "x"}), "reason"),
        ("warp_dlq_list", json!({"limit": 0}), "limit"),
        ("warp_dlq_retry", json!({"itemId": 5}), "itemId"),
    ] {
        let text = agent.refused(tool, args).await;
        assert!(text.contains(&format!("`{name}`")), "{tool}: {text}");
    }
    for bad in [
        "x",
        "a.b.c",
        "....",
        "code-review.00000000-0000-4000-8000-000000000000.5",
        "ü",
    ] {
        for (tool, args) in [
            ("warp_work_complete", json!({"token": bad})),
            ("warp_work_progress", json!({"token": bad})),
            ("warp_work_fail", json!({"token": bad, "reason": "r"})),
        ] {
            let text = agent.refused(tool, args).await;
            assert!(text.contains("claim"), "{tool} {bad}: {text}");
        }
    }
    // As short as the schema allows.
    let answer = agent
        .ok(
            "warp_work_claim",
            json!({"capability": "a", "timeout": 100}),
        )
        .await;
    assert_eq!(answer.structured["found"], false);
}

#[tokio::test]
async fn every_queue_is_counted_however_many_streams_there_are() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let plain = plain(&server).await;
    for n in 0..270 {
        plain
            .create_stream(async_nats::jetstream::stream::Config {
                name: format!("A_{n:03}"),
                subjects: vec![format!("a.{n}")],
                storage: async_nats::jetstream::stream::StorageType::Memory,
                ..Default::default()
            })
            .await
            .unwrap();
    }
    let (agent, _) = agent(&place, "planner", &[]).await;
    for n in 0..30 {
        offer(
            &agent,
            "T",
            &format!("cap-{n}"),
            json!({"priority": 1 + n % 10}),
        )
        .await;
    }
    let status = agent.ok("warp_work_queue_status", json!({})).await;
    assert_eq!(status.structured["queues"].as_array().unwrap().len(), 30);
    assert_eq!(status.structured["pending"], 30);
}
