//! Names: who has one, who loses it, and who is there.

use serde_json::json;

use super::{Talker, gateway, until};
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::{signal, wait_for};

#[test]
fn a_name_goes_over_to_who_registers_it_last() {
    let server = NatsServer::start();
    let mut first = Talker::join(&server, "bob", "red");
    let mut second = Talker::join(&server, "bob", "blue");
    let told = first.push();
    assert_eq!(told["meta"], json!({"kind": "evicted", "name": "bob"}));
    assert_eq!(
        first.refused("channel_send", json!({"channel": "c", "message": "x"})),
        "Error: You (bob) not registered. Call agent_register first."
    );
    let mut ann = Talker::join(&server, "ann", "red");
    ann.say("agent_dm", json!({"to": "bob", "message": "who are you?"}));
    assert_eq!(second.push()["meta"]["from_agent"], "ann");
    // One agent is listed, and leaving is only for who has the name.
    let list = ann.say("agent_discover", json!({}));
    assert!(list.starts_with("Active agents (2):"), "{list}");
    let answer = first.json("agent_deregister", json!({"name": "bob"}));
    assert_eq!(answer["message"], "was already gone or never registered");
    second.say(
        "channel_send",
        json!({"channel": "c", "message": "still here"}),
    );
}

#[test]
fn of_many_who_register_at_once_one_has_the_name_and_the_others_are_told() {
    let server = NatsServer::start();
    let talkers: Vec<Talker> = (0..4)
        .map(|_| Talker::start(gateway(&Place::on(&server), &[])))
        .collect();
    let args = json!({"name": "bob", "description": "one of many"});
    let threads: Vec<_> = talkers
        .into_iter()
        .map(|mut talker| {
            let args = args.clone();
            std::thread::spawn(move || {
                let (text, refused) = talker.whole("agent_register", args);
                assert_eq!(refused, text.contains("at the same moment"), "{text}");
                (talker, refused)
            })
        })
        .collect();
    let mut talkers: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    let post = json!({"name": "bob", "channel": "c", "message": "x"});
    let mut may = Vec::new();
    wait_for("one to have the name", || {
        let sends = talkers.iter_mut();
        may = sends
            .map(|(talker, _)| !talker.whole("channel_send", post.clone()).1)
            .collect();
        may.iter().filter(|may| **may).count() <= 1
    });
    assert_eq!(may.iter().filter(|may| **may).count(), 1);
    for ((talker, refused), may) in talkers.iter_mut().zip(may) {
        if !may && !*refused {
            assert_eq!(talker.push()["meta"]["kind"], "evicted");
        }
    }
}

#[test]
fn who_takes_another_name_leaves_the_one_before() {
    let server = NatsServer::start();
    let mut ann = Talker::join(&server, "ann", "red");
    let mut bob = Talker::join(&server, "bob", "red");
    bob.register("rob", "blue");
    until(&mut ann, "agent_discover", &json!({}), |t| {
        t.contains("- rob (") && !t.contains("- bob (")
    });
    assert_eq!(
        ann.refused("agent_dm", json!({"to": "bob", "message": "x"})),
        "Error: agent 'bob' not registered. Use agent_discover to see active agents."
    );
    bob.refused(
        "agent_dm",
        json!({"name": "bob", "to": "ann", "message": "x"}),
    );
    ann.say("agent_dm", json!({"to": "rob", "message": "x"}));
    assert_eq!(bob.push()["meta"]["to_agent"], "rob");
}

#[test]
fn who_ends_in_order_is_gone_at_once_and_who_starts_knows_everybody() {
    let server = NatsServer::start();
    let mut ann = Talker::join(&server, "ann", "red");
    let bob = Talker::join(&server, "bob", "red");
    until(&mut ann, "agent_discover", &json!({}), |t| {
        t.contains("- bob (")
    });
    bob.raw.close();
    until(&mut ann, "agent_discover", &json!({}), |t| {
        t.starts_with("Active agents (1):")
    });
    let stale = ann.say("agent_discover", json!({"include_stale": true}));
    assert!(stale.contains("): stale | group: red"), "{stale}");
    let mut cem = Talker::start(gateway(&Place::on(&server), &[]));
    assert!(cem.say("agent_discover", json!({})).contains("- ann ("));
    assert_eq!(
        cem.register("cem", "red")["peers"],
        json!([{"name": "ann", "group": "red"}])
    );
}

#[test]
fn who_is_killed_is_gone_after_half_a_minute() {
    let server = NatsServer::start();
    let mut ann = Talker::join(&server, "ann", "red");
    let bob = Talker::join(&server, "bob", "red");
    until(&mut ann, "agent_discover", &json!({}), |t| {
        t.contains("- bob (")
    });
    signal("-KILL", bob.raw.pid());
    let started = std::time::Instant::now();
    while ann.say("agent_discover", json!({})).contains("- bob (") {
        assert!(started.elapsed().as_secs() < 60, "a ghost stays");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    // Ann has gone on beating meanwhile.
    assert!(ann.say("agent_discover", json!({})).contains("- ann ("));
}
