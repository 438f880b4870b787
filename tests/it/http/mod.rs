//! The gateway over HTTP: what stands in front, and its sessions.

mod abandoned;
mod announce;
mod auth;
mod bad_input;
mod client;
mod errands;
mod gate;
mod guards;
mod headers;
mod health;
mod news;
mod outage;
mod owners;
mod pages;
mod polling;
mod replicas;
mod resume;
mod sessions;
pub mod stateless;
mod tasks;

use futures_util::StreamExt as _;
use jacquard::gateway::Setup;
use jacquard::project::{Environment, discover};
use jacquard::spec::config;
use jacquard::spec::source::Source;
use tokio::time::timeout;

use crate::support::LIMIT;
use crate::support::http::Served;
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// Writes the pack `desk` and a config that serves it; gives the config's path.
pub fn desk(place: &Place) -> String {
    place.write("desk/desk.yaml", include_str!("desk.yaml"));
    let path = place.write("jacquard.yaml", "packs: [./desk]\n");
    path.to_string_lossy().into_owned()
}

/// A gateway of its own process that serves `desk`.
fn serve(place: &Place) -> Served {
    Served::start(place, &["-c", &desk(place)])
}

/// What a gateway in this process that serves `desk` is made from.
pub fn setup(place: &Place, server: &NatsServer) -> Setup {
    let text = std::fs::read_to_string(desk(place)).unwrap();
    let (config, report) = config::load(Source::new("jacquard.yaml", text), None);
    let env: Environment = [("NATS_URL", server.url())].into_iter().collect();
    Setup {
        config: config.unwrap_or_else(|| panic!("{report}")),
        base: place.dir(),
        facts: discover(Some(&place.dir()), None, &env).unwrap(),
        allow_local: false,
    }
}

/// Somebody who hears what `desk_wait` asks, and never answers.
async fn silent(place: &Place, server: &NatsServer) -> async_nats::Subscriber {
    let client = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("{}.silent", place.namespace);
    let mut silent = client.subscribe(subject.clone()).await.unwrap();
    // Once it hears itself, the server knows of it: a flush alone does not wait for that.
    client.publish(subject, "ready".into()).await.unwrap();
    timeout(LIMIT, silent.next()).await.unwrap().unwrap();
    silent
}
