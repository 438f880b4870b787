//! A gateway whose NATS goes away: its sessions go on, and nothing of them is lost.

use serde_json::json;

use super::{desk, serve};
use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

#[tokio::test]
async fn sessions_begin_and_go_on_without_nats_and_are_stored_when_it_is_back() {
    let mut server = NatsServer::start();
    let place = Place::on(&server);
    desk(&place);
    let config = "packs: [./desk]\nhttp: {sessions: {unbound: 200ms, idle: 200ms, sweep: 50ms}}\n";
    let mut served = Served::with(&place, config);
    let old = Web::begin(&served.url).await;
    old.said("desk_name", json!({"name": "ada"})).await;
    served.has_sessions(0).await;
    let held = Web::begin(&served.url).await;
    held.said("desk_name", json!({"name": "eve"})).await;
    let mut events = held.listen(None).await;
    let first = events.next().await.expect("the first event");
    server.kill();

    // Nobody can tell whether there is a session that is not here.
    assert_eq!(old.call("desk_who", json!({})).await.0, 503);
    assert_eq!(held.said("desk_who", json!({})).await, "eve plain");
    let said = held.said("desk_paint", json!({"color": "red"})).await;
    assert_eq!(said, "red");
    let (status, answer) = held.call("desk_say", json!({"text": "lost"})).await;
    assert_eq!(
        (status, &answer["result"]["isError"]),
        (200, &json!(true)),
        "{answer}"
    );
    let new = Web::begin(&served.url).await;
    new.said("desk_name", json!({"name": "new"})).await;
    assert_eq!(new.said("desk_who", json!({})).await, "new plain");
    drop(events);
    let mut events = held.listen(first.id.as_deref()).await;
    events.next().await.expect("the first event");
    drop(events);
    // Idle, and still here: it could not be found again.
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    served.has_sessions(2).await;

    server.restart();
    served.has_sessions(0).await;
    served.kill();
    let other = serve(&place);
    for (web, who) in [(&old, "ada plain"), (&held, "eve red"), (&new, "new plain")] {
        let web = web.at(&other.url);
        assert_eq!(web.said("desk_who", json!({})).await, who);
    }
    let (held, new) = (held.at(&other.url), new.at(&other.url));
    held.said("desk_say", json!({"text": "back"})).await;
    for (web, to, after) in [(&held, "eve", first.id.as_deref()), (&new, "new", None)] {
        let mut events = web.listen(after).await;
        let push = events.push().await;
        assert_eq!(push.data["params"], json!({"text": "back", "to": to}));
    }
}
