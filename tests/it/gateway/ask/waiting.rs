//! Clients of the versions that are asked while they wait.

use serde_json::{Value, json};

use super::{CONFIG, accepted, all, config, sampled};
use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

fn client(place: &Place, capabilities: Value) -> Raw {
    let config = config(place);
    let mut raw = Raw::spawn(place.command(&["serve", "-c", &config]));
    raw.initialize_as(capabilities);
    raw
}

/// Answers the next request of the gateway of this method; gives its parameters.
fn answer(raw: &mut Raw, method: &str, result: Value) -> Value {
    let mut asked = raw.message(method);
    raw.line(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string());
    asked["params"].take()
}

fn said(raw: &mut Raw, id: &str) -> (String, bool) {
    let answer = raw.answer(id);
    let text = answer["result"]["content"][0]["text"].as_str();
    let text = text.unwrap_or_else(|| panic!("{answer}")).to_owned();
    (text, answer["result"]["isError"] == true)
}

#[test]
fn the_call_waits_for_the_answer() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut raw = client(&place, all());
    raw.call("c1", "deploy", json!({"what": "web"}));
    let params = answer(
        &mut raw,
        "elicitation/create",
        accepted(json!({"sure": true})),
    );
    assert_eq!(params["message"], "Deploy web?");
    assert_eq!(
        params["requestedSchema"]["properties"]["replicas"]["default"],
        2
    );
    let (text, is_error) = said(&mut raw, "c1");
    assert!(!is_error && text.contains(r#""replicas":2"#), "{text}");

    raw.call("c2", "polite", json!({}));
    answer(&mut raw, "elicitation/create", json!({"action": "cancel"}));
    assert_eq!(
        said(&mut raw, "c2"),
        ("as you wish (declined)".to_owned(), true)
    );

    raw.call("c3", "deploy", json!({"what": "web"}));
    answer(&mut raw, "elicitation/create", accepted(json!({"sure": 5})));
    let (text, is_error) = said(&mut raw, "c3");
    assert!(
        is_error && text.contains("`confirm` does not fit") && text.contains("sure"),
        "{text}"
    );

    raw.call("c4", "rounds", json!({}));
    answer(&mut raw, "elicitation/create", accepted(json!({"v": "1"})));
    let second = raw.message("elicitation/create");
    let (text, is_error) = said(&mut raw, "c4");
    assert!(
        is_error && text.contains("has not answered `two`"),
        "{text}"
    );
    let cancelled = raw.notification("notifications/cancelled");
    assert_eq!(cancelled["requestId"], second["id"]);

    raw.request("p1", "prompts/get", json!({"name": "review"}));
    answer(
        &mut raw,
        "elicitation/create",
        accepted(json!({"path": "a.rs"})),
    );
    let prompt = raw.answer("p1");
    assert_eq!(
        prompt["result"]["messages"][0]["content"]["text"],
        "Review a.rs."
    );
    raw.request("p2", "resources/read", json!({"uri": "mood://ada"}));
    answer(&mut raw, "sampling/createMessage", sampled("fine"));
    assert_eq!(raw.answer("p2")["result"]["contents"][0]["text"], "fine");
    raw.close();
}

#[test]
fn a_user_a_model_and_a_client_are_asked_at_once() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut raw = client(&place, all());
    raw.call("c1", "several", json!({}));
    // All of them are there before any is answered.
    let mut forms = [
        raw.message("elicitation/create"),
        raw.message("elicitation/create"),
    ];
    forms.sort_by_key(|form| form["params"]["mode"] == "url");
    let (poem, folders) = (
        raw.message("sampling/createMessage"),
        raw.message("roots/list"),
    );
    let [form, page] = forms;
    let url = page["params"]["url"].as_str().unwrap();
    assert!(url.starts_with("https://example.org/"), "{url}");
    assert!(page["params"]["elicitationId"].is_string());
    for (asked, result) in [
        (&page, json!({"action": "accept"})),
        (&folders, json!({"roots": [{"uri": "file:///a"}]})),
        (&form, accepted(json!({"name": "ada"}))),
        (&poem, sampled("roses")),
    ] {
        raw.line(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string());
    }
    let expected = "ada roses m1 file:///a false true";
    assert_eq!(said(&mut raw, "c1"), (expected.to_owned(), false));
    raw.close();
}

