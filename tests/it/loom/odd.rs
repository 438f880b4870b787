//! Files that no worker, pipeline or query should have, and what is said of them.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::mcp::Agent;
use crate::support::place::{Place, run};
use crate::support::server::NatsServer;

#[tokio::test]
async fn a_file_as_deep_as_can_be_does_not_end_the_gateway() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    for (name, depth) in [("deep", 60), ("deeper", 3_000)] {
        let text = format!(
            "name: {name}\nx: {}{}\n",
            "{a: ".repeat(depth),
            "}".repeat(depth)
        );
        place.write(format!("configs/workers/{name}.yaml"), &text);
    }
    let config = place.write(
        "gateway.yaml",
        "name: odd\ntools: {workshop: {enable: [worker]}}\n",
    );
    let config = config.display().to_string();
    let agent = Agent::start(place.command(&["serve", "--config", &config])).await;
    let got = agent
        .ok("workshop.worker.get", json!({"name": "deep"}))
        .await;
    assert_eq!(got.structured["config"]["name"], "deep");
    let got = agent
        .ok("workshop.worker.get", json!({"name": "deeper"}))
        .await;
    let said = got.structured["config_error"].as_str().unwrap();
    assert!(said.contains("too large or too deep"), "{said}");
    agent.close().await;
}

#[tokio::test]
async fn parts_of_seconds_are_time_limits_too() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("w.yaml", "name: quick\ntimeout_seconds: 0.5\n");
    place.write(
        "p.yaml",
        "name: both\ntimeout_seconds: 1.5\npipeline_stages:\n\
         - {name: a, worker_type: quick, timeout_seconds: 0.25, max_retries: 1}\n\
         - {name: b, worker_type: quick}\n",
    );
    let text = "name: odd\ntools:\n  workers: [{config: w.yaml}]\n  pipelines: [{config: p.yaml, name: both}]\n";
    let config = place.write("gateway.yaml", text).display().to_string();
    let agent = Agent::start(place.command(&["serve", "--config", &config])).await;
    for tool in ["quick", "both"] {
        let said = agent.refused(tool, json!({})).await;
        assert!(said.contains("nobody listens on loom."), "{tool}: {said}");
    }
    agent.close().await;
}

#[test]
fn what_is_wrong_with_files_is_told_at_its_place() {
    let place = Place::at("nats://127.0.0.1:9");
    place.write(
        "w/null.yaml",
        "name: plain\nsystem_prompt:\noutput_schema:\n",
    );
    place.write(
        "w/untyped.yaml",
        "name: untyped\noutput_schema: {count: {type: integer}}\n",
    );
    place.write("w/two.yaml", "name: two\n---\nname: three\n");
    place.write(
        "w/bad.yaml",
        "name: bad\ninput_schema: {text: {type: strin}}\n",
    );
    place.write(
        "p/blank.yaml",
        "name: b\npipeline_stages:\n- {name: s, worker_type: a b}\n",
    );
    let gateway = "name: odd
tools:
  workers:
    - {config: w/null.yaml}
    - {config: w/untyped.yaml}
    - {config: w/two.yaml}
    - {config: w/bad.yaml}
    - {config: w}
    - {config: w/null.yaml, name: untyped}
  pipelines:
    - {config: p/blank.yaml, name: blank}
  queries:
    - {backend: a.B, actions: [get, a b], name_prefix: q}
";
    place.write("gateway.yaml", gateway);
    let done = place.run(&["tools", "--config", "gateway.yaml"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let places = [
        ("a second document begins here", "w/two.yaml:2:1"),
        ("the string \"strin\" is not one of", "w/bad.yaml:2:29"),
        (
            "is a folder, and a file is wanted here",
            "gateway.yaml:8:16",
        ),
        ("`untyped` is declared twice", "gateway.yaml:9:7"),
        ("the string \"a b\" does not", "p/blank.yaml:3:26"),
        ("`q_a b` cannot be the name", "gateway.yaml:13:7"),
    ];
    for (problem, at) in places {
        let told = done
            .stderr
            .split("error[")
            .find(|told| told.contains(problem));
        assert!(
            told.is_some_and(|t| t.contains(at)),
            "{problem} at {at} in\n{}",
            done.stderr
        );
    }
    place.write("gateway.yaml", &format!("{gateway}on_error: skip\n"));
    let done = place.run(&["tools", "--config", "gateway.yaml"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let names: Vec<&str> = done
        .stdout
        .lines()
        .filter_map(|l| l.split(' ').next())
        .collect();
    assert_eq!(names, ["q_get", "plain", "untyped"]);
}

#[test]
fn what_a_backend_is_told_has_its_form() {
    let place = Place::at("nats://127.0.0.1:9");
    let text = "name: odd
tools:
  queries:
    - backend: a.B
      actions: [filter]
      name_prefix: q
      worker_type: a b
      backend_config: {filter_fields: [a], stats_groups: day, id_column: 5, other: kept}
resources: {workspace_dir: ''}
";
    place.write("gateway.yaml", text);
    let done = place.run(&["validate", "gateway.yaml"]);
    for at in ["7:20", "8:39", "8:58", "8:74", "9:28"] {
        let place = format!("gateway.yaml:{at}\n");
        assert!(done.stderr.contains(&place), "{place} in\n{}", done.stderr);
    }
    assert!(!done.stderr.contains("unknown key"), "{}", done.stderr);
}

#[tokio::test]
async fn the_prefix_is_the_program_s_name_unless_it_is_given() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("w.yaml", "name: w\n");
    place.write(
        "gateway.yaml",
        "name: odd\ntools: {workers: [{config: w.yaml}]}\n",
    );
    let link = place.dir().join("heddle");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_jacquard"), &link).unwrap();
    let arguments = ["call", "--config", "gateway.yaml", "w"];
    let given = ["--set", "loom.subject_prefix=mine"];
    let jacquard = Path::new(env!("CARGO_BIN_EXE_jacquard"));
    for (program, more, prefix) in [
        (link.as_path(), &[][..], "heddle"),
        (jacquard, &[], "loom"),
        (&link, &given, "mine"),
    ] {
        let mut command = Command::new(program);
        command.args(arguments).args(more).current_dir(place.dir());
        command.env("NATS_URL", server.url());
        command.env("JACQUARD_DATA_DIR", place.data_dir());
        let done = run(command);
        let wanted = format!("nobody listens on {prefix}.tasks.incoming");
        assert!(done.stderr.contains(&wanted), "{wanted}: {done:?}");
    }
}
