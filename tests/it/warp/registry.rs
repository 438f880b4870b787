//! Who is there: entries of both programs, presence, and what others may see.

use std::time::Duration;

use serde_json::{Value, json};

use super::{OLD_ID, UUID, agent, entry, plain, registry, stamp, until, with};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::signal;

#[tokio::test]
async fn an_entry_has_the_fields_of_the_original_in_their_order_and_no_credentials() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let url = server.url().replace("nats://", "nats://somebody:hunter2@");
    let session = Agent::start(with(&place, &[("NATS_URL", &url), ("USER", "ada")])).await;
    let args = json!({"agentType": "developer", "capabilities": ["a", "b"], "scope": "public"});
    let answer = session.ok("warp_registry_register", args).await;
    let guid = super::text(&answer.structured["guid"]);
    let plain = plain(&server).await;
    let bytes = registry(&plain).await.get(&guid).await.unwrap().unwrap();
    let text = std::str::from_utf8(&bytes).unwrap();
    assert!(
        !text.contains("hunter2") && !session.stderr().contains("hunter2"),
        "{text}"
    );
    let value: Value = serde_json::from_str(text).unwrap();
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "guid",
            "agentType",
            "handle",
            "hostname",
            "projectId",
            "natsUrl",
            "capabilities",
            "scope",
            "status",
            "currentTaskCount",
            "registeredAt",
            "lastHeartbeat",
            "username"
        ]
    );
    assert_eq!(
        (&value["status"], &value["currentTaskCount"]),
        (&json!("online"), &json!(0))
    );
    assert_eq!(value["username"], "ada");
    assert!(value["natsUrl"].as_str().unwrap().starts_with("nats://"));
    // The inbox is there when the entry is: senders of the original publish to it at once.
    let stream = plain
        .get_stream(format!("INBOX_{}", guid.replace('-', "_")))
        .await
        .unwrap();
    let config = &stream.cached_info().config;
    assert_eq!(config.subjects, [format!("global.agent.{guid}")]);
    assert_eq!(
        (config.max_messages, config.max_age),
        (1000, Duration::from_secs(7 * 86_400))
    );
}

#[tokio::test]
async fn agents_of_the_original_are_found_as_they_are() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let store = registry(&plain(&server).await).await;
    for (key, value) in [
        (OLD_ID, entry(OLD_ID, json!({"handle": "old-id"}))),
        (
            UUID,
            entry(UUID, json!({"handle": "uuid", "username": null})),
        ),
        ("free-form", entry("free-form", json!({"handle": "free"}))),
        (
            "legacy",
            entry(
                "legacy",
                json!({"handle": "legacy", "scope": "project", "visibility": "public"}),
            ),
        ),
        (
            "thin",
            json!({"guid": "thin", "scope": "public", "lastHeartbeat": stamp(0)}).to_string(),
        ),
        (
            "odd",
            json!({"guid": "odd", "scope": "public", "lastHeartbeat": stamp(0), "capabilities": 5,
                   "status": 7, "handle": null, "hostname": [], "currentTaskCount": "many"})
            .to_string(),
        ),
        ("nothing", "not json".into()),
        ("empty", String::new()),
        ("list", "[1]".into()),
        ("strange", entry("strange", json!({"scope": "world"}))),
    ] {
        store.put(key, value.into()).await.unwrap();
    }
    let (session, guid) = agent(&place, "developer", &[]).await;
    let found = session.ok("warp_registry_discover", json!({})).await;
    let mut names: Vec<&str> = found.structured["agents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["guid"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    let mut expected = vec![OLD_ID, UUID, "free-form", "legacy", "odd", "thin", &guid];
    expected.sort_unstable();
    assert_eq!(names, expected);
    let capable = json!({"capability": "code-review", "hostname": "demo-host"});
    let found = session.ok("warp_registry_discover", capable).await;
    assert_eq!(found.structured["total"], 4);
    for id in [OLD_ID, UUID, "free-form"] {
        let info = session
            .ok("warp_registry_get_info", json!({"guid": id}))
            .await;
        assert_eq!(info.structured["guid"], id);
        // Of another project, and public: no project, no server, no user.
        assert!(
            info.structured.get("projectId").is_none() && info.structured.get("natsUrl").is_none()
        );
        assert_eq!(info.structured["hostname"], "demo-host");
    }
    for id in ["nothing", "strange", "nobody"] {
        let text = session
            .refused("warp_registry_get_info", json!({"guid": id}))
            .await;
        assert_eq!(text, "Error: Agent not found or not visible to you.");
    }
}

