//! How far a call is, told to clients that ask, over both transports.

use serde_json::{Value, json};

use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

const PACK: &str = r#"
tools:
  steps:
    description: Tells each step of three, and one that is less than what was told.
    steps:
      - progress: {done: "{{ item }}", total: 3, message: "step {{ item }}"}
        each: "[1, 2, 2, 1, 3]"
    reply: {text: done}
"#;

const CONFIG: &str = "packs: [./steps]\n";

fn config(place: &Place) -> String {
    place.write("steps/steps.yaml", PACK);
    let path = place.write("jacquard.yaml", CONFIG);
    path.to_string_lossy().into_owned()
}

fn asking() -> Value {
    json!({"name": "steps", "arguments": {}, "_meta": {"progressToken": "t1"}})
}

/// What is told before the answer.
fn expected() -> Vec<Value> {
    let told = |n: u32| json!({"progressToken": "t1", "progress": f64::from(n), "total": 3.0, "message": format!("step {n}")});
    (1..=3).map(told).collect()
}

#[test]
fn a_client_on_stdio_is_told_before_the_answer_and_only_if_it_asks() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = config(&place);
    let mut raw = Raw::start(place.command(&["serve", "-c", &config]));
    raw.request(1, "tools/call", asking());
    // They stand before the answer, or this would wait for ever.
    let told: Vec<Value> = (0..3)
        .map(|_| raw.notification("notifications/progress"))
        .collect();
    assert_eq!(told, expected());
    assert_eq!(raw.answer(1)["result"]["content"][0]["text"], "done");
    assert_eq!(raw.tool("2", "steps", json!({})).0, "done");
    raw.close();
}

#[tokio::test]
async fn a_client_over_http_is_told_on_the_stream_of_its_call() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    config(&place);
    let served = Served::with(&place, CONFIG);
    let web = Web::begin(&served.url).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": asking()});
    let mut events = Events::of(web.post(&call).await);
    for expected in expected() {
        assert_eq!(events.push().await.data["params"], expected);
    }
    let answer = events.push().await.data;
    assert_eq!(answer["result"]["content"][0]["text"], "done");
}
