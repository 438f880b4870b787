//! Dead letters, kept by a stream.

use async_nats::Client;
use serde_json::{Value, json};

use super::workshop::{says, workshop};
use crate::support::place::Place;
use crate::support::server::{NatsServer, settled};
use crate::support::wait_for;
use crate::support::worker::Plain;

async fn send(client: &Client, payload: &str) {
    let subject = "heddle.tasks.dead_letter".to_owned();
    client
        .publish(subject, payload.to_owned().into())
        .await
        .unwrap();
    settled(client).await;
}

fn letter(id: &str) -> String {
    let task = json!({"task_id": id, "worker_type": "counter", "payload": {"a": 1}, "model_tier": "local", "parent_task_id": "p"});
    json!({"reason": "rate_limited: full", "original_task": task, "task_id": id, "worker_type": "counter"}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_kept_and_sent_again() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = workshop(&place, &server).await;
    let empty = agent
        .ok("workshop.deadletter.list", json!({}))
        .await
        .structured;
    assert_eq!(empty, json!({"entries": [], "count": 0, "total": 0}));
    agent.close().await;
    // No gateway runs.
    let client = async_nats::connect(server.url()).await.unwrap();
    for id in ["t1", "t2", "t3"] {
        send(&client, &letter(id)).await;
    }
    let garbage = [
        "{",
        "[1]",
        "7",
        "null",
        "",
        r#"{"reason": 5, "task_id": {}, "original_task": "x"}"#,
    ];
    for text in garbage {
        send(&client, text).await;
    }
    let agent = workshop(&place, &server).await;
    let all = agent
        .ok("workshop.deadletter.list", json!({}))
        .await
        .structured;
    assert_eq!(json!([all["count"], all["total"]]), json!([9, 9]));
    let entries = all["entries"].as_array().unwrap();
    assert_eq!(entries[0]["original_task"], "x");
    for entry in &entries[..6] {
        says(entry["reason"].as_str().unwrap(), &["no dead letter"]);
        let told = agent
            .refused(
                "workshop.deadletter.replay",
                json!({"entry_id": entry["id"]}),
            )
            .await;
        says(&told, &["holds no task"]);
    }
    let ids: Vec<&Value> = entries[6..].iter().map(|entry| &entry["task_id"]).collect();
    assert_eq!(ids, ["t3", "t2", "t1"]);
    assert_eq!(entries[8]["reason"], "rate_limited: full");
    assert_eq!(entries[8]["original_task"]["payload"], json!({"a": 1}));
    let part = agent
        .ok("workshop.deadletter.list", json!({"limit": 2, "offset": 6}))
        .await
        .structured;
    assert_eq!(part["entries"], json!(entries[6..8]));
    assert_eq!(json!([part["count"], part["total"]]), json!([2, 9]));
    let none = agent
        .ok("workshop.deadletter.list", json!({"offset": 5000}))
        .await
        .structured;
    assert_eq!(json!([none["count"], none["total"]]), json!([0, 9]));

    // Without a router nothing is sent, and nothing is lost.
    let replay = json!({"entry_id": entries[8]["id"]});
    let told = agent
        .refused("workshop.deadletter.replay", replay.clone())
        .await;
    says(&told, &["heddle.tasks.incoming"]);
    let plain = Plain::start(&server, "heddle", &["counter"]).await;
    let done = agent
        .ok("workshop.deadletter.replay", replay.clone())
        .await
        .structured;
    assert_eq!(done, json!({"success": true, "entry_id": entries[8]["id"]}));
    wait_for("the task", || plain.done() == 1);
    assert_eq!(plain.tasks(), [entries[8]["original_task"].clone()]);
    let told = agent.refused("workshop.deadletter.replay", replay).await;
    says(&told, &["no dead letter"]);
    for id in ["0", "99999", "999999999999999999"] {
        let told = agent
            .refused("workshop.deadletter.replay", json!({"entry_id": id}))
            .await;
        says(&told, &["no dead letter"]);
    }
    agent
        .refused("workshop.deadletter.replay", json!({"entry_id": "x"}))
        .await;
    let left = agent
        .ok("workshop.deadletter.list", json!({}))
        .await
        .structured;
    assert_eq!(left["entries"], json!(entries[..8]));
}
