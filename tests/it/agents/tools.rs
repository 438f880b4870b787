//! The tools: their list, their texts, their refusals.

use serde_json::{Value, json};

use super::{Talker, gateway, until};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// As the original lists them: name, title, what must be given, and the other arguments.
const TOOLS: [(&str, &str, &[&str], &[&str]); 13] = [
    (
        "agent_register",
        "Join Conversation",
        &["name", "description"],
        &["group"],
    ),
    ("agent_deregister", "Leave Conversation", &["name"], &[]),
    (
        "agent_broadcast",
        "Broadcast Message",
        &["name", "message"],
        &["priority", "group"],
    ),
    (
        "agent_dm",
        "Direct Message",
        &["name", "to", "message"],
        &[],
    ),
    (
        "agent_discover",
        "Find Peers",
        &[],
        &["include_stale", "group"],
    ),
    ("agent_groups", "List Groups", &[], &[]),
    (
        "channel_send",
        "Post to Channel",
        &["name", "channel", "message"],
        &[],
    ),
    (
        "channel_history",
        "Read Channel",
        &["channel"],
        &["limit", "detailed"],
    ),
    (
        "dm_history",
        "Catch Up on DMs",
        &["name", "with_agent"],
        &["limit", "detailed"],
    ),
    ("channel_list", "List Channels", &[], &["limit", "cursor"]),
    (
        "group_history",
        "Read Group History",
        &["group"],
        &["limit"],
    ),
    (
        "messages_since",
        "Poll Messages",
        &[],
        &["since_id", "limit"],
    ),
    (
        "poll_messages",
        "Poll My Messages",
        &["name"],
        &["since_id"],
    ),
];

#[test]
fn the_tools_are_those_of_the_original() {
    let server = NatsServer::start();
    let mut talker = Talker::start(gateway(&Place::on(&server), &[]));
    talker.raw.request("list", "tools/list", json!({}));
    let answer = talker.raw.answer("list");
    let tools = answer["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), TOOLS.len());
    for (name, title, required, others) in TOOLS {
        let tool = tools.iter().find(|t| t["name"] == name).unwrap();
        assert_eq!(tool["title"], title);
        assert!(
            tool["description"].as_str().is_some_and(|d| d.len() > 20),
            "{tool}"
        );
        let input = &tool["inputSchema"];
        let asked = input["required"].as_array().cloned().unwrap_or_default();
        assert_eq!(
            asked,
            required.iter().map(|n| json!(n)).collect::<Vec<_>>(),
            "{name}"
        );
        let mut known: Vec<&str> = required.iter().chain(others).copied().collect();
        let none = serde_json::Map::new();
        let mut listed: Vec<&str> = input["properties"]
            .as_object()
            .unwrap_or(&none)
            .keys()
            .map(String::as_str)
            .collect();
        known.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, known, "{name}");
    }
    let find = |name: &str| tools.iter().find(|t| t["name"] == name).unwrap();
    let property = |tool: &str, name: &str, key: &str| -> Value {
        find(tool)["inputSchema"]["properties"][name][key].clone()
    };
    assert_eq!(property("agent_register", "group", "default"), "default");
    assert_eq!(
        property("agent_broadcast", "priority", "enum"),
        json!(["low", "normal", "high"])
    );
    assert_eq!(property("agent_broadcast", "priority", "default"), "normal");
    assert_eq!(property("channel_history", "limit", "default"), 50);
    assert_eq!(property("messages_since", "limit", "default"), 100);
    assert_eq!(
        find("agent_deregister")["annotations"]["destructiveHint"],
        true
    );
    assert_eq!(find("agent_discover")["annotations"]["readOnlyHint"], true);
}

