//! Councils: a real one, and one that says what a test makes it say.

use async_nats::{Client, Subscriber};
use serde_json::{Value, json};

use super::caller::next;
use super::served::gateway;
use crate::support::mcp::Agent;
use crate::support::mesh::{Actor, Dialect, Mesh, ROUTER};
use crate::support::place::Place;
use crate::support::server::{NatsServer, settled};

async fn councils(place: &Place, server: &NatsServer) -> Agent {
    place.write(
        "councils/panel.yaml",
        include_str!("../../mesh/files/councils/panel.yaml"),
    );
    let council = json!({"configs_dir": "councils"});
    let config = json!({"name": "t", "nats_url": server.url(), "subject_prefix": "heddle", "tools": {"council": council}});
    gateway(place, &config).await
}

/// Starts one, and gives its id.
async fn start(agent: &Agent, topic: &str) -> Value {
    let args = json!({"topic": topic, "config_name": "panel"});
    let started = agent.ok("council.start", args).await.structured;
    assert_eq!(
        json!([started["status"], started["topic"]]),
        json!(["started", topic])
    );
    json!({"council_id": started["council_id"]})
}

/// Waits until the status has this field of this value.
async fn until(agent: &Agent, council: &Value, field: &str, value: Value) -> Value {
    let began = std::time::Instant::now();
    loop {
        let status = agent.ok("council.status", council.clone()).await.structured;
        if status[field] == value {
            return status;
        }
        assert!(began.elapsed() < crate::support::LIMIT, "{status}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_council_discusses_over_the_bus() {
    let server = NatsServer::start();
    let actors = [ROUTER, Actor::Worker("agent"), Actor::Council("panel")];
    let _mesh = Mesh::start(Dialect::Heddle, &server, &actors).await;
    let place = Place::on(&server);
    let agent = councils(&place, &server).await;
    let council = start(&agent, "Shall we ship?").await;
    let status = until(&agent, &council, "status", json!("completed")).await;
    assert_eq!(
        json!([status["rounds_completed"], status["converged"]]),
        json!([2, false])
    );
    assert_eq!(status["synthesis"], "4 good sides");
    let told = agent
        .ok("council.transcript", council.clone())
        .await
        .structured;
    let round = |n: u32| {
        let said = |name: &str, role: &str| {
            json!({"round": n, "agent": name, "role": role,
            "content": format!("{role}: round {n} on Shall we ship?")})
        };
        json!([
            said("optimist", "Sees the good side"),
            said("sceptic", "Asks what can go wrong")
        ])
    };
    for (at, n) in [(0, 1), (1, 2)] {
        let mut entries = told["rounds"][at]["entries"].clone();
        for entry in entries.as_array_mut().unwrap() {
            entry.as_object_mut().unwrap().remove("model");
        }
        assert_eq!(entries, round(n), "{told}");
    }
    assert_eq!(told["total_entries"], 4);
    // Another gateway knows of it too.
    let other = councils(&place, &server).await;
    let mut args = council.clone();
    args["agent_filter"] = json!("sceptic");
    let told = other.ok("council.transcript", args).await.structured;
    assert_eq!(told["total_entries"], 2);
    let stopped = other.ok("council.stop", council).await.structured;
    assert_eq!(
        json!([stopped["status"], stopped["synthesis"]]),
        json!(["already_completed", "4 good sides"])
    );
}

async fn tell(client: &Client, council: &Value, result: Value) {
    let id = council["council_id"].as_str().unwrap();
    let subject = format!("heddle.results.council.{id}");
    client
        .publish(subject, result.to_string().into())
        .await
        .unwrap();
    settled(client).await;
}

fn result(task: &str, worker: &str, status: &str, output: Value) -> Value {
    json!({"task_id": task, "worker_type": worker, "status": status, "output": output, "error": null, "model_used": "m"})
}

#[tokio::test]
async fn a_council_can_be_looked_at_while_it_lasts() {
    let server = NatsServer::start();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut goals: Subscriber = client.subscribe("heddle.goals.incoming").await.unwrap();
    settled(&client).await;
    let place = Place::on(&server);
    let agent = councils(&place, &server).await;
    let council = start(&agent, "Why?").await;
    let goal = next(&mut goals).await;
    let id = format!("council.{}", council["council_id"].as_str().unwrap());
    assert_eq!(
        json!([goal["goal_id"], goal["instruction"]]),
        json!([id, "Why?"])
    );
    let status = agent.ok("council.status", council.clone()).await.structured;
    assert_eq!(
        json!([status["status"], status["entries_so_far"]]),
        json!(["running", 0])
    );
    let nothing = agent
        .ok("council.transcript", council.clone())
        .await
        .structured;
    assert_eq!(nothing["total_entries"], 0);

    tell(
        &client,
        &council,
        result("t1", "agent", "completed", json!({"content": "Yes \"so\""})),
    )
    .await;
    let mut failed = result("t2", "agent", "failed", Value::Null);
    failed["error"] = json!("tired");
    tell(&client, &council, failed).await;
    tell(&client, &council, json!(["no", "result"])).await;
    tell(
        &client,
        &council,
        result("t3", "agent", "completed", json!({"vote": 1})),
    )
    .await;
    let status = until(&agent, &council, "entries_so_far", json!(3)).await;
    assert_eq!(
        json!([status["status"], status["rounds_so_far"]]),
        json!(["running", 1])
    );
    let told = agent
        .ok("council.transcript", council.clone())
        .await
        .structured;
    let said: Vec<Value> = told["rounds"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|round| round["entries"].as_array().unwrap().clone())
        .map(|entry| json!([entry["round"], entry["agent"], entry["content"]]))
        .collect();
    let wanted = json!([
        [1, "optimist", "Yes \"so\""],
        [1, "sceptic", "[Worker error: tired]"],
        [2, "optimist", "{\"vote\":1}"]
    ]);
    assert_eq!(json!(said), wanted);
    let mut args = council.clone();
    args["message"] = json!("Listen!");
    assert!(
        agent
            .refused("council.intervene", args.clone())
            .await
            .contains("not injected")
    );
    let stopped = agent.ok("council.stop", council.clone()).await.structured;
    assert_eq!(
        json!([stopped["status"], stopped["entries_collected"]]),
        json!(["stopped", 3])
    );
    until(&agent, &council, "status", json!("stopped")).await;

    let mut end = result(&id, "council:panel", "failed", Value::Null);
    end["error"] = json!("no more");
    tell(&client, &council, end).await;
    let status = until(&agent, &council, "status", json!("failed")).await;
    assert_eq!(status["error"], "no more");
    assert!(
        agent
            .refused("council.intervene", args)
            .await
            .contains("already completed")
    );

    // A pipeline gets the goal too, and a council of another kind may be the one that takes it.
    let council = start(&agent, "Who?").await;
    let id = next(&mut goals).await["goal_id"].clone();
    let id = id.as_str().unwrap();
    for (task, worker) in [("t1", "wordcount"), (id, "docstats")] {
        tell(
            &client,
            &council,
            result(task, worker, "completed", json!({})),
        )
        .await;
    }
    let status = until(&agent, &council, "others", json!(["docstats"])).await;
    assert_eq!(
        json!([status["status"], status["entries_so_far"]]),
        json!(["running", 0])
    );
    tell(
        &client,
        &council,
        result(id, "council:other", "completed", json!({})),
    )
    .await;
    let told = agent.refused("council.status", council).await;
    assert!(
        told.contains("council:other took the goal") && told.contains("council:panel"),
        "{told}"
    );
}

#[tokio::test]
async fn what_cannot_be_started_or_found_is_said() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("councils/list.yaml", "[]");
    place.write("secret.yaml", "name: secret");
    let agent = councils(&place, &server).await;
    let start = |config: &str| json!({"topic": "x", "config_name": config});
    let told = agent.refused("council.start", start("panel")).await;
    assert!(
        told.contains("not started") && told.contains("heddle.goals.incoming"),
        "{told}"
    );
    let told = agent.refused("council.start", start("nobody")).await;
    assert!(
        told.contains("Council config not found: nobody.yaml"),
        "{told}"
    );
    let told = agent.refused("council.start", start("list")).await;
    assert!(told.contains("no name"), "{told}");
    for config in ["../secret", "a/b", "..", ""] {
        agent.refused("council.start", start(config)).await;
    }
    for tool in ["council.status", "council.transcript", "council.stop"] {
        let told = agent.refused(tool, json!({"council_id": "0123abcd"})).await;
        assert!(
            told.contains("No council with ID '0123abcd'"),
            "{tool}: {told}"
        );
        agent.refused(tool, json!({"council_id": "../../x"})).await;
    }
}
