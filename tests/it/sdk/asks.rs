//! Questions to clients made with the SDKs: requests of the gateway in the versions with `initialize`, rounds in the one without.

use serde_json::{Value, json};

use crate::support::http::Served;
use crate::support::place::Place;
use crate::support::sdk::{Client, Era, Sdk};
use crate::support::server::NatsServer;

/// A client whose user answers this.
fn answers(client: &mut Client, user: Value) {
    let answers = json!({
        "elicitation/create": user,
        "sampling/createMessage": {
            "role": "assistant", "content": {"type": "text", "text": "All is new"}, "model": "m", "stopReason": "endTurn",
        },
        "roots/list": {"roots": [{"uri": "file:///srv/site", "name": "site"}]},
    });
    client.with("answers", json!({ "answers": answers }));
}

/// What the tool says, and what was asked on the way.
fn released(client: &mut Client, asked: &[&str]) -> Value {
    let call = json!({"tool": "release", "arguments": {"version": "1.2"}});
    let id = client.ask("call", call);
    let result = client.answer(id).unwrap();
    let mut methods: Vec<String> = asked
        .iter()
        .map(|_| client.told("asked").0.as_str().unwrap().to_owned())
        .collect();
    methods.sort();
    assert_eq!(methods, asked);
    result
}

fn is_asked(client: &mut Client) {
    let user = json!({"action": "accept", "content": {"sure": true}});
    answers(client, user);
    let all = ["elicitation/create", "roots/list", "sampling/createMessage"];
    let done = released(client, &all);
    let text = done["content"][0]["text"].as_str();
    let expected = "1.2 (beta): All is new in file:///srv/site";
    assert_eq!(text, Some(expected), "{done}");

    answers(client, json!({"action": "decline"}));
    let done = released(client, &all[..1]);
    let text = done["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Not released: declined"), "{done}");

    let user = json!({"action": "accept", "content": {"sure": false}});
    answers(client, user);
    let done = released(client, &all[..1]);
    assert_eq!(done["isError"], true, "{done}");
    let text = done["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Nobody is sure."), "{done}");
}

fn asks(sdk: Sdk) {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("release/release.yaml", include_str!("asks.yaml"));
    let config = place.write("jacquard.yaml", "packs: [./release]\n");
    let config = config.to_string_lossy().into_owned();
    let serve = ["serve", "--no-watch", "--config", &config];
    let mut client = Client::stdio(sdk, &place, &serve);
    is_asked(&mut client);
    client.close();
    let gateway = Served::start(&place, &["--config", &config]);
    let mut client = Client::http(sdk, &place, &gateway.url);
    is_asked(&mut client);
    client.close();
}

#[test]
fn python_is_asked_in_its_call() {
    asks(Sdk::Python2(Era::Old));
}

#[test]
fn python_is_asked_in_rounds() {
    asks(Sdk::Python2(Era::New));
}

#[test]
fn node_is_asked_in_its_call() {
    asks(Sdk::Node2(Era::Old));
}

#[test]
fn node_is_asked_in_rounds() {
    asks(Sdk::Node2(Era::New));
}
