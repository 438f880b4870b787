//! Agents whose sessions are over HTTP: they outlive gateways, and a name outlives no session.

use serde_json::{Value, json};

use super::{PUSH, untrailed};
use crate::support::LIMIT;
use crate::support::http::{Events, Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// A session that has registered.
pub async fn join(url: &str, name: &str, group: &str) -> Web {
    let web = Web::begin(url).await;
    let said = register(&web, name, group).await;
    assert!(said.contains("Registered"), "{said}");
    web
}

pub async fn register(web: &Web, name: &str, group: &str) -> String {
    let args = json!({"name": name, "description": "At work", "group": group});
    web.said("agent_register", args).await
}

/// Who said something that was pushed, and what.
pub fn heard(push: &Value) -> (String, String) {
    assert_eq!(push["method"], PUSH, "{push}");
    let content = push["params"]["content"].as_str().unwrap();
    let (_, text) = content.split_once("] ").unwrap();
    let from = push["params"]["meta"]["from_agent"].as_str().unwrap();
    (from.to_owned(), text.to_owned())
}

/// Writes to an agent; the answer without its trailer.
async fn dm(web: &Web, name: &str, to: &str, message: &str) -> String {
    let args = json!({"name": name, "to": to, "message": message});
    untrailed(&web.said("agent_dm", args).await)
}

/// The same, once the agent is known to the gateway.
async fn dm_sent(web: &Web, name: &str, to: &str, message: &str) {
    let started = std::time::Instant::now();
    loop {
        let said = dm(web, name, to, message).await;
        if said.starts_with("DM published") {
            return;
        }
        assert!(started.elapsed() < LIMIT, "{said}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn hears(events: &mut Events, from: &str, text: &str) -> String {
    let event = events.push().await;
    assert_eq!(heard(&event.data), (from.to_owned(), text.to_owned()));
    event.id.expect("an id")
}

async fn structured(web: &Web, tool: &str, args: Value) -> Value {
    let (status, mut answer) = web.call(tool, args).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    answer["result"]["structuredContent"].take()
}

#[tokio::test]
async fn a_session_goes_on_with_name_place_and_handle_when_its_gateway_is_killed() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = "packs: [warp, agents]\n";
    let (mut first, second) = (Served::with(&place, config), Served::with(&place, config));
    let ada = join(&first.url, "ada", "red").await;
    let ben = join(&second.url, "ben", "red").await;
    let registered = async |web: &Web, handle: &str| {
        structured(web, "warp_handle_set", json!({"handle": handle})).await;
        let args = json!({"agentType": "developer", "capabilities": ["build"]});
        structured(web, "warp_registry_register", args).await["guid"].clone()
    };
    let guid = registered(&ada, "ada-at-work").await;
    registered(&ben, "ben-at-work").await;
    for number in 1..=3 {
        let args = json!({"recipientGuid": guid, "message": format!("letter {number}")});
        structured(&ben, "warp_messages_send_direct", args).await;
    }
    let letters = async |web: &Web, limit: u32| -> Value {
        let inbox = structured(web, "warp_messages_read_direct", json!({"limit": limit})).await;
        let texts = inbox["messages"].as_array().unwrap().iter();
        json!([
            texts.map(|m| m["content"].clone()).collect::<Vec<_>>(),
            inbox["unread"]
        ])
    };
    assert_eq!(letters(&ada, 1).await, json!([["letter 1"], 2]));
    let mut events = ada.listen(None).await;
    events.next().await.expect("the first event");
    dm_sent(&ben, "ben", "ada", "before").await;
    let last = hears(&mut events, "ben", "before").await;
    dm_sent(&ben, "ben", "ada", "not taken any more").await;
    first.kill();
    for text in ["while it was down", "and once more"] {
        dm_sent(&ben, "ben", "ada", text).await;
    }

    let ada = ada.at(&second.url);
    let mut events = ada.listen(Some(&last)).await;
    for text in ["not taken any more", "while it was down", "and once more"] {
        hears(&mut events, "ben", text).await;
    }
    assert!(
        dm(&ada, "ada", "ben", "I am back")
            .await
            .starts_with("DM published")
    );
    let mut answers = ben.listen(None).await;
    hears(&mut answers, "ada", "I am back").await;
    dm_sent(&ben, "ben", "ada", "welcome").await;
    hears(&mut events, "ben", "welcome").await;
    let handle = structured(&ada, "warp_handle_get", json!({})).await;
    assert_eq!(handle["handle"], "ada-at-work");
    assert_eq!(
        letters(&ada, 10).await,
        json!([["letter 2", "letter 3"], 0])
    );
    let polled = untrailed_json(&ada.said("poll_messages", json!({"name": "ada"})).await);
    assert_eq!(polled["messages"].as_array().unwrap().len(), 5, "{polled}");
}

/// An answer that is JSON.
fn untrailed_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn who_was_away_and_has_lost_the_name_is_not_registered_any_more() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = "packs: [agents]\nhttp: {sessions: {unbound: 300ms, idle: 300ms, sweep: 50ms}}\n";
    let (first, second) = (Served::with(&place, config), Served::with(&place, config));
    let ada = join(&first.url, "ada", "red").await;
    let stays = join(&first.url, "stays", "red").await;
    first.has_sessions(0).await;
    let heir = join(&second.url, "ada", "blue").await;

    let said = dm(&ada, "ada", "stays", "Do you know me?").await;
    assert_eq!(
        said,
        "Error: You (ada) not registered. Call agent_register first."
    );
    let mut nothing = ada.listen(None).await;
    nothing.next().await.expect("the first event");
    // Whose name is still free goes on with it, and is known again at once.
    let mut events = stays.listen(None).await;
    events.next().await.expect("the first event");
    dm_sent(&heir, "ada", "stays", "I am the one").await;
    hears(&mut events, "ada", "I am the one").await;
    dm_sent(&stays, "stays", "ada", "So you are").await;
    let mut inherited = heir.listen(None).await;
    hears(&mut inherited, "stays", "So you are").await;
    // Under another name it hears again, and nothing of what was not for it.
    register(&ada, "eve", "red").await;
    dm_sent(&heir, "ada", "eve", "Hello, eve").await;
    hears(&mut nothing, "ada", "Hello, eve").await;
}
