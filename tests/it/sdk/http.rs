//! Over streamable HTTP.

use serde_json::json;

use super::is_served;
use crate::support::http::Served;
use crate::support::place::Place;
use crate::support::sdk::{Client, Era, Sdk};
use crate::support::server::NatsServer;

fn serves(sdk: Sdk) {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let gateway = Served::start(&place, &[]);
    let mut client = Client::http(sdk, &place, &gateway.url);
    is_served(&mut client, &place, "me");
    client.close();
}

#[test]
fn python_is_served() {
    serves(Sdk::Python);
}

#[test]
fn node_is_served() {
    serves(Sdk::Node);
}

#[test]
fn python_of_the_second_generation_is_served() {
    serves(Sdk::Python2(Era::Old));
}

#[test]
fn node_of_the_second_generation_is_served() {
    serves(Sdk::Node2(Era::Old));
}

#[test]
fn each_client_has_a_session_of_its_own() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let gateway = Served::start(&place, &[]);
    let sdks = [Sdk::Python, Sdk::Node, Sdk::Node2(Era::Old)];
    let mut clients: Vec<Client> = sdks
        .into_iter()
        .chain(sdks)
        .map(|sdk| Client::http(sdk, &place, &gateway.url))
        .collect();
    let mut ids = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        client.ok(
            "warp_handle_set",
            json!({"handle": format!("agent-{number}")}),
        );
        ids.push(client.get("session").as_str().unwrap().to_owned());
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let got = client.ok("warp_handle_get", json!({}));
        assert_eq!(
            got["structuredContent"]["handle"],
            format!("agent-{number}")
        );
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), clients.len());
    clients.into_iter().for_each(Client::close);
}