#[tokio::test]
async fn filters_pick_and_offline_agents_are_found_when_asked_for() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let store = registry(&plain(&server).await).await;
    for (id, changes) in [
        ("a", json!({"capabilities": ["x", "y"], "agentType": "t1"})),
        (
            "b",
            json!({"status": "busy", "hostname": "h2", "capabilities": ["y"]}),
        ),
        ("c", json!({"status": "offline"})),
        // Beaten long ago, and still saying that it is online.
        ("d", json!({"lastHeartbeat": stamp(-181)})),
        // Gone for more than a day.
        ("e", json!({"lastHeartbeat": stamp(-86_401)})),
    ] {
        store.put(id, entry(id, changes).into()).await.unwrap();
    }
    let (session, me) = agent(&place, "developer", &[]).await;
    let ask = async |args: Value| {
        let found = session.ok("warp_registry_discover", args).await;
        let list = found.structured["agents"].as_array().unwrap().clone();
        assert_eq!(found.structured["total"], list.len());
        let mut ids: Vec<String> = list.iter().map(|a| super::text(&a["guid"])).collect();
        ids.retain(|id| *id != me);
        ids.sort();
        ids
    };
    assert_eq!(ask(json!({})).await, ["a", "b"]);
    assert_eq!(ask(json!({"capability": "y"})).await, ["a", "b"]);
    assert_eq!(ask(json!({"capability": "x"})).await, ["a"]);
    assert_eq!(ask(json!({"agentType": "t1"})).await, ["a"]);
    assert_eq!(ask(json!({"hostname": "h2"})).await, ["b"]);
    assert_eq!(ask(json!({"status": "busy"})).await, ["b"]);
    assert_eq!(ask(json!({"status": "offline"})).await, ["c", "d"]);
    assert_eq!(
        ask(json!({"includeOffline": true})).await,
        ["a", "b", "c", "d"]
    );
    assert_eq!(ask(json!({"scope": "private"})).await, [""; 0]);
    let info = session
        .ok("warp_registry_get_info", json!({"guid": "d"}))
        .await;
    assert_eq!(info.structured["status"], "offline");
}

#[tokio::test]
async fn whoever_is_gone_for_a_day_is_cleared_away_with_an_empty_inbox() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let plain = plain(&server).await;
    let store = registry(&plain).await;
    for id in ["gone", "waiting"] {
        store
            .put(
                id,
                entry(id, json!({"lastHeartbeat": stamp(-90_000)})).into(),
            )
            .await
            .unwrap();
        plain
            .create_stream(async_nats::jetstream::stream::Config {
                name: format!("INBOX_{id}"),
                subjects: vec![format!("global.agent.{id}")],
                ..Default::default()
            })
            .await
            .unwrap();
    }
    plain
        .publish("global.agent.waiting", "{}".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let (_session, _) = agent(&place, "developer", &[]).await;
    assert!(store.get("gone").await.unwrap().is_none());
    assert!(plain.get_stream("INBOX_gone").await.is_err());
    assert!(store.get("waiting").await.unwrap().is_some());
    assert!(plain.get_stream("INBOX_waiting").await.is_ok());
}