#[test]
fn the_capability_for_pushes_is_declared() {
    let server = NatsServer::start();
    let mut raw = crate::support::raw::Raw::spawn(gateway(&Place::on(&server), &[]));
    let answer = raw.initialize();
    let result = &answer["result"];
    assert_eq!(
        result["capabilities"]["experimental"],
        json!({"claude/channel": {}})
    );
    assert!(result["capabilities"]["tools"].is_object());
    assert_eq!(result["serverInfo"]["name"], "agents");
    let told = result["instructions"].as_str().unwrap();
    assert!(
        told.contains("agent_register") && told.contains("dm, broadcast or channel"),
        "{told}"
    );
    raw.close();
}

#[test]
fn the_texts_are_those_of_the_original() {
    let server = NatsServer::start();
    let mut ann = Talker::start(gateway(&Place::on(&server), &[]));
    assert_eq!(ann.say("agent_groups", json!({})), "No agents registered.");
    assert_eq!(
        ann.say("agent_discover", json!({})),
        "No agents currently registered."
    );
    assert_eq!(
        ann.say("channel_list", json!({})),
        "No channels with messages yet."
    );
    assert_eq!(
        ann.json("messages_since", json!({"since_id": 0})),
        json!({"messages": [], "last_id": 0})
    );
    let answer = ann.register("ann", "crew");
    let id = answer["agent_id"].as_str().unwrap();
    assert!(id.starts_with("ann-") && id.len() == 12, "{id}");
    assert_eq!(
        answer.to_string(),
        json!({
            "agent_id": id, "group": "crew", "peers": [],
            "message": "Registered. Use your name for subsequent calls."
        })
        .to_string()
    );
    let mut ben = Talker::start(gateway(&Place::on(&server), &[]));
    let answer = ben.register("ben-b", "crew");
    assert_eq!(answer["peers"], json!([{"name": "ann", "group": "crew"}]));

    assert_eq!(
        ann.say("agent_dm", json!({"to": "ben-b", "message": "hello"})),
        "DM published to 'ben-b' over NATS. Live delivery happens when the recipient session is registered \
         (agent_register auto-binds); otherwise the message stays in dm_history for catch-up."
    );
    assert_eq!(
        ann.say(
            "agent_broadcast",
            json!({"message": "all", "priority": "high"})
        ),
        "Broadcast published to group 'crew' over NATS. Sessions bound to that group receive it as \
         <channel kind=\"broadcast\">."
    );
    assert_eq!(
        ann.say(
            "channel_send",
            json!({"channel": "#eng", "message": "post"})
        ),
        "Message logged to ##eng"
    );
    assert_eq!(
        ann.say("agent_groups", json!({})),
        "Active groups (1):\n- crew (2 agents)"
    );
    let found = ann.say("agent_discover", json!({"group": "crew"}));
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines[0], "Active agents (2) in group 'crew':");
    assert!(
        lines[1].starts_with(&format!("- ann ({id}): active | group: crew | host: ")),
        "{found}"
    );
    assert!(lines[1].ends_with(" | local | ann at work"), "{found}");
    assert_eq!(
        ann.say("channel_list", json!({})),
        "Active channels (1):\n- ##eng (1 messages)"
    );
    assert_eq!(
        ann.json("agent_deregister", json!({"name": "ann"})),
        json!({
            "success": true, "id": id, "name": "ann", "group_name": "crew", "message": "Deregistered ann"
        })
    );
    assert_eq!(
        ann.json("agent_deregister", json!({"name": "ann"})),
        json!({"success": true, "name": "ann", "message": "was already gone or never registered"})
    );
    until(&mut ben, "agent_discover", &json!({}), |t| {
        t.starts_with("Active agents (1):\n- ben-b ")
    });
}

