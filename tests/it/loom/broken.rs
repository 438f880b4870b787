//! Files that cannot be served: all told at once, each with its place, or left out.

use std::time::{Duration, Instant};

use crate::support::LIMIT;
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

const GATEWAY: &str = "
name: x
tools:
  workers:
    - config: w/missing.yaml
    - config: w/soon.yaml
    - config: w/broken.yaml
    - config: w/class.yaml
    - config: w/good.yaml
  pipelines:
    - {config: w/pipe.yaml, name: pipe}
";

/// Each with what is said of it, and where.
const FILES: [(&str, &str, &str, &str); 4] = [
    (
        "w/soon.yaml",
        "name: soon\ntimeout_seconds: soon\n",
        "expected a number",
        "w/soon.yaml:2:18",
    ),
    (
        "w/broken.yaml",
        "name: broken\n  x: [\n",
        "error[syntax]",
        "w/broken.yaml:2:4",
    ),
    (
        "w/class.yaml",
        "name: class\ninput_schema_ref: mine.Input\n",
        "`input_schema` is missing",
        "w/class.yaml:1:1",
    ),
    (
        "w/pipe.yaml",
        "name: pipe\npipeline_stages:\n  - name: only\n",
        "`worker_type` is missing",
        "w/pipe.yaml:3:5",
    ),
];

#[tokio::test]
async fn files_that_cannot_be_served_are_told_at_once_or_left_out() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    for (name, text, _, _) in FILES {
        place.write(name, text);
    }
    place.write("w/good.yaml", "name: good\n");
    place.write("gateway.yaml", GATEWAY);
    for command in ["validate", "serve"] {
        let mut args = vec![command];
        if command == "serve" {
            args.push("--config");
        }
        args.push("gateway.yaml");
        let done = place.run(&args);
        assert_eq!(done.code, Some(1), "{command}: {done:?}");
        for (_, _, what, at) in FILES {
            assert!(done.stderr.contains(what), "{what}: {}", done.stderr);
            let at = format!("--> {at}\n");
            assert!(done.stderr.contains(&at), "{at}: {}", done.stderr);
        }
        let missing = "there is no document w/missing.yaml\n --> gateway.yaml:5:15\n";
        assert!(done.stderr.contains(missing), "{}", done.stderr);
    }
    let mut command = place.command(&["serve", "--config", "gateway.yaml"]);
    command.args(["--set", "loom.on_error=skip"]);
    let agent = Agent::start(command).await;
    let names: Vec<&str> = agent.tools.iter().map(|tool| tool.name.as_ref()).collect();
    assert_eq!(names, ["good"]);
    for path in ["w/pipe.yaml", "w/missing.yaml"] {
        // It is read beside the test.
        let begun = Instant::now();
        while !agent.stderr().contains(path) {
            assert!(begun.elapsed() < LIMIT, "{}", agent.stderr());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
