//! Requests whose answers arrive in inboxes, with a plain program as the worker.

use std::time::{Duration, Instant};

use async_nats::Client;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Tools;
use crate::bus::{config, connected, monitored, subscriptions};
use crate::support::LIMIT;
use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::{NatsServer, settled};

/// So many tasks the worker takes before it answers them, the last one first.
const REVERSED: usize = 500;

const PACK: &str = r#"
settings: {type: object, properties: {prefix: {type: string, default: mesh}}}
inboxes:
  results:
    subject: "{{ config.prefix }}.results.{{ gateway.id }}.*"
    key: item.subject | split('.') | last
  dead:
    subject: "{{ config.prefix }}.dead"
    key: "[item.data.id, item.data.task.parent]"
tools:
  work:
    description: x
    input:
      type: object
      required: [how]
      properties:
        how: {type: string}
        n: {type: integer, default: 0}
        timeout: {type: string, default: 20s}
        idle: {type: string, default: 20s}
        tell: {type: boolean, default: false}
    output: {type: object, properties: {got: {}, heard: {}}}
    steps:
      - request:
          subject: "{{ config.prefix }}.tasks"
          payload: {id: "{{ call.id }}", to: "{{ config.prefix }}.results.{{ gateway.id }}.{{ call.id }}", how: "{{ args.how }}", n: "{{ args.n }}"}
          timeout: "{{ args.timeout }}"
          idle: "{{ args.idle }}"
          answers:
            - {inbox: results, key: "{{ call.id }}"}
            - {inbox: dead, key: "{{ call.id }}", when: "args.how != 'silent'"}
          until: item.inbox == 'dead' or item.data.id == call.id and item.data.status in ['done', 'failed']
          keep: {stage: "{{ item.data.stage }}"}
          progress: {done: "{{ heard | length }}", total: 3, message: "{{ item.data.stage }}", when: args.tell}
        as: got
        else: "{{ error.kind }} after {{ heard | map(attribute='stage') | join(',') }}: {{ error.message }}"
    reply: {structured: {got: "{{ got.data }}", heard: "{{ got.heard }}"}}
  served:
    description: x
    input: {type: object, required: [how, served], properties: {how: {type: string}, n: {type: integer, default: 0}, served: {type: array, items: {type: string}}}}
    output: {type: object, properties: {got: {}}}
    steps:
      - request:
          subject: "{{ config.prefix }}.tasks"
          payload: {id: "{{ call.id }}", to: "{{ config.prefix }}.results.{{ gateway.id }}.{{ call.id }}", how: "{{ args.how }}", n: "{{ args.n }}"}
          timeout: 20s
          answers: [{inbox: results, key: "{{ call.id }}"}]
          served: {subjects: "{{ args.served }}", every: 1h}
        as: got
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {got: "{{ got.data }}"}}
  keyed:
    description: x
    input: {type: object, required: [key], properties: {key: {type: string}}}
    steps:
      - request:
          subject: "{{ config.prefix }}.tasks"
          payload: {id: "{{ args.key }}", to: "{{ config.prefix }}.results.{{ gateway.id }}.{{ args.key }}", how: echo}
          answers: [{inbox: results, key: "{{ args.key }}"}]
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {text: done}
"#;

/// A worker that does as it is told.
async fn worker(server: &NatsServer) -> Client {
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut tasks = client.subscribe("mesh.tasks").await.unwrap();
    settled(&client).await;
    let own = client.clone();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Some(message) = tasks.next().await {
            let task: Value = serde_json::from_slice(&message.payload).unwrap();
            if task["how"] == "reversed" {
                // The last that comes is answered first.
                held.push(task);
                if held.len() == REVERSED {
                    for task in held.drain(..).rev() {
                        answer(&own, &task, &task["n"]).await;
                    }
                }
                continue;
            }
            work(&own, task).await;
        }
    });
    client
}

async fn answer(client: &Client, task: &Value, output: &Value) {
    say(
        client,
        task,
        &json!({"id": task["id"], "status": "done", "output": output}),
    )
    .await;
}

async fn say(client: &Client, task: &Value, what: &Value) {
    let to = task["to"].as_str().unwrap().to_owned();
    client.publish(to, what.to_string().into()).await.unwrap();
}