#[test]
fn a_client_that_cannot_or_will_not_is_told_in_words() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut raw = client(&place, json!({}));
    let (text, is_error) = raw.tool("c1", "deploy", json!({"what": "web"}));
    assert!(is_error && text.contains("`elicitation`"), "{text}");
    assert_eq!(raw.tool("c2", "perhaps", json!({})).0, "no");
    raw.close();
    let mut raw = client(&place, all());
    raw.call("c1", "polite", json!({}));
    let asked = raw.message("elicitation/create");
    let error = json!({"code": -32603, "message": "no user here"});
    raw.line(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}).to_string());
    assert_eq!(
        said(&mut raw, "c1"),
        ("as you wish (cannot_ask)".to_owned(), true)
    );
    // Nor does a call wait for an answer that was none.
    raw.call("c4", "polite", json!({}));
    let asked = raw.message("elicitation/create");
    raw.line(&json!({"jsonrpc": "2.0", "id": asked["id"], "error": 5}).to_string());
    assert_eq!(
        said(&mut raw, "c4"),
        ("as you wish (cannot_ask)".to_owned(), true)
    );

    // A call that is taken back takes its question back.
    raw.call("c2", "deploy", json!({"what": "web"}));
    let asked = raw.message("elicitation/create");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c2"}});
    raw.line(&cancel.to_string());
    let cancelled = raw.notification("notifications/cancelled");
    assert_eq!(cancelled["requestId"], asked["id"]);
    assert_eq!(raw.tool("c3", "who", json!({})).0, "raw 1 2025-06-18 true");
    raw.close();
}

fn called(id: u64, tool: &str, args: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": args}})
}

#[tokio::test]
async fn over_http_the_question_comes_on_the_stream_of_its_call() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    config(&place);
    let (served, other) = (Served::with(&place, CONFIG), Served::with(&place, CONFIG));
    let web = Web::begin_with(&served.url, None, all()).await;
    let mut events = Events::of(web.post(&called(1, "deploy", json!({"what": "web"}))).await);
    let asked = events.push().await.data;
    assert_eq!(asked["method"], "elicitation/create");
    let result =
        json!({"jsonrpc": "2.0", "id": asked["id"], "result": accepted(json!({"sure": true}))});
    assert_eq!(web.post(&result).await.status(), 202);
    let answer = events.push().await.data;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(r#""sure":true"#), "{text}");

    // Where a session goes to another gateway, nobody waits for an answer that arrives there.
    let mut events = Events::of(web.post(&called(2, "deploy", json!({"what": "web"}))).await);
    let asked = events.push().await.data;
    let result =
        json!({"jsonrpc": "2.0", "id": asked["id"], "result": accepted(json!({"sure": true}))});
    assert_eq!(web.at(&other.url).post(&result).await.status(), 202);
    let answer = events.push().await.data;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("another gateway"), "{text}");
}

#[tokio::test]
async fn over_http_all_questions_of_a_crowd_arrive_and_a_session_that_ends_takes_its_questions_along()
 {
    let server = NatsServer::start();
    let place = Place::on(&server);
    config(&place);
    let served = Served::with(&place, CONFIG);
    let web = Web::begin_with(&served.url, None, all()).await;
    let mut events = Events::of(web.post(&called(1, "crowd", json!({}))).await);
    // Nothing is answered until all have been asked.
    let mut asked = Vec::new();
    while asked.len() < 24 {
        asked.push(events.push().await.data["id"].clone());
    }
    for id in asked {
        let result = json!({"jsonrpc": "2.0", "id": id, "result": {"roots": []}});
        assert_eq!(web.post(&result).await.status(), 202);
    }
    let answer = events.push().await.data;
    assert_eq!(answer["result"]["content"][0]["text"], "24", "{answer}");

    let mut events = Events::of(web.post(&called(2, "deploy", json!({"what": "web"}))).await);
    events.push().await;
    web.end().await;
    let answer = events.push().await.data;
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("it was closed"), "{text}");

    // What a client is refused is no trouble of the gateway.
    let web = Web::begin_with(&served.url, None, all()).await;
    let (_, refused) = web.call("nothing", json!({})).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let log = served.stderr();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}
