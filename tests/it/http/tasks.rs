//! Calls as tasks, over HTTP.

use serde_json::{Value, json};

use super::stateless::{TASKS, request};
use crate::gateway::tasks::{Asked, jobs};
use crate::support::LIMIT;
use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// What a client of a session that knows tasks says; gives the answer.
async fn ask(web: &Web, method: &str, mut params: Value) -> Value {
    params["_meta"] =
        json!({"io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}}}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    read(web.post(&body).await).await
}

async fn read(response: reqwest::Response) -> Value {
    let text = response.text().await.unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap_or(&text)).unwrap_or_else(|_| panic!("{text}"))
}

/// The state of a task once it is no longer working.
async fn ended(mut get: impl AsyncFnMut() -> Value) -> Value {
    let started = std::time::Instant::now();
    loop {
        let state = get().await;
        if state["result"]["status"] != "working" {
            return state;
        }
        assert!(started.elapsed() < LIMIT, "{state}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_task_is_its_sessions_and_ends_with_it() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut asked = Asked::on(&server, &place).await;
    let served = Served::start(&place, &["-c", &jobs(&place)]);
    let (one, other) = (Web::begin(&served.url).await, Web::begin(&served.url).await);
    let call = json!({"name": "jobs_ask", "arguments": {}});
    let task = ask(&one, "tools/call", call.clone()).await;
    let id = task["result"]["taskId"].clone();
    assert!(id.is_string(), "{task}");
    let question = asked.question().await;
    let strange = ask(&other, "tasks/get", json!({"taskId": id})).await;
    assert_eq!(strange["error"]["code"], -32602, "{strange}");
    asked.answer(question, "yes").await;
    let get = async || ask(&one, "tasks/get", json!({"taskId": id})).await;
    let state = ended(get).await;
    let said = &state["result"]["result"]["structuredContent"]["said"];
    assert_eq!(said, "yes", "{state}");

    ask(&one, "tools/call", call).await;
    asked.question().await;
    assert!(one.end().await < 300);
    let metrics = format!("http://{}/metrics", served.address());
    let cancelled = "jacquard_tool_calls_total{tool=\"jobs_ask\",outcome=\"cancelled\"} 1";
    let started = std::time::Instant::now();
    loop {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        if text.contains(cancelled) {
            break;
        }
        assert!(started.elapsed() < LIMIT, "{text}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn without_a_session_whoever_knows_the_id_has_the_task() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut asked = Asked::on(&server, &place).await;
    let served = Served::start(&place, &["-c", &jobs(&place)]);
    for (named, stranger) in [(None, Some("other")), (Some("mine"), None)] {
        let send = async |named: Option<&str>, method: &str, params: Value| {
            let response = request(&served.url, named, method, params).send().await;
            read(response.unwrap()).await
        };
        let call = json!({"name": "jobs_ask", "arguments": {}});
        let task = send(named, "tools/call", call).await;
        let id = task["result"]["taskId"].clone();
        assert!(id.is_string(), "{task}");
        let question = asked.question().await;
        let strange = send(stranger, "tasks/get", json!({"taskId": id})).await;
        assert!(strange["error"].is_object(), "{strange}");
        asked.answer(question, "yes").await;
        let state = ended(async || send(named, "tasks/get", json!({"taskId": id})).await).await;
        let said = &state["result"]["result"]["structuredContent"]["said"];
        assert_eq!(said, "yes", "{state}");
    }
}