async fn work(client: &Client, task: Value) {
    let to = task["to"].as_str().unwrap().to_owned();
    match task["how"].as_str().unwrap() {
        "echo" => answer(client, &task, &task["n"]).await,
        "twice" => {
            answer(client, &task, &json!("first")).await;
            answer(client, &task, &json!("second")).await;
        }
        "junk" => {
            client.publish(to.clone(), "{".into()).await.unwrap();
            client.publish(to.clone(), "[1, 2]".into()).await.unwrap();
            client.publish(to, "".into()).await.unwrap();
            answer(client, &task, &json!("after all")).await;
        }
        "stages" => {
            for stage in ["read", "think", "write"] {
                say(client, &task, &json!({"id": "x", "stage": stage})).await;
            }
            answer(client, &task, &json!("ready")).await;
        }
        "dead" => {
            let letter = json!({"reason": "no such tier", "task": {"parent": task["id"]}});
            let letter = letter.to_string();
            client.publish("mesh.dead", letter.into()).await.unwrap();
        }
        "one stage" => say(client, &task, &json!({"stage": "read"})).await,
        "flood" => {
            for n in 0..task["n"].as_u64().unwrap() {
                say(client, &task, &json!({"stage": n})).await;
            }
            answer(client, &task, &json!("ready")).await;
        }
        _ => {}
    }
}

/// The tools, and the worker.
async fn mesh(server: &NatsServer) -> (Tools, Client) {
    let client = worker(server).await;
    (Tools::new(server, PACK).await, client)
}

#[tokio::test]
async fn many_calls_wait_in_one_inbox_and_each_has_its_own_answer() {
    let (server, port) = monitored();
    let (tools, _client) = mesh(&server).await;
    let before = subscriptions(port).await;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..REVERSED {
        let tools = tools.clone();
        calls.spawn(async move {
            let args = json!({"how": "reversed", "n": n});
            let done = tools.ok("work", args).await;
            assert_eq!(done["got"]["output"], n);
        });
    }
    calls.join_all().await;
    // Two inboxes, what proves them, and where the server says that nobody listens.
    let after = subscriptions(port).await;
    assert!(after <= before + 5, "{before} {after}");
}

#[tokio::test]
async fn what_is_not_the_answer_is_passed_over() {
    let server = NatsServer::start();
    let (tools, client) = mesh(&server).await;
    let done = tools.ok("work", json!({"how": "junk"})).await;
    assert_eq!(done["got"]["output"], "after all");
    let done = tools.ok("work", json!({"how": "twice"})).await;
    assert_eq!(done["got"]["output"], "first");
    // What comes when nobody waits any more, or for nobody, is dropped.
    for payload in ["{}", "junk"] {
        client.publish("mesh.dead", payload.into()).await.unwrap();
    }
    let done = tools.ok("work", json!({"how": "echo", "n": 7})).await;
    assert_eq!(done["got"]["output"], 7);
}

#[tokio::test]
async fn a_dead_letter_ends_the_call_at_once() {
    let server = NatsServer::start();
    let (tools, _client) = mesh(&server).await;
    let done = tools.ok("work", json!({"how": "dead"})).await;
    assert_eq!(done["got"]["reason"], "no such tier");
    assert_eq!(done["heard"], json!([]));
}

#[tokio::test]
async fn stages_are_kept_and_told_in_order() {
    let server = NatsServer::start();
    let (tools, _client) = mesh(&server).await;
    let done = tools.ok("work", json!({"how": "stages"})).await;
    let stages = json!([{"stage": "read"}, {"stage": "think"}, {"stage": "write"}]);
    assert_eq!(done["heard"], stages);
    let (reply, told) = tools
        .telling("work", json!({"how": "stages", "tell": true}))
        .await;
    assert!(!reply.is_error, "{}", reply.text);
    let told: Vec<_> = told
        .into_iter()
        .map(|done| (done.done, done.total, done.message.unwrap()))
        .collect();
    let expected = [(1, "read"), (2, "think"), (3, "write")];
    assert_eq!(
        told,
        expected.map(|(n, stage)| (n, Some(3), stage.to_owned()))
    );
    let (_, told) = tools.telling("work", json!({"how": "stages"})).await;
    assert_eq!(told, []);
}

