//! Tasks and several gateways: any answers for them, and goes on with them.

use std::time::Instant;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::stateless::request;
use crate::support::LIMIT;
use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// A gateway of its own process that serves `errands`.
fn serve(place: &Place) -> Served {
    place.write("errands/errands.yaml", include_str!("errands.yaml"));
    Served::with(place, "packs: [./errands]\n")
}

/// What a client without a session asks for; the whole answer.
async fn ask(gateway: &Served, method: &str, params: Value) -> Value {
    let response = request(&gateway.url, None, method, params).send().await;
    let text = response.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

/// Begins a task; its id.
async fn begin(gateway: &Served, tool: &str, args: Value) -> String {
    let answer = ask(
        gateway,
        "tools/call",
        json!({"name": tool, "arguments": args}),
    )
    .await;
    let task = &answer["result"];
    assert_eq!(task["resultType"], "task", "{answer}");
    task["taskId"].as_str().unwrap().to_owned()
}

async fn get(gateway: &Served, id: &str) -> Value {
    ask(gateway, "tasks/get", json!({"taskId": id})).await["result"].take()
}

/// The state of a task once this holds for it.
async fn until(gateway: &Served, id: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let state = get(gateway, id).await;
        if holds(&state) {
            return state;
        }
        assert!(started.elapsed() < LIMIT, "{state}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn ended(gateway: &Served, id: &str) -> Value {
    let is_over = |state: &Value| state["status"] != "working" && !state.is_null();
    until(gateway, id, is_over).await
}

fn text(state: &Value) -> &str {
    state["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
}

/// What the tools have stored, in order: `begin` or `end`, and the text.
async fn stored(server: &NatsServer, place: &Place) -> Vec<(String, String)> {
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client);
    let stream = stream
        .get_stream(format!("{}_DONE", place.namespace))
        .await
        .unwrap();
    let last = stream.cached_info().state.last_sequence;
    let mut found = Vec::new();
    for seq in 1..=last {
        let message = stream.get_raw_message(seq).await.unwrap();
        let what = message.subject.rsplit('.').next().unwrap().to_owned();
        found.push((what, String::from_utf8(message.payload.to_vec()).unwrap()));
    }
    found
}

/// How often each was stored.
async fn counts(server: &NatsServer, place: &Place, name: &str) -> (usize, usize) {
    let stored = stored(server, place).await;
    let count =
        |what: &str, text: &str| stored.iter().filter(|s| s.0 == what && s.1 == text).count();
    (count("begin", name), count("end", &name.to_uppercase()))
}

#[tokio::test]
async fn any_gateway_answers_for_a_task_and_stops_it() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (first, second) = (serve(&place), serve(&place));
    let id = begin(&first, "errand_run", json!({"name": "a", "seconds": 1})).await;
    let state = get(&second, &id).await;
    assert_eq!(state["status"], "working", "{state}");
    assert!(state["ttlMs"].as_u64() >= Some(600_000), "{state}");
    until(&second, &id, |state| {
        state["statusMessage"] == "1 of 2: under way"
    })
    .await;
    let state = ended(&second, &id).await;
    assert_eq!(text(&state), "A is done.", "{state}");
    assert_eq!(state["status"], "completed");
    // The rounds of a step are messages of their own.
    assert_eq!(counts(&server, &place, "a").await, (1, 2));

    let id = begin(&first, "errand_run", json!({"name": "b", "seconds": 300})).await;
    until(&second, &id, |state| state["statusMessage"].is_string()).await;
    let cancelled = ask(&second, "tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(
        cancelled["result"],
        json!({"resultType": "complete"}),
        "{cancelled}"
    );
    for gateway in [&first, &second] {
        assert_eq!(get(gateway, &id).await["status"], "cancelled");
    }
    let again = ask(&first, "tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(again["result"], json!({"resultType": "complete"}));
    has(&first, "jacquard_tasks_running 0").await;
    assert_eq!(counts(&server, &place, "b").await, (1, 0));
    for unknown in ["nope", "5f2c1d5e-93a7-4a57-8f4e-0c8ad3ac2c55"] {
        let answer = ask(&second, "tasks/get", json!({"taskId": unknown})).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

/// Waits for a line among the metrics.
async fn has(gateway: &Served, line: &str) {
    let metrics = format!("http://{}/metrics", gateway.address());
    let started = Instant::now();
    loop {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        if text.contains(line) {
            return;
        }
        assert!(started.elapsed() < LIMIT, "{line} is not in {text}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_task_outlives_a_gateway_that_is_killed() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (mut first, second) = (serve(&place), serve(&place));
    let id = begin(&first, "errand_run", json!({"name": "a", "seconds": 2})).await;
    until(&second, &id, |state| state["statusMessage"].is_string()).await;
    first.kill();
    let state = ended(&second, &id).await;
    assert_eq!(text(&state), "A is done.", "{state}");
    assert_eq!(counts(&server, &place, "a").await, (1, 2));
    has(&second, "jacquard_tasks_taken_over_total 1").await;
    has(
        &second,
        "jacquard_tasks_ended_total{status=\"completed\"} 1",
    )
    .await;
}

#[tokio::test]
async fn a_gateway_that_stops_gives_its_tasks_away() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut first = serve(&place);
    let id = begin(&first, "errand_run", json!({"name": "a", "seconds": 2})).await;
    until(&first, &id, |state| state["statusMessage"].is_string()).await;
    // Also to one that starts later, after all have gone.
    let stopped = tokio::task::spawn_blocking(move || first.stop()).await;
    assert!(stopped.unwrap().success());
    let second = serve(&place);
    let state = ended(&second, &id).await;
    assert_eq!(text(&state), "A is done.", "{state}");
    assert_eq!(counts(&server, &place, "a").await, (1, 2));
}

#[tokio::test]
async fn a_step_that_may_have_been_done_is_not_run_again() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let client = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("{}.ask", place.namespace);
    let mut asked = client.subscribe(subject).await.unwrap();
    client.flush().await.unwrap();
    for kill in [true, false] {
        let (mut first, second) = (serve(&place), serve(&place));
        let id = begin(&first, "errand_ask", json!({})).await;
        asked.next().await.expect("a question");
        if kill {
            first.kill();
        } else {
            let stopped = tokio::task::spawn_blocking(move || first.stop()).await;
            assert!(stopped.unwrap().success());
        }
        let state = ended(&second, &id).await;
        assert_eq!(state["status"], "failed", "{state}");
        let said = state["error"]["message"].as_str().unwrap();
        assert!(said.contains("step 1 of `errand_ask`"), "{said}");
        assert!(said.contains("may have been done or not"), "{said}");
    }
}

#[tokio::test]
async fn a_task_goes_on_when_nats_is_back() {
    let mut server = NatsServer::start();
    let place = Place::on(&server);
    let gateway = serve(&place);
    let id = begin(&gateway, "errand_run", json!({"name": "a", "seconds": 1})).await;
    until(&gateway, &id, |state| state["statusMessage"].is_string()).await;
    server.kill();
    // Who runs it knows how it stands.
    let state = get(&gateway, &id).await;
    assert_eq!(state["status"], "working", "{state}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    server.restart();
    let state = ended(&gateway, &id).await;
    assert_eq!(text(&state), "A is done.", "{state}");
    assert_eq!(counts(&server, &place, "a").await, (1, 2));
}

#[tokio::test]
async fn of_a_crowd_none_is_lost_and_none_is_done_twice() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (mut first, second) = (serve(&place), serve(&place));
    let mut ids = Vec::new();
    for n in 0..20 {
        let gateway = if n % 2 == 0 { &first } else { &second };
        let args = json!({"name": format!("n{n}"), "seconds": f64::from(n) / 10.0});
        ids.push(begin(gateway, "errand_run", args).await);
    }
    first.kill();
    let third = serve(&place);
    for (n, id) in ids.iter().enumerate() {
        let gateway = if n % 2 == 0 { &third } else { &second };
        let state = ended(gateway, id).await;
        assert_eq!(text(&state), format!("N{n} is done."), "{state}");
    }
    for n in 0..ids.len() {
        assert_eq!(
            counts(&server, &place, &format!("n{n}")).await,
            (1, 2),
            "{n}"
        );
    }
}

#[tokio::test]
async fn a_task_that_asks_takes_its_answers_at_any_gateway() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (mut first, second) = (serve(&place), serve(&place));
    let id = begin(&first, "errand_sure", json!({})).await;
    let asks = |state: &Value| state["status"] == "input_required";
    let state = until(&second, &id, asks).await;
    let asked = state["inputRequests"].as_object().unwrap();
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["name", "sure"]);
    assert_eq!(asked["sure"]["method"], "elicitation/create", "{state}");
    assert_eq!(asked["sure"]["params"]["message"], "Sure?", "{state}");
    let answer = async |gateway: &Served, answers: Value| {
        ask(
            gateway,
            "tasks/update",
            json!({"taskId": id, "inputResponses": answers}),
        )
        .await
    };
    let odd = answer(&second, json!({"sure": 1})).await;
    assert_eq!(odd["error"]["code"], -32602, "{odd}");
    let huge = json!({"sure": {"action": "accept", "content": {"yes": "x".repeat(1 << 20)}}});
    let huge = answer(&second, huge).await;
    assert_eq!(huge["error"]["code"], -32602, "{huge}");
    let given = json!({"sure": {"action": "accept", "content": {"yes": true}}, "other": {}});
    let taken = answer(&second, given).await;
    assert_eq!(
        taken["result"],
        json!({"resultType": "complete"}),
        "{taken}"
    );
    let state = get(&second, &id).await;
    assert_eq!(state["status"], "input_required", "{state}");
    let left = state["inputRequests"].as_object().unwrap();
    assert_eq!(left.keys().collect::<Vec<_>>(), ["name"]);
    // What is answered stays answered, whoever goes on.
    first.kill();
    has(&second, "jacquard_tasks_taken_over_total 1").await;
    let state = until(&second, &id, asks).await;
    let left = state["inputRequests"].as_object().unwrap();
    assert_eq!(left.keys().collect::<Vec<_>>(), ["name"]);
    answer(
        &second,
        json!({"name": {"action": "accept", "content": {"name": "Ada"}}}),
    )
    .await;
    let state = ended(&second, &id).await;
    assert_eq!(text(&state), "Ada said true.", "{state}");
}

#[tokio::test]
async fn a_tool_that_runs_as_a_task_only_says_what_its_clients_need() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let gateway = serve(&place);
    let id = begin(&gateway, "errand_only", json!({})).await;
    assert_eq!(text(&ended(&gateway, &id).await), "Done.");
    let web = Web::begin(&gateway.url).await;
    let (_, answer) = web.call("errand_only", json!({})).await;
    assert_eq!(answer["error"]["code"], -32021, "{answer}");
    let needed = &answer["error"]["data"]["requiredCapabilities"]["extensions"];
    assert!(needed[super::stateless::TASKS].is_object(), "{answer}");
}