#[test]
fn refusals_say_what_is_wrong() {
    let server = NatsServer::start();
    let mut ann = Talker::start(gateway(&Place::on(&server), &[]));
    let not =
        |name: &str| format!("Error: You ({name}) not registered. Call agent_register first.");
    let dm = json!({"name": "ann", "to": "ben", "message": "x"});
    assert_eq!(ann.refused("agent_dm", dm.clone()), not("ann"));
    assert_eq!(
        ann.refused("agent_broadcast", json!({"name": "", "message": "x"})),
        not("")
    );
    assert_eq!(
        ann.refused("poll_messages", json!({"name": "ann"})),
        "Error: Agent 'ann' not registered. Call agent_register first."
    );
    ann.register("ann", "crew");
    for blank in ["", " \n\t", "\u{a0}\u{feff} "] {
        assert_eq!(
            ann.refused("agent_dm", json!({"to": "ben", "message": blank})),
            "Error: DM message body cannot be empty or whitespace-only."
        );
        assert_eq!(
            ann.refused("agent_broadcast", json!({"message": blank})),
            "Error: broadcast message body cannot be empty or whitespace-only."
        );
        ann.refused("channel_send", json!({"channel": "c", "message": blank}));
    }
    ann.refused("channel_send", json!({"channel": " ", "message": "x"}));
    assert_eq!(
        ann.refused("agent_dm", json!({"to": "ann", "message": "x"})),
        "Error: cannot DM self; use channel_send for self-scratch."
    );
    assert_eq!(
        ann.refused("agent_dm", json!({"to": "Ann", "message": "x"})),
        "Error: agent 'Ann' not registered. Use agent_discover to see active agents."
    );
    assert_eq!(
        ann.refused("agent_broadcast", json!({"message": "x", "group": "none"})),
        "Error: group 'none' has no registered agents. Use agent_groups to see active groups."
    );
    // Who somebody is, is a matter of the session and not of an argument.
    assert_eq!(
        ann.refused(
            "agent_dm",
            json!({"name": "ben", "to": "ann", "message": "x"})
        ),
        not("ben")
    );
    ann.refused(
        "agent_register",
        json!({"name": "x", "description": "d", "group": "all"}),
    );
    ann.refused("agent_register", json!({"name": " ", "description": "d"}));
    for (tool, args, part) in [
        (
            "agent_broadcast",
            json!({"name": "ann", "message": "x", "priority": "urgent"}),
            "priority",
        ),
        ("agent_dm", json!({"name": "ann", "to": "b"}), "message"),
        (
            "channel_history",
            json!({"channel": "c", "limit": 1.5}),
            "limit",
        ),
        (
            "channel_history",
            json!({"channel": "c", "limit": 0}),
            "limit",
        ),
        ("messages_since", json!({"since_id": -1}), "since_id"),
        ("agent_discover", json!({"group": null}), "group"),
    ] {
        let (text, error) = ann.whole(tool, args.clone());
        assert!(error && text.contains(part), "{tool} {args}: {text}");
    }
    // All of this has sent nothing.
    assert_eq!(ann.json("messages_since", json!({}))["messages"], json!([]));
}

#[test]
fn a_broadcast_to_all_reaches_every_group() {
    let server = NatsServer::start();
    let mut ann = Talker::join(&server, "ann", "red");
    let mut ben = Talker::join(&server, "ben", "blue");
    let mut cem = Talker::join(&server, "cem", "green");
    until(&mut ann, "agent_groups", &json!({}), |text| {
        text.contains("(3):")
    });
    let text = ann.say(
        "agent_broadcast",
        json!({"message": "everybody", "group": "all", "priority": "low"}),
    );
    assert!(text.contains("group 'all'"), "{text}");
    for (other, group) in [(&mut ben, "blue"), (&mut cem, "green")] {
        let meta = other.push()["meta"].take();
        assert_eq!(
            (&meta["group"], &meta["priority"]),
            (&json!(group), &json!("low"))
        );
    }
    let read = ann.say("group_history", json!({"group": "green"}));
    assert!(read.contains("] ann [low]: everybody"), "{read}");
}

#[test]
fn it_needs_no_settings() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = place.write("bare.yaml", "packs: [agents]\n");
    let config = config.to_string_lossy();
    let done = place.run(&["call", "--config", &config, "agent_groups"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.starts_with("No agents registered."), "{done:?}");
}
