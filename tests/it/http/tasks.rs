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
async fn a_task_outlives_its_session() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut asked = Asked::on(&server, &place).await;
    let served = Served::start(&place, &["-c", &jobs(&place)]);
    let (one, other) = (Web::begin(&served.url).await, Web::begin(&served.url).await);
    let call = json!({"name": "jobs_ask", "arguments": {}});
    let task = ask(&one, "tools/call", call).await;
    let id = task["result"]["taskId"].clone();
    assert!(id.is_string(), "{task}");
    let question = asked.question().await;
    assert!(one.end().await < 300);
    asked.answer(question, "yes").await;
    // Nobody has to say who they are: whoever knows the id has the task.
    let get = async || ask(&other, "tasks/get", json!({"taskId": id})).await;
    let state = ended(get).await;
    let said = &state["result"]["result"]["structuredContent"]["said"];
    assert_eq!(said, "yes", "{state}");
}

/// Two who log in.
const AUTH: &str = "packs: [./jobs]
auth:
  tokens:
    - {name: ann, token: ann-token-0123456789}
    - {name: bob, token: bob-token-0123456789}
";

#[tokio::test]
async fn a_task_is_of_who_began_it() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut asked = Asked::on(&server, &place).await;
    jobs(&place);
    let served = Served::with(&place, AUTH);
    let send = async |token: &str, method: &str, params: Value| {
        let request = request(&served.url, None, method, params);
        read(request.bearer_auth(token).send().await.unwrap()).await
    };
    let (ann, bob) = ("ann-token-0123456789", "bob-token-0123456789");
    let call = json!({"name": "jobs_ask", "arguments": {}});
    let task = send(ann, "tools/call", call).await;
    let id = task["result"]["taskId"].clone();
    let question = asked.question().await;
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({"taskId": id, "inputResponses": {}});
        let answer = send(bob, method, params).await;
        assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
    }
    asked.answer(question, "yes").await;
    let state = ended(async || send(ann, "tasks/get", json!({"taskId": id})).await).await;
    let said = &state["result"]["result"]["structuredContent"]["said"];
    assert_eq!(said, "yes", "{state}");
}