#[tokio::test]
async fn a_burst_of_messages_is_read_in_time() {
    let server = NatsServer::start();
    let (tools, _client) = mesh(&server).await;
    // The worker's burst comes in one piece; who waits gets its turns.
    let done = tools.ok("work", json!({"how": "flood", "n": 500})).await;
    assert_eq!(done["got"]["output"], "ready");
    assert_eq!(done["heard"].as_array().unwrap().len(), 500);
}

#[tokio::test]
async fn silence_and_time_end_a_call_with_what_was_heard() {
    let server = NatsServer::start();
    let (tools, _client) = mesh(&server).await;
    let text = tools
        .fails("work", json!({"how": "one stage", "idle": "200ms"}))
        .await;
    assert!(
        text.starts_with("timeout after read: nothing was heard on mesh.results."),
        "{text}"
    );
    assert!(text.contains("200ms"), "{text}");
    let text = tools
        .fails("work", json!({"how": "one stage", "timeout": "200ms"}))
        .await;
    assert!(
        text.starts_with("timeout after read: no answer came on mesh.results."),
        "{text}"
    );
    let text = tools
        .fails("work", json!({"how": "silent", "timeout": "100ms"}))
        .await;
    assert!(text.starts_with("timeout after : no answer"), "{text}");
    let done = tools.ok("work", json!({"how": "echo", "n": 1})).await;
    assert_eq!(done["got"]["output"], 1);
}

