//! Queues as a pack declares them and MCP clients use them, on a real server.

use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

async fn agent(place: &Place, lease: &str, attempts: u32) -> Agent {
    place.write("line/tools.yaml", include_str!("queues.yaml"));
    let settings = format!("settings: {{line: {{lease: {lease}, attempts: {attempts}}}}}");
    let config = place.write("jacquard.yaml", &format!("packs: [./line]\n{settings}\n"));
    Agent::start(place.command(&["serve", "--config", config.to_str().unwrap()])).await
}

/// The one structured value of a tool that answers with one.
async fn ask(agent: &Agent, tool: &str, args: Value) -> Value {
    let answer = agent.ok(tool, args).await.structured;
    let (_, value) = answer.as_object().unwrap().iter().next().unwrap();
    value.clone()
}

async fn take(agent: &Agent) -> Value {
    ask(agent, "take", json!({})).await
}

#[tokio::test]
async fn the_most_urgent_work_goes_first_and_comes_back_with_its_story() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (anna, bert) = (agent(&place, "30s", 2).await, agent(&place, "30s", 2).await);
    assert_eq!(take(&anna).await["found"], false);
    assert_eq!(
        anna.refused("take_or_say", json!({})).await,
        "Nothing to do."
    );
    for (id, level) in [("low", 1), ("high", 9), ("mid", 5)] {
        let added = anna.ok("add", json!({"id": id, "level": level})).await;
        assert_eq!(added.structured["duplicate"], false);
    }
    let twice = anna.ok("add", json!({"id": "low", "level": 1})).await;
    assert_eq!(twice.structured["duplicate"], true);

    let high = take(&anna).await;
    assert_eq!(high["id"], "high");
    assert_eq!(high["level"], 9);
    assert_eq!(
        (&high["attempt"], &high["attempts"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(high["with"], json!({"skill": "rust", "team": "us"}));
    assert_eq!(high["data"]["id"], "high");
    assert_eq!(take(&bert).await["id"], "mid");

    let token = json!({"token": high["token"], "note": {"percent": 40}});
    let held = ask(&anna, "hold", token).await;
    assert_eq!(held["note"], json!({"percent": 40}));
    assert!(held["until"].as_str().unwrap() >= high["until"].as_str().unwrap());
    let page = ask(&bert, "look", json!({})).await;
    let seen: Vec<(&str, &str)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["id"].as_str().unwrap(), i["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [("high", "claimed"), ("mid", "claimed"), ("low", "pending")]
    );
    assert_eq!(page["items"][0]["note"], json!({"percent": 40}));
    assert_eq!(page["items"][2]["holder"], Value::Null);
    let page = ask(&bert, "look", json!({"state": "claimed", "limit": 1})).await;
    assert_eq!(
        (&page["count"], &page["matching"], &page["total"]),
        (&json!(1), &json!(2), &json!(3))
    );
    let lanes = ask(&bert, "count", json!({})).await;
    assert_eq!(
        lanes,
        json!([{"skill": "rust", "team": "us", "pending": 1, "claimed": 2, "messages": 3}])
    );

    let token = json!({"token": high["token"]});
    assert_eq!(ask(&bert, "back", token.clone()).await["dead"], false);
    let text = anna.refused("done", token).await;
    assert!(text.starts_with("lease_lost: "), "{text}");
    let again = take(&bert).await;
    assert_eq!(
        (&again["id"], &again["attempt"]),
        (&json!("high"), &json!(2))
    );
    assert!(
        again["errors"][0].as_str().unwrap().contains("too hard"),
        "{again}"
    );
    let token = json!({"token": again["token"]});
    assert_eq!(ask(&bert, "done", token.clone()).await["duplicate"], false);
    assert_eq!(ask(&bert, "done", token).await["duplicate"], true);
}

#[tokio::test]
async fn what_nobody_can_do_is_a_dead_letter_until_it_is_revived_or_discarded() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let anna = agent(&place, "30s", 2).await;
    for id in ["a.b *", "B", "b"] {
        anna.ok("add", json!({"id": id, "skill": "C++"})).await;
        let skills = json!({"skills": ["C++"]});
        let claim = ask(&anna, "take", skills).await;
        assert_eq!(claim["id"], id);
        let back = json!({"token": claim["token"], "dead": true, "reason": format!("no {id}")});
        assert_eq!(ask(&anna, "back", back).await["dead"], true);
    }
    let page = ask(&anna, "lost", json!({"limit": 2})).await;
    assert_eq!(page["count"], 2);
    assert_eq!(page["total"], 3);
    assert_eq!(page["items"][0]["id"], "a.b *");
    assert_eq!(page["items"][0]["first"], "C++");
    assert_eq!(page["items"][0]["data"]["reason"], "no a.b *");
    let rest = json!({"limit": 2, "cursor": page["next"]});
    let rest = ask(&anna, "lost", rest).await;
    assert_eq!(
        (&rest["items"][0]["id"], &rest["next"]),
        (&json!("b"), &Value::Null)
    );
    let none = json!({"first": "c++", "limit": 5});
    assert_eq!(ask(&anna, "lost", none).await["count"], 0);
    let cursor = json!({"limit": 2, "first": "C++", "cursor": page["next"]});
    let text = anna.refused("lost", cursor).await;
    assert!(text.contains("other filters"), "{text}");

    let one = ask(&anna, "lost", json!({"id": "B"})).await;
    assert_eq!(
        (&one["count"], &one["items"][0]),
        (&json!(1), &page["items"][1])
    );
    let back = json!({"letter": one["items"][0], "skill": "C++", "level": 7});
    assert_eq!(anna.ok("again", back.clone()).await.text, "B is back as 4.");
    let text = anna.refused("again", back).await;
    assert!(text.starts_with("not_found: "), "{text}");
    let revived = ask(&anna, "take", json!({"skills": ["C++"]})).await;
    assert_eq!(
        (&revived["id"], &revived["level"]),
        (&json!("B"), &json!(7))
    );
    anna.ok("forget", json!({"id": "b"})).await;
    assert_eq!(
        anna.refused("forget", json!({"id": "b"})).await,
        "There is no dead letter b."
    );
    let page = ask(&anna, "lost", json!({})).await;
    assert_eq!(
        (&page["total"], &page["items"][0]["id"]),
        (&json!(1), &json!("a.b *"))
    );
}

#[tokio::test]
async fn poison_and_what_is_too_late_is_buried_instead_of_handed_out() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let anna = agent(&place, "30s", 2).await;
    let late = json!({"id": "late", "more": {"deadline": "2020-01-01T00:00:00Z"}});
    anna.ok("add", late).await;
    let plain = async_nats::connect(server.url()).await.unwrap();
    let plain = async_nats::jetstream::new(plain);
    let subject = format!("{}.work.rust.us.p1", place.namespace);
    for poison in ["no json", "{\"id\":{}}", "[]", ""] {
        let ack = plain.publish(subject.clone(), poison.into()).await.unwrap();
        ack.await.unwrap();
    }
    anna.ok("add", json!({"id": "tired", "more": {"attempts": 1}}))
        .await;
    let claim = take(&anna).await;
    assert_eq!(
        (&claim["id"], &claim["attempt"]),
        (&json!("tired"), &json!(2))
    );
    let page = ask(&anna, "lost", json!({})).await;
    assert_eq!(page["total"], 5, "{page}");
    let reasons: Vec<&str> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["data"]["reason"].as_str().unwrap())
        .collect();
    assert!(reasons[0].contains("2020-01-01"), "{reasons:?}");
    assert!(
        reasons[1..].iter().all(|r| r.contains("work item")),
        "{reasons:?}"
    );
    assert_eq!(page["items"][1]["data"]["item"], "no json");
}

