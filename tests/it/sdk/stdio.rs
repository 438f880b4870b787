//! Over standard input and output.

use super::is_served;
use crate::support::place::Place;
use crate::support::sdk::{Client, Era, SDKS, Sdk};
use crate::support::server::NatsServer;

fn serves(sdk: Sdk) {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut client = Client::stdio(sdk, &place, &["serve"]);
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
fn all_are_served_without_nats() {
    let mut gone = NatsServer::stopped("");
    let place = Place::at(&format!("nats://127.0.0.1:{}", gone.reserve_port()));
    for sdk in SDKS {
        let mut client = Client::stdio(sdk, &place, &["serve"]);
        assert!(client.get("list")["tools"].is_array());
        let answer = client
            .call("warp_channels_status", serde_json::json!({}))
            .unwrap();
        assert_eq!(answer["isError"], true, "{answer}");
        client.close();
    }
}
