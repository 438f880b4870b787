//! Calls as tasks, over pipes; and rounds of a step that run side by side.

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::LIMIT;
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::{NatsServer, settled};

const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Writes the pack `jobs` and a config that serves it; gives the config's path.
pub fn jobs(place: &Place) -> String {
    place.write("jobs/jobs.yaml", include_str!("jobs.yaml"));
    let path = place.write("jacquard.yaml", "packs: [./jobs]\n");
    path.to_string_lossy().into_owned()
}

/// Somebody who hears what `jobs_ask` asks, and answers when told to.
pub struct Asked {
    client: async_nats::Client,
    questions: async_nats::Subscriber,
}

impl Asked {
    pub async fn on(server: &NatsServer, place: &Place) -> Self {
        let client = async_nats::connect(server.url()).await.unwrap();
        let subject = format!("{}.ask", place.namespace);
        let questions = client.subscribe(subject).await.unwrap();
        client.flush().await.unwrap();
        Self { client, questions }
    }

    pub async fn question(&mut self) -> async_nats::Message {
        let question = timeout(LIMIT, self.questions.next()).await;
        question.expect("a question in time").expect("a question")
    }

    /// Hears no more.
    pub async fn leave(mut self) {
        self.questions.unsubscribe().await.unwrap();
        settled(&self.client).await;
    }

    pub async fn answer(&self, question: async_nats::Message, text: &str) {
        let to = question.reply.expect("somebody waits");
        let text = text.to_owned().into();
        self.client.publish(to, text).await.unwrap();
        self.client.flush().await.unwrap();
    }
}

/// A client that knows tasks, or not.
fn begin(place: &Place, knows: bool) -> (Raw, Value) {
    let mut raw = Raw::spawn(place.command(&["serve", "-c", &jobs(place)]));
    let extensions = if knows { json!({TASKS: {}}) } else { json!({}) };
    let params = json!({
        "protocolVersion": "2025-06-18", "capabilities": {"extensions": extensions},
        "clientInfo": {"name": "raw", "version": "1"}
    });
    raw.request("init", "initialize", params);
    let hello = raw.answer("init");
    raw.line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    (raw, hello)
}

/// The state of a task once it is no longer working.
fn ended(raw: &mut Raw, id: &Value) -> Value {
    let mut state = Value::Null;
    crate::support::wait_for("the end of a task", || {
        raw.request("get", "tasks/get", json!({"taskId": id}));
        state = raw.answer("get")["result"].take();
        state["status"] != "working"
    });
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_tasks_asks_for_the_result_later() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut asked = Asked::on(&server, &place).await;
    let (mut raw, hello) = begin(&place, true);
    let offered = &hello["result"]["capabilities"]["extensions"][TASKS];
    assert!(offered.is_object(), "{hello}");
    raw.call(1, "jobs_ask", json!({}));
    let task = raw.answer(1)["result"].take();
    assert_eq!(task["resultType"], "task", "{task}");
    assert_eq!(task["status"], "working", "{task}");
    let id = task["taskId"].clone();
    let question = asked.question().await;
    raw.request(2, "tasks/get", json!({"taskId": id}));
    let state = raw.answer(2)["result"].take();
    assert_eq!(state["status"], "working");
    assert_eq!(state["statusMessage"], "1 of 2: asked", "{state}");
    asked.answer(question, "yes").await;
    let state = ended(&mut raw, &id);
    assert_eq!(state["status"], "completed", "{state}");
    assert_eq!(state["result"]["structuredContent"], json!({"said": "yes"}));
    assert_eq!(state["result"]["content"][0]["text"], "They said yes.");
    assert!(state["ttlMs"].as_u64() >= Some(600_000), "{state}");

    raw.call(3, "jobs_ask", json!({}));
    let id = raw.answer(3)["result"]["taskId"].take();
    asked.question().await;
    raw.request(4, "tasks/cancel", json!({"taskId": id}));
    assert!(raw.answer(4)["result"].is_object());
    assert_eq!(ended(&mut raw, &id)["status"], "cancelled");
    raw.request(5, "tasks/get", json!({"taskId": "nope"}));
    let error = raw.answer(5)["error"].take();
    assert_eq!(error["code"], -32602, "{error}");
    // What fails is a result, too.
    asked.leave().await;
    raw.call(6, "jobs_ask", json!({}));
    let id = raw.answer(6)["result"]["taskId"].take();
    let result = ended(&mut raw, &id)["result"].take();
    assert_eq!(result["isError"], true, "{result}");
    assert_eq!(result["content"][0]["text"], "nobody is there");
    // One that still runs does not hold up the end.
    let mut asked = Asked::on(&server, &place).await;
    raw.call(7, "jobs_ask", json!({}));
    raw.answer(7);
    asked.question().await;
    raw.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_none_waits_for_the_answer() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut asked = Asked::on(&server, &place).await;
    let (mut raw, _) = begin(&place, false);
    raw.call(1, "jobs_ask", json!({}));
    let question = asked.question().await;
    asked.answer(question, "no").await;
    let answer = raw.answer(1);
    assert_eq!(
        answer["result"]["structuredContent"],
        json!({"said": "no"}),
        "{answer}"
    );
    raw.request(2, "tasks/get", json!({"taskId": "x"}));
    assert!(raw.answer(2)["error"]["code"].is_i64());
    raw.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_run_side_by_side_and_keep_their_order() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut asked = Asked::on(&server, &place).await;
    let (mut raw, _) = begin(&place, true);
    raw.call(1, "jobs_all", json!({"words": ["a", "b", "c", "d"]}));
    let mut questions = Vec::new();
    for _ in 0..3 {
        questions.push(asked.question().await);
    }
    // The last first: the fourth begins when the first is done.
    for question in questions.into_iter().rev() {
        let text = String::from_utf8(question.payload.to_vec()).unwrap();
        asked.answer(question, &text.to_uppercase()).await;
    }
    let last = asked.question().await;
    assert_eq!(&last.payload[..], b"d");
    asked.answer(last, "D").await;
    assert_eq!(raw.answer(1)["result"]["content"][0]["text"], "A B C D");
    raw.close();
}