#[tokio::test]
async fn work_whose_last_holder_is_gone_is_swept_although_nobody_claims() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (gone, left) = (agent(&place, "2s", 1).await, agent(&place, "2s", 1).await);
    left.ok("add", json!({"id": "x"})).await;
    assert_eq!(take(&gone).await["id"], "x");
    drop(gone);
    let started = Instant::now();
    let page = loop {
        let page = ask(&left, "lost", json!({})).await;
        if page["count"] == 1 {
            break page;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "never swept");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(started.elapsed() > Duration::from_millis(1_500));
    assert_eq!(page["items"][0]["id"], "x");
    let errors = page["items"][0]["data"]["errors"].to_string();
    assert!(errors.contains("ran out"), "{errors}");
    assert_eq!(ask(&left, "count", json!({})).await, json!([]));
}

#[tokio::test]
async fn a_durable_of_another_program_is_used_as_it_is() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let anna = agent(&place, "30s", 3).await;
    let add = json!({"queue": "shared", "skill": "go", "id": "1"});
    anna.ok("add", add).await;
    let plain = async_nats::connect(server.url()).await.unwrap();
    let plain = async_nats::jetstream::new(plain);
    let stream = format!("{}_SHARED_GO", place.namespace);
    let stream = plain.get_stream(stream).await.unwrap();
    let durable = pull::Config {
        durable_name: Some("worker-GO".into()),
        ack_wait: Duration::from_secs(300),
        max_deliver: 3,
        ..pull::Config::default()
    };
    stream.create_consumer(durable).await.unwrap();
    let other = format!("{}.shared.go", place.namespace);
    let ack = plain.publish(other, r#"{"id":"2"}"#.into()).await.unwrap();
    ack.await.unwrap();
    let skills = json!({"queue": "shared", "skills": ["go", "go"]});
    let first = ask(&anna, "take", skills.clone()).await;
    assert_eq!(first["id"], "1");
    let until = first["until"].as_str().unwrap();
    let until = time::OffsetDateTime::parse(until, &time::format_description::well_known::Rfc3339);
    let left = until.unwrap() - time::OffsetDateTime::now_utc();
    assert!((200..=300).contains(&left.whole_seconds()), "{left}");
    assert_eq!(ask(&anna, "take", skills.clone()).await["id"], "2");
    assert_eq!(ask(&anna, "take", skills).await["found"], false);
    let from = json!({"queue": "shared", "from": [{"skill": "go", "team": "a"}, {"skill": "go", "team": "b"}]});
    let lanes = ask(&anna, "count", from).await;
    assert_eq!(lanes[0]["claimed"], 2, "{lanes}");
    assert_eq!(lanes.as_array().unwrap().len(), 1);
    let done = json!({"queue": "shared", "token": first["token"]});
    ask(&anna, "done", done).await;
    assert_eq!(stream.get_info().await.unwrap().state.messages, 1);
}

