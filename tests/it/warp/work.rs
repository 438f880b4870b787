//! Work: offered, claimed under a lease, completed, given back, and dead in the end.

use std::time::Duration;

use serde_json::{Value, json};

use super::{agent, plain, register, with};
use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::signal;

/// A short lease, so that it can run out in a test.
pub(super) const SHORT: [(&str, &str); 1] = [("WORKQUEUE_ACK_TIMEOUT", "1000")];

pub(super) async fn worker(place: &Place, capabilities: &[&str]) -> (Agent, String) {
    let agent = Agent::start(with(place, &SHORT)).await;
    let guid = register(&agent, "worker", capabilities).await;
    (agent, guid)
}

pub(super) async fn offer(agent: &Agent, task: &str, capability: &str, more: Value) -> String {
    let mut args = json!({"taskId": task, "description": format!("Do {task}"), "requiredCapability": capability});
    args.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = agent.ok("warp_work_broadcast", args).await;
    super::text(&answer.structured["id"])
}

pub(super) async fn claim(agent: &Agent, capability: &str) -> Answer {
    agent
        .ok(
            "warp_work_claim",
            json!({"capability": capability, "timeout": 3000}),
        )
        .await
}

pub(super) async fn nothing(agent: &Agent, capability: &str) {
    let answer = agent
        .ok(
            "warp_work_claim",
            json!({"capability": capability, "timeout": 100}),
        )
        .await;
    assert_eq!(answer.structured["found"], false, "{}", answer.text);
}

pub(super) fn token(claim: &Answer) -> String {
    super::text(&claim.structured["token"])
}

pub(super) async fn counts(agent: &Agent, capability: &str) -> [i64; 3] {
    let answer = agent
        .ok("warp_work_queue_status", json!({"capability": capability}))
        .await;
    ["pending", "claimed", "dead"].map(|name| answer.structured[name].as_i64().unwrap())
}

pub(super) async fn dead(agent: &Agent, capability: &str) -> Vec<Value> {
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
