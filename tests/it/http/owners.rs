//! Whose a session is, and whose a name.

use serde_json::{Value, json};

use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const ANN: &str = "ann-token-0123456789";
const BOB: &str = "bob-token-0123456789";
const CONFIG: &str = "packs: [agents]
auth:
  tokens:
    - {name: ann, token: ann-token-0123456789}
    - {name: bob, token: bob-token-0123456789}
toolsets:
  all: {tools: ['*']}
  see: {tools: ['*_history', agent_register]}
";

async fn join(url: &str, token: &str, name: &str) -> (Web, String) {
    let web = Web::begin_as(url, Some(token)).await;
    let args = json!({"name": name, "description": "At work"});
    let said = web.said("agent_register", args).await;
    (web, said)
}

/// The status and the code with which a session is refused, by every method.
async fn refused(web: &Web) {
    let (status, answer) = web.call("channel_list", json!({})).await;
    assert_eq!((status, &answer["error"]["code"]), (404, &json!(-32001)));
    let get = web.request(reqwest::Method::GET).send().await.unwrap();
    assert_eq!(get.status(), 404);
    let body: Value = get.json().await.unwrap();
    assert_eq!(body["error"]["code"], -32001, "{body}");
    assert_eq!(web.end().await, 404);
}

#[tokio::test]
async fn a_session_is_of_who_began_it_and_of_its_toolset_in_every_gateway() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (mut first, second) = (Served::with(&place, CONFIG), Served::with(&place, CONFIG));
    let (ann, said) = join(&first.url, ANN, "ada").await;
    assert!(said.contains("Registered"), "{said}");
    let set = format!("{}/see", first.url);
    let (seeing, _) = join(&set, ANN, "seer").await;
    for known in [&first, &second] {
        refused(&ann.at(&known.url).with(Some(BOB))).await;
        refused(&ann.at(&format!("{}/all", known.url))).await;
        refused(&seeing.at(&known.url)).await;
        refused(&seeing.at(&format!("{}/all", known.url))).await;
    }
    let nobody = ann.with(None);
    assert_eq!(nobody.call("channel_list", json!({})).await.0, 401);
    // None of that has done the sessions any harm, also when their gateway is gone.
    let post = json!({"name": "ada", "channel": "c", "message": "here"});
    let said = ann.said("channel_send", post.clone()).await;
    assert!(said.starts_with("Message logged"), "{said}");
    first.kill();
    refused(&ann.at(&second.url).with(Some(BOB))).await;
    refused(&seeing.at(&second.url)).await;
    let said = ann.at(&second.url).said("channel_send", post).await;
    assert!(said.starts_with("Message logged"), "{said}");
    let seeing = seeing.at(&format!("{}/see", second.url));
    let said = seeing
        .said("channel_history", json!({"channel": "c"}))
        .await;
    assert!(said.starts_with("#c history (2):"), "{said}");
}

#[tokio::test]
async fn the_name_of_somebody_else_is_not_given_away_while_they_are_there() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (first, second) = (Served::with(&place, CONFIG), Served::with(&place, CONFIG));
    let (ann, _) = join(&first.url, ANN, "ada").await;
    for url in [&first.url, &second.url] {
        let (_, said) = join(url, BOB, "ada").await;
        let why = "Error: the name 'ada' belongs to somebody else, who is active.";
        assert!(said.starts_with(why), "{said}");
    }
    // To another session of the same user it goes over.
    let (again, said) = join(&second.url, ANN, "ada").await;
    assert!(said.contains("Registered"), "{said}");
    let post = json!({"name": "ada", "channel": "c", "message": "here"});
    let said = again.said("channel_send", post.clone()).await;
    assert!(said.starts_with("Message logged"), "{said}");
    let started = std::time::Instant::now();
    while !ann
        .said("channel_send", post.clone())
        .await
        .starts_with("Error: You (ada) not registered")
    {
        assert!(started.elapsed() < crate::support::LIMIT);
    }
    // Who leaves leaves the name to anybody.
    again.said("agent_deregister", json!({"name": "ada"})).await;
    let (_, said) = join(&first.url, BOB, "ada").await;
    assert!(said.contains("Registered"), "{said}");
}
