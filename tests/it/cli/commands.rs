//! The commands at work.

use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::place::{Done, Place, run};
use crate::support::server::NatsServer;

fn good(done: &Done) -> &str {
    assert_eq!(done.code, Some(0), "{done:?}");
    &done.stdout
}

fn value(done: &Done) -> Value {
    serde_json::from_str(good(done)).unwrap()
}

#[test]
fn call_runs_a_tool_and_prints_its_reply() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let send = [
        "call",
        "warp_channels_send",
        "--session",
        "handle=me",
        "channel=roadmap",
    ];
    let done = place.run(&[&send[..], &["message=a=b, \"c\""]].concat());
    assert_eq!(good(&done), "Message sent to #roadmap by me\n");
    let done = place.run(&[&send[..], &["message=5", "--structured"]].concat());
    assert_eq!(
        value(&done),
        json!({"channel": "roadmap", "handle": "me", "seq": 2})
    );
    let read = ["call", "warp_channels_read", "--structured"];
    let done = place.run(&[&read[..], &["channel=roadmap", "limit=1"]].concat());
    assert_eq!(value(&done)["messages"][0]["message"], "5");
    let done = place.run(&[&read[..], &["--json", r#"{"channel": "roadmap"}"#]].concat());
    assert_eq!(value(&done)["messages"][0]["message"], "a=b, \"c\"");
}

#[test]
fn call_that_went_well_leaves_no_warning_behind() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    for _ in 0..3 {
        let done = place.run(&["call", "warp_channels_status"]);
        good(&done);
        assert!(
            !done.stderr.contains("WARN") && !done.stderr.contains("ERROR"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn call_tells_a_failed_tool_from_a_wrong_command_line() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let send = ["call", "warp_channels_send", "channel=roadmap", "message=x"];
    for (args, code, part) in [
        (&send[..], 1, "warp_handle_set"),
        (
            &["call", "warp_channels_read", "channel=roadmp"],
            1,
            "did you mean `roadmap`?",
        ),
        (
            &["call", "warp_channels_read", "channel=roadmap", "limit=abc"],
            1,
            "`limit`",
        ),
        (
            &["call", "warp_channels_read", "channel=roadmap", "limit=0"],
            1,
            "`limit`",
        ),
        (
            &["call", "warp_channels_read", "chanel=roadmap"],
            1,
            "did you mean `channel`?",
        ),
        (
            &["call", "warp_channels_red"],
            2,
            "did you mean `warp_channels_read`?",
        ),
        (&["call", "warp_channels_read", "channel"], 2, "name=value"),
        (
            &["call", "warp_channels_read", "--json", "[1]"],
            2,
            "--json",
        ),
        (&["call", "warp_channels_read", "--json", "{"], 2, "--json"),
        (
            &[
                "call",
                "warp_channels_read",
                "--json",
                "{}",
                "channel=roadmap",
            ],
            2,
            "--json",
        ),
        (
            &["call", "warp_handle_get", "--session", "handel=x"],
            2,
            "handel",
        ),
        (
            &["call", "warp_handle_get", "--session", "handle=Not Valid"],
            2,
            "handle",
        ),
        (&["call"], 2, "<TOOL>"),
    ] {
        let done = place.run(args);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (Some(code), ""),
            "{args:?}: {done:?}"
        );
        assert!(done.stderr.contains(part), "{args:?}: {}", done.stderr);
    }
}

#[test]
fn call_without_nats_fails_within_seconds_and_says_where_it_looked() {
    let mut server = NatsServer::stopped("");
    let port = server.reserve_port();
    let done = Place::on(&server).run(&["call", "warp_channels_read", "channel=roadmap"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    assert!(
        done.stderr.contains(&format!("127.0.0.1:{port}")),
        "{}",
        done.stderr
    );
    assert!(done.took.as_secs() < 4, "{:?}", done.took);
}

#[tokio::test]
async fn tools_lists_what_a_client_sees() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let listed = value(&place.run(&["tools", "--json"]));
    let agent = Agent::at(&place).await;
    assert_eq!(listed, serde_json::to_value(&agent.tools).unwrap());
    let done = place.run(&["tools"]);
    assert_eq!(good(&done).lines().count(), agent.tools.len());
    assert_eq!(done.stderr, "");
}

#[test]
fn schemas_are_json_schemas_that_the_shipped_files_fit() {
    let place = Place::without_nats();
    let root = env!("CARGO_MANIFEST_DIR");
    for kind in ["spec", "config", "project"] {
        let done = place.run(&["schema", kind]);
        let schema = value(&done);
        jsonschema::validator_for(&schema).unwrap();
        let published = std::fs::read_to_string(format!("{root}/schemas/{kind}.schema.json"));
        assert_eq!(good(&done), published.unwrap());
    }
    for folder in ["specs/warp", "configs"] {
        // Where paths of a foreign config are relative to.
        let mut command = place.command(&["validate", folder]);
        command.current_dir(root);
        let done = run(command);
        assert!(
            good(&done).contains("0 error(s), 0 warning(s)"),
            "{folder}: {done:?}"
        );
    }
}

#[test]
fn the_local_server_goes_up_is_used_and_goes_down() {
    let place = Place::without_nats();
    assert_eq!(value(&place.run(&["nats", "status"]))["running"], false);
    assert!(!place.data_dir().exists(), "asking makes no folder");
    assert_eq!(
        value(&place.run(&["nats", "down"])),
        json!({"was_running": false})
    );

    let up = value(&place.run(&["nats", "up"]));
    assert_eq!((&up["running"], &up["kept"]), (&json!(true), &json!(true)));
    let status = value(&place.run(&["nats", "status"]));
    assert_eq!(status["pid"], up["pid"]);
    let token = std::fs::read_to_string(place.data_dir().join("nats/token")).unwrap();
    assert!(
        !status.to_string().contains(token.trim()),
        "the token stays hidden"
    );
    // A gateway uses it, and leaves it running.
    let send = [
        "call",
        "warp_channels_send",
        "--session",
        "handle=me",
        "channel=roadmap",
        "message=x",
    ];
    if std::net::TcpStream::connect("127.0.0.1:4222").is_err() {
        let done = place.run(&send);
        assert_eq!(good(&done), "Message sent to #roadmap by me\n");
        assert!(!done.stderr.contains(token.trim()), "{}", done.stderr);
    }
    assert_eq!(value(&place.run(&["nats", "status"]))["pid"], up["pid"]);
    assert_eq!(
        value(&place.run(&["nats", "down"])),
        json!({"was_running": true})
    );
    assert_eq!(value(&place.run(&["nats", "status"]))["running"], false);
}

#[test]
fn a_local_server_that_cannot_be_started_is_exit_code_one_with_a_way_out() {
    let place = Place::without_nats();
    let mut command = place.command(&["nats", "up"]);
    command.env("NATS_SERVER", "/nowhere/nats-server");
    let done = run(command);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert!(
        done.stderr.contains("/nowhere/nats-server"),
        "{}",
        done.stderr
    );
    let mut command = place.command(&["nats", "up"]);
    command.env("JACQUARD_FETCH_TIMEOUT", "soon");
    let done = run(command);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{done:?}");
    assert!(
        done.stderr.contains("JACQUARD_FETCH_TIMEOUT"),
        "{}",
        done.stderr
    );
}

#[test]
fn variables_of_the_log_that_do_not_fit_are_passed_over_with_a_warning() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = place.write("json.yaml", "packs: [warp]\nlog: {format: json}\n");
    let args = [
        "call",
        "-c",
        config.to_str().unwrap(),
        "warp_channels_status",
    ];
    let mut command = place.command(&args);
    command.env("LOG_FORMAT", "xml").env("LOG_LEVEL", "loud");
    let done = run(command);
    good(&done);
    // The config's own format is the next one that counts.
    let warnings: Vec<Value> = done
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let text = serde_json::to_string(&warnings).unwrap();
    assert!(
        text.contains("LOG_FORMAT") && text.contains("LOG_LEVEL"),
        "{text}"
    );
}

#[test]
fn capabilities_that_the_original_has_no_queue_for_are_refused_at_the_start() {
    let place = Place::without_nats();
    for (name, shown) in [
        ("'a b'", "a b"),
        ("a.b", "a.b"),
        ("deadletter", "deadletter"),
    ] {
        let text = format!("packs: [warp]\nsettings:\n  warp: {{fifo: [{name}]}}\n");
        let config = place.write("fifo.yaml", &text);
        let done = place.run(&["validate", config.to_str().unwrap()]);
        assert_eq!(done.code, Some(1), "{name}: {done:?}");
        let told = done.stderr.contains(&format!("the string \"{shown}\""));
        assert!(
            told && done.stderr.contains("fifo.yaml:3:17"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn the_demo_shows_agents_that_meet_talk_and_hand_work_over() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mut command = place.command(&["demo"]);
    // What a shell is set up for does not reach the agents of the demo.
    command
        .env("JACQUARD_PROJECT", "shop")
        .env("LOOMINAL_AGENT_ID", "not an id");
    let done = run(command);
    let shown = good(&done);
    assert_eq!(done.stderr, "");
    for part in [
        "Found 1 of 1 agent:",
        "**From:** planner",
        "**builder**: I have time for the login page",
        "Work item claimed successfully!",
        "Work item completed.",
        "is empty: nothing is pending, claimed or dead.",
        "\"mcpServers\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let place = Place::without_nats();
    let version = concat!("jacquard ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(good(&place.run(&["--version"])), version);
    let help = place.run(&["--help"]);
    for command in ["serve", "validate", "tools", "call", "schema", "nats"] {
        assert!(good(&help).contains(command), "{command}");
    }
    assert!(!help.stdout.contains("supervise") && !help.stdout.contains("hold"));
}

#[test]
fn settings_of_the_command_line_come_before_those_of_the_config() {
    let place = Place::without_nats();
    place.write(
        "greeter/greeter.yaml",
        "settings: {type: object, properties: {word: {type: string, default: Hello}, to: {type: object, default: {}, properties: {name: {type: string}}}}}\n\
         tools: {gr.eet: {description: \"{{ config.word }} {{ config.to.name | default('you') }}\", reply: {text: x}}}\n",
    );
    let config = place.write(
        "c.yaml",
        "packs: [./greeter]\nsettings: {greeter: {word: Welcome}}\n",
    );
    let tools =
        |set: &[&str]| place.run(&[&["tools", "-c", config.to_str().unwrap()], set].concat());
    assert_eq!(good(&tools(&[])), "gr.eet  Welcome you\n");
    let set = ["--set", "greeter.word=Hi", "--set", "greeter.to.name=Ada"];
    assert_eq!(good(&tools(&set)), "gr.eet  Hi Ada\n");
    let done = tools(&["--set", "greeter.word=[1]"]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr.contains("`word`: expected a string"),
        "{done:?}"
    );
    let done = place.run(&["validate", "c.yaml", "--set", "greeter.wrd=x"]);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("`wrd`"), "{done:?}");
    let done = tools(&["--set", "greeter"]);
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("pack.key=value"), "{done:?}");
}