#[tokio::test]
async fn a_session_that_ends_in_order_is_offline_at_once() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (watcher, _) = agent(&place, "watcher", &[]).await;
    let offline = |answer: &crate::support::mcp::Answer| answer.structured["status"] == "offline";
    let (leaving, guid) = agent(&place, "leaving", &[]).await;
    let ask = json!({"guid": guid});
    let info = watcher.ok("warp_registry_get_info", ask.clone()).await;
    assert_eq!(info.structured["status"], "online");
    leaving.close().await;
    until(&watcher, "warp_registry_get_info", ask.clone(), offline).await;
    // The same seat again, and a signal instead of an end of input.
    let (told, again) = agent(&place, "told", &[]).await;
    assert_eq!(again, guid);
    signal("-TERM", told.pid);
    until(&watcher, "warp_registry_get_info", ask, offline).await;
}

#[tokio::test]
async fn presence_changes_what_is_given_and_keeps_what_others_wrote() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (session, guid) = agent(&place, "developer", &["a"]).await;
    let store = registry(&plain(&server).await).await;
    // A coordinator adds fields of its own.
    let mut value: Value =
        serde_json::from_slice(&store.get(&guid).await.unwrap().unwrap()).unwrap();
    value["maxConcurrentTasks"] = json!(3);
    store.put(&guid, value.to_string().into()).await.unwrap();
    let answer = session
        .ok("warp_registry_update_presence", json!({"status": "busy"}))
        .await;
    assert!(
        answer.text.contains("- Status: online → busy"),
        "{}",
        answer.text
    );
    session
        .ok(
            "warp_registry_update_presence",
            json!({"capabilities": ["b"], "currentTaskCount": 2}),
        )
        .await;
    let value: Value = serde_json::from_slice(&store.get(&guid).await.unwrap().unwrap()).unwrap();
    assert_eq!(value["maxConcurrentTasks"], 3);
    assert_eq!(
        (
            &value["status"],
            &value["capabilities"],
            &value["currentTaskCount"]
        ),
        (&json!("busy"), &json!(["b"]), &json!(2))
    );
    for args in [
        json!({"status": "asleep"}),
        json!({"currentTaskCount": -2.5}),
        json!({"capabilities": "b"}),
    ] {
        let name = args.as_object().unwrap().keys().next().unwrap().clone();
        let text = session.refused("warp_registry_update_presence", args).await;
        assert!(text.contains(&name), "{text}");
    }
    // All at once: nothing is undone by another change.
    let (a, b) = tokio::join!(
        session.call("warp_registry_update_presence", json!({"status": "online"})),
        session.call(
            "warp_registry_update_presence",
            json!({"capabilities": ["c"]})
        ),
    );
    assert!(!a.error && !b.error);
    let value: Value = serde_json::from_slice(&store.get(&guid).await.unwrap().unwrap()).unwrap();
    assert_eq!(
        (&value["status"], &value["capabilities"]),
        (&json!("online"), &json!(["c"]))
    );
}