#[tokio::test]
async fn a_waiting_claim_hears_the_door_bell_and_lanes_stay_apart() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (anna, bert) = (agent(&place, "30s", 2).await, agent(&place, "30s", 2).await);
    let skills = [
        "code-review",
        "code_review",
        "c++",
        "c%%",
        "ü",
        "deadletter",
        "A",
        "a",
    ];
    let waiting = async {
        let started = Instant::now();
        let claim = ask(&bert, "take", json!({"skills": skills, "wait": "20s"})).await;
        (claim, started.elapsed())
    };
    let adding = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        anna.ok("add", json!({"id": "bell", "skill": "ü"})).await;
    };
    let ((claim, took), ()) = tokio::join!(waiting, adding);
    assert_eq!(claim["with"]["skill"], "ü");
    assert!(took < Duration::from_secs(5), "{took:?}");
    for skill in skills {
        anna.ok("add", json!({"id": skill, "skill": skill})).await;
    }
    for skill in skills {
        let claim = ask(&bert, "take", json!({"skills": [skill]})).await;
        assert_eq!(
            (&claim["id"], &claim["with"]["skill"]),
            (&json!(skill), &json!(skill))
        );
    }
    assert_eq!(
        ask(&bert, "take", json!({"skills": skills})).await["found"],
        false
    );
    let lanes = ask(&anna, "count", json!({})).await;
    let mut found: Vec<&str> = lanes
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["skill"].as_str().unwrap())
        .collect();
    let mut wanted = skills.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_would() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let anna = agent(&place, "30s", 2).await;
    let long = "x".repeat(300);
    for (tool, args, part) in [
        (
            "add",
            json!({"id": "x", "queue": "wrok"}),
            "did you mean `work`?",
        ),
        ("add", json!({"id": "x", "level": 11}), "from 1 to 10"),
        ("add", json!({"id": "x", "level": 0}), "from 1 to 10"),
        (
            "add",
            json!({"id": "x", "queue": "shared", "level": 2}),
            "from 1 to 1",
        ),
        (
            "add",
            json!({"id": "x", "more": {"id": "y"}}),
            "finds the id \"y\"",
        ),
        ("add", json!({"id": ""}), "at most 200 bytes"),
        ("add", json!({"id": long}), "at most 200 bytes"),
        ("add", json!({"id": "x", "skill": ""}), "at most 200 bytes"),
        ("take", json!({"skills": []}), "1 to 64"),
        ("take", json!({"wait": "1m"}), "at most 30s"),
        ("take", json!({"skills": vec!["x"; 65]}), "1 to 64"),
        ("done", json!({"token": "nonsense"}), "not_found: "),
        ("done", json!({"token": "a.b.c d"}), "not_found: "),
        ("back", json!({"token": ""}), "not_found: "),
        ("hold", json!({"token": long}), "not_found: "),
        (
            "count",
            json!({"queue": "shared", "from": [{"skill": "x"}]}),
            "`team`",
        ),
        ("look", json!({"limit": 0}), "from 1 to 1000"),
        ("lost", json!({"cursor": "x"}), "cursor"),
    ] {
        let text = anna.refused(tool, args.clone()).await;
        assert!(text.contains(part), "{tool} {args}: {text}");
    }
}
