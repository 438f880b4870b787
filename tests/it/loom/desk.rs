//! A gateway config of LOOM whose worker and pipeline are there without Python.

use std::process::Command;

use crate::support::http::Served;
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;
use crate::support::worker::Plain;

/// A worker that does as it is told, one with less time, one that nobody serves, and a pipeline.
const GATEWAY: &str = "
name: desk
nats_url: URL
tools:
  workers:
    - {config: workers/plain.yaml}
    - {config: workers/plain.yaml, name: strict, tier: frontier}
    - {config: workers/hasty.yaml}
    - {config: workers/nobody.yaml}
  pipelines:
    - {config: orchestrators/steps.yaml, name: steps}
";

const PLAIN: &str = "
name: plain
description: Does as it is told
worker_kind: processor
processing_backend: none.Backend
input_schema:
  type: object
  required: [text]
  properties:
    text: {type: string, minLength: 1}
    do: {type: array, items: {type: string}}
    count: {type: integer, default: 3}
output_schema:
  type: object
  required: [text]
  properties: {text: {type: string}}
timeout_seconds: 20
";

/// The schema is what stands below `properties` in others.
const HASTY: &str = "
name: hasty
system_prompt: '\n\n  Answers soon.  '
output_schema: {text: {type: string}}
timeout_seconds: 0.5
";

/// Its answer is no object, which the original never checks.
const NOBODY: &str =
    "{name: nobody, system_prompt: Answer., output_schema: {type: array}, timeout_seconds: 20}";

const STEPS: &str = "
name: steps
timeout_seconds: SECONDS
pipeline_stages:
  - {name: first, worker_type: plain, input_mapping: {text: goal.context.text}}
  - {name: second, worker_type: other, input_mapping: {text: goal.context.text}, depends_on: [first]}
  - {name: third, worker_type: third, input_mapping: {text: goal.context.text}, depends_on: [second]}
";

/// What its files are, and what is started of it.
pub struct Desk {
    pub place: Place,
    config: String,
    prefix: &'static str,
}

impl Desk {
    pub fn new(server: &NatsServer) -> Self {
        Self::with(server, "loom", "20")
    }

    /// With this prefix, and so many seconds for each stage of the pipeline.
    pub fn with(server: &NatsServer, prefix: &'static str, seconds: &str) -> Self {
        let place = Place::on(server);
        place.write("workers/plain.yaml", PLAIN);
        place.write("workers/hasty.yaml", HASTY);
        place.write("workers/nobody.yaml", NOBODY);
        place.write(
            "orchestrators/steps.yaml",
            &STEPS.replace("SECONDS", seconds),
        );
        let config = place.write("desk.yaml", &GATEWAY.replace("URL", &server.url()));
        Self {
            config: config.display().to_string(),
            place,
            prefix,
        }
    }

    fn args(&self) -> [String; 4] {
        let prefix = format!("loom.subject_prefix={}", self.prefix);
        [
            "--config".to_owned(),
            self.config.clone(),
            "--set".to_owned(),
            prefix,
        ]
    }

    pub fn command(&self) -> Command {
        let mut command = self.place.command(&["serve"]);
        command.args(self.args());
        command
    }

    /// A client of a gateway of its own.
    pub async fn agent(&self) -> Agent {
        Agent::start(self.command()).await
    }

    pub fn raw(&self) -> Raw {
        Raw::start(self.command())
    }

    pub fn served(&self) -> Served {
        let args = self.args();
        Served::start(&self.place, &args.each_ref().map(String::as_str))
    }

    /// The router, the worker and the pipeline.
    pub async fn mesh(&self, server: &NatsServer) -> Plain {
        let plain = Plain::start(server, self.prefix, &["plain", "hasty"]).await;
        plain.pipeline(server, self.prefix, "steps").await
    }
}