#[tokio::test]
async fn what_others_see_depends_on_scope_project_and_user() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let session = Agent::start(with(
        &place,
        &[("USER", "ada"), ("LOOMINAL_PROJECT_ID", "ef9d16d7cd7cfd50")],
    ))
    .await;
    let me = super::register(&session, "developer", &[]).await;
    let store = registry(&plain(&server).await).await;
    let other = "0000000000000000";
    for (id, changes) in [
        ("private", json!({"scope": "private"})),
        (
            "personal-mine",
            json!({"scope": "personal", "username": "ada", "projectId": other}),
        ),
        (
            "personal-other",
            json!({"scope": "personal", "username": "bob"}),
        ),
        (
            "personal-nobody",
            json!({"scope": "personal", "username": null}),
        ),
        (
            "team-mine",
            json!({"scope": "team", "natsUrl": "nats://u:hunter2@h:4222"}),
        ),
        ("team-other", json!({"scope": "team", "projectId": other})),
        (
            "public-other",
            json!({"scope": "public", "projectId": other}),
        ),
    ] {
        store.put(id, entry(id, changes).into()).await.unwrap();
    }
    let found = session.ok("warp_registry_discover", json!({})).await;
    let agents = found.structured["agents"].as_array().unwrap();
    let get = |id: &str| agents.iter().find(|a| a["guid"] == id);
    let mut ids: Vec<&str> = agents
        .iter()
        .map(|a| a["guid"].as_str().unwrap())
        .filter(|id| *id != me)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["personal-mine", "public-other", "team-mine"]);
    let has = |id: &str, field: &str| get(id).unwrap().get(field).is_some();
    for (id, fields) in [
        (
            "personal-mine",
            [
                "-hostname",
                "-projectId",
                "-natsUrl",
                "username",
                "-registeredAt",
            ],
        ),
        (
            "public-other",
            [
                "hostname",
                "-projectId",
                "-natsUrl",
                "-username",
                "-registeredAt",
            ],
        ),
        (
            "team-mine",
            [
                "hostname",
                "projectId",
                "-natsUrl",
                "-username",
                "-registeredAt",
            ],
        ),
        (
            me.as_str(),
            [
                "hostname",
                "projectId",
                "natsUrl",
                "-username",
                "registeredAt",
            ],
        ),
    ] {
        for field in fields {
            let (wanted, name) = match field.strip_prefix('-') {
                Some(name) => (false, name),
                None => (true, field),
            };
            assert_eq!(has(id, name), wanted, "{id} {name}");
        }
    }
    assert!(!found.text.contains("hunter2"));
    for id in ["private", "personal-other", "team-other"] {
        let text = session
            .refused("warp_registry_get_info", json!({"guid": id}))
            .await;
        assert!(text.contains("not visible"), "{text}");
        // Visibility guards messages as well.
        let args = json!({"recipientGuid": id, "message": "hello"});
        let text = session.refused("warp_messages_send_direct", args).await;
        assert!(text.contains("not visible"), "{text}");
    }
    // An agent with a scope that nobody fits sees itself all the same.
    let alone = Agent::at(&place).await;
    alone
        .ok(
            "warp_registry_register",
            json!({"agentType": "x", "scope": "personal"}),
        )
        .await;
    let found = alone
        .ok("warp_registry_discover", json!({"agentType": "x"}))
        .await;
    assert_eq!(found.structured["total"], 1);
}

#[tokio::test]
async fn pages_of_agents_neither_repeat_nor_skip_while_others_come() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let store = registry(&plain(&server).await).await;
    for n in 0..250 {
        let id = format!("agent-{n:03}");
        store
            .put(&id, entry(&id, json!({"agentType": "many"})).into())
            .await
            .unwrap();
    }
    let (session, _) = agent(&place, "developer", &[]).await;
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let mut args = json!({"agentType": "many", "limit": 20});
        if cursor != Value::Null {
            args["cursor"] = cursor;
        }
        let page = session.ok("warp_registry_discover", args).await;
        seen.extend(
            page.structured["agents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| super::text(&a["guid"])),
        );
        // Heartbeats go on, and newcomers register.
        let id = format!("agent-{:03}", seen.len() % 250);
        store
            .put(&id, entry(&id, json!({"agentType": "many"})).into())
            .await
            .unwrap();
        cursor = page.structured["nextCursor"].clone();
        if cursor == Value::Null {
            break;
        }
    }
    let expected: Vec<String> = (0..250).map(|n| format!("agent-{n:03}")).collect();
    assert_eq!(seen, expected);
    // A cursor belongs to its filters.
    let page = session
        .ok(
            "warp_registry_discover",
            json!({"agentType": "many", "limit": 20}),
        )
        .await;
    let args = json!({"limit": 20, "cursor": page.structured["nextCursor"]});
    let text = session.refused("warp_registry_discover", args).await;
    assert!(text.contains("cursor"), "{text}");
}