#[tokio::test]
async fn nobody_to_do_the_work_is_told_at_once() {
    let server = NatsServer::start();
    let tools = Tools::new(&server, PACK).await;
    let text = tools.fails("work", json!({"how": "echo"})).await;
    let nobody = "no_responders after : asking mesh.tasks: nobody listens on mesh.tasks";
    assert!(text.starts_with(nobody), "{text}");

    // Somebody takes the tasks, but nobody does the work.
    let (_client, served) = (worker(&server).await, json!(["mesh.gpu", "mesh.cpu"]));
    let silent = json!({"how": "silent", "served": served});
    let text = tools.fails("served", silent).await;
    let nobody = "no_responders: nobody listens on mesh.gpu, mesh.cpu ";
    assert!(text.starts_with(nobody), "{text}");

    let other = async_nats::connect(server.url()).await.unwrap();
    let mut asked = other.subscribe("mesh.cpu").await.unwrap();
    settled(&other).await;
    for n in 0..3 {
        let done = tools
            .ok("served", json!({"how": "echo", "n": n, "served": served}))
            .await;
        assert_eq!(done["got"]["output"], n);
    }
    let empty = timeout(LIMIT, asked.next()).await.unwrap().unwrap();
    assert!(empty.payload.is_empty());
    settled(&other).await;
    // It is remembered.
    assert!(asked.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_subject_that_may_not_be_asked_may_be_served() {
    let server = NatsServer::with_config(
        "authorization { users: [{ user: a, password: p },\
         { user: u, password: p, permissions: { publish: { deny: [\"mesh.gpu\"] } } }], }\nno_auth_user: a",
    );
    let _client = worker(&server).await;
    let url = format!("nats://u:p@127.0.0.1:{}", server.port());
    let tools = Tools::on(connected(config(url)).await, PACK);
    for served in [json!(["mesh.gpu"]), json!(["mesh.cpu", "mesh.gpu"])] {
        let args = json!({"how": "echo", "n": 4, "served": served});
        assert_eq!(tools.ok("served", args).await["got"]["output"], 4);
    }
    let text = tools
        .fails("served", json!({"how": "silent", "served": ["mesh.cpu"]}))
        .await;
    assert!(text.starts_with("no_responders: "), "{text}");
}

#[tokio::test]
async fn keys_are_bounded() {
    let server = NatsServer::start();
    let (tools, _client) = mesh(&server).await;
    let reply = tools.call("keyed", json!({"key": "k".repeat(1024)})).await;
    assert!(!reply.is_error, "{}", reply.text);
    for (key, size) in [(String::new(), 0), ("k".repeat(1025), 1025)] {
        let text = tools.fails("keyed", json!({"key": key})).await;
        let wrong = format!("range: the key of an answer has {size} bytes");
        assert!(text.starts_with(&wrong), "{text}");
    }
}

/// Waits until so many answers in `results` were nobody's.
async fn unclaimed(served: &Served, count: u32) {
    let line = format!("jacquard_answers_unclaimed_total{{inbox=\"results\"}} {count}\n");
    counted(served, &line).await;
}

/// Waits until the metrics say this.
async fn counted(served: &Served, line: &str) {
    let metrics = format!("http://{}/metrics", served.address());
    let started = Instant::now();
    loop {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        if text.contains(line) {
            return;
        }
        assert!(started.elapsed() < LIMIT, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn answers_to_calls_that_are_over_are_counted() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("mesh/mesh.yaml", PACK);
    let served = Served::with(&place, "packs: [./mesh]\n");
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut tasks = client.subscribe("mesh.tasks").await.unwrap();
    settled(&client).await;
    let web = Web::begin(&served.url).await;

    let text = web
        .said("work", json!({"how": "late", "timeout": "50ms"}))
        .await;
    assert!(text.starts_with("timeout after "), "{text}");
    let task = timeout(LIMIT, tasks.next()).await.unwrap().unwrap();
    let task: Value = serde_json::from_slice(&task.payload).unwrap();
    answer(&client, &task, &json!("late")).await;
    unclaimed(&served, 1).await;

    let waiting = tokio::spawn({
        let web = web.clone();
        let params = json!({"name": "work", "arguments": {"how": "late"}});
        let call =
            json!({"jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": params});
        async move { web.post(&call).await }
    });
    let task = timeout(LIMIT, tasks.next()).await.unwrap().unwrap();
    let task: Value = serde_json::from_slice(&task.payload).unwrap();
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}});
    assert_eq!(web.post(&cancelled).await.status(), 202);
    let cancelled = "jacquard_tool_calls_total{tool=\"work\",outcome=\"cancelled\"} 1";
    counted(&served, cancelled).await;
    answer(&client, &task, &json!("late")).await;
    unclaimed(&served, 2).await;
    waiting.abort();
}

#[tokio::test]
async fn two_gateways_do_not_hear_each_others_answers() {
    let server = NatsServer::start();
    let (first, client) = mesh(&server).await;
    let second = Tools::new(&server, PACK).await;
    let mut results = client.subscribe("mesh.results.>").await.unwrap();
    settled(&client).await;
    for tools in [&first, &second] {
        tools.ok("work", json!({"how": "echo"})).await;
    }
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let result = timeout(LIMIT, results.next()).await.unwrap().unwrap();
        let gateway = result.subject.split('.').nth(2).unwrap().to_owned();
        assert_eq!(gateway.len(), 12);
        gateways.push(gateway);
    }
    assert_ne!(gateways[0], gateways[1]);
}

#[tokio::test]
async fn a_lost_connection_ends_calls_soon_and_inboxes_hear_again_after_it() {
    let mut server = NatsServer::start();
    let (tools, client) = mesh(&server).await;
    tools.ok("work", json!({"how": "echo"})).await;
    let waiting = tokio::spawn({
        let tools = tools.clone();
        async move {
            tools
                .fails("work", json!({"how": "one stage", "tell": false}))
                .await
        }
    });
    let mut seen = client.subscribe("mesh.results.>").await.unwrap();
    settled(&client).await;
    // It waits once the worker has said its stage.
    let _ = timeout(LIMIT, seen.next()).await;
    server.kill();
    let text = timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert!(text.starts_with("disconnected after read: "), "{text}");
    assert!(text.contains("was lost while waiting"), "{text}");
    let text = tools.fails("work", json!({"how": "echo"})).await;
    assert!(text.starts_with("disconnected"), "{text}");
    server.restart();
    let started = Instant::now();
    loop {
        let args = json!({"how": "echo", "n": 3, "timeout": "2s"});
        let reply = tools.call("work", args).await;
        if !reply.is_error {
            assert_eq!(reply.structured.unwrap()["got"]["output"], 3);
            break;
        }
        assert!(started.elapsed() < LIMIT, "{}", reply.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
