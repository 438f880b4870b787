//! Over streamable HTTP.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use serde_json::json;

use super::is_served;
use crate::support::place::Place;
use crate::support::sdk::{Client, SDKS, Sdk};
use crate::support::server::NatsServer;
use crate::support::wait_for;

/// A gateway at an address of its own. Dropping it kills it.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Served {
    /// With more arguments, on a free port.
    pub fn start(place: &Place, args: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = place
            .command(&[&["serve", "--http", &free.to_string()], args].concat())
            .env("LOG_LEVEL", "error")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("the gateway", || TcpStream::connect(free).is_ok());
        Self {
            child,
            url: format!("http://{free}/mcp"),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
fn each_client_has_a_session_of_its_own() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let gateway = Served::start(&place, &[]);
    let mut clients: Vec<Client> = SDKS
        .into_iter()
        .chain(SDKS)
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
