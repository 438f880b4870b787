//! The workshop: worker files, and what depends on a worker.

use serde_json::{Value, json};

use super::served::{gateway, original};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// A worker file with comments.
pub const WORKER: &str = "\
# Counts words.
name: counter
worker_kind: processor
processing_backend: my.Counter   # ours
default_model_tier: local
";

fn config(url: &str, workshop: Value) -> Value {
    let mut workshop = workshop;
    workshop["configs_dir"] = json!("configs");
    json!({"name": "t", "nats_url": url, "subject_prefix": "heddle", "tools": {"workshop": workshop}})
}

/// A gateway with every tool of the workshop.
pub async fn workshop(place: &Place, server: &NatsServer) -> Agent {
    let groups =
        json!({"enable": ["worker", "test", "eval", "impact", "deadletter"], "apps_dir": "apps"});
    gateway(place, &config(&server.url(), groups)).await
}

/// Asks for texts that must all be in it.
pub fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn worker_files_are_listed_and_read() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = workshop(&place, &server).await;
    let none = json!({"workers": [], "count": 0});
    let listed = agent.ok("workshop.worker.list", json!({})).await;
    assert_eq!(listed.structured, none);
    place.write("configs/workers/counter.yaml", WORKER);
    place.write("configs/workers/_template.yaml", "name: template");
    place.write("configs/workers/nameless.yaml", "system_prompt: Sum up.\n");
    place.write("configs/workers/broken.yaml", "name: broken\nx: [1,\n");
    place.write("configs/workers/list.yaml", "[]");
    place.write("configs/workers/deep/no.yaml", "name: no");
    place.write("configs/workers/notes.txt", "name: no");
    place.write(
        "apps/shop/configs/workers/seller.yaml",
        "name: seller\ndescription: 7\n",
    );
    place.write("apps/shop/workers/no.yaml", "name: no");
    let listed = agent.ok("workshop.worker.list", json!({})).await.structured;
    let row = |name: &str, path: &str, tier: &str, kind: &str| {
        json!({"name": name, "description": "", "path": path, "default_model_tier": tier,
            "worker_kind": kind, "app_name": ""})
    };
    let mut seller = row("seller", "apps/shop/configs/workers/seller.yaml", "", "llm");
    seller["description"] = json!("7");
    seller["app_name"] = json!("shop");
    let wanted = json!([
        row(
            "counter",
            "configs/workers/counter.yaml",
            "local",
            "processor"
        ),
        row("nameless", "configs/workers/nameless.yaml", "", "llm"),
        seller
    ]);
    assert_eq!(listed["workers"], wanted);
    assert_eq!(listed["count"], 3);
    let unreadable = &listed["unreadable"];
    assert_eq!(unreadable[0]["path"], "configs/workers/broken.yaml");
    says(unreadable[0]["error"].as_str().unwrap(), &["line "]);
    assert_eq!(unreadable[1]["error"], "it is no mapping");
    assert_eq!(unreadable.as_array().unwrap().len(), 2);

    let got = agent
        .ok("workshop.worker.get", json!({"name": "counter"}))
        .await
        .structured;
    assert_eq!(got["yaml"], WORKER);
    assert_eq!(got["config"]["processing_backend"], "my.Counter");
    assert_eq!(got["version_history"], json!([]));
    let got = agent
        .ok("workshop.worker.get", json!({"name": "seller"}))
        .await
        .structured;
    assert_eq!(got["config"], json!({"name": "seller", "description": 7}));
    // A file that cannot be read can be looked at, to mend it.
    let got = agent
        .ok("workshop.worker.get", json!({"name": "broken"}))
        .await
        .structured;
    assert_eq!(got["config"], Value::Null);
    says(got["config_error"].as_str().unwrap(), &["line "]);
    says(
        &agent
            .refused("workshop.worker.get", json!({"name": "nobody"}))
            .await,
        &["'nobody' not found"],
    );
}

#[tokio::test]
async fn names_with_path_parts_are_refused() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("secret.yaml", "name: secret");
    place.write("configs/workers/deep/a.yaml", WORKER);
    let agent = workshop(&place, &server).await;
    for name in [
        "../../secret",
        "deep/a",
        "..",
        "",
        ".a",
        "a b",
        "a\u{0}",
        "/etc/passwd",
        "*",
        "deep\\a",
    ] {
        let calls = [
            ("workshop.worker.get", json!({"name": name})),
            (
                "workshop.worker.update",
                json!({"name": name, "config_yaml": WORKER}),
            ),
            ("workshop.worker.test", json!({"name": name, "payload": {}})),
            ("workshop.impact.analyze", json!({"name": name})),
            (
                "workshop.eval.run",
                json!({"name": name, "test_suite": [{"name": "a", "input": {}, "expected_output": {}}]}),
            ),
        ];
        for (tool, args) in calls {
            let told = agent.refused(tool, args).await;
            assert!(
                !told.contains("secret.yaml") && !told.contains("not found"),
                "{tool}: {told}"
            );
        }
    }
    assert_eq!(
        std::fs::read_to_string(place.dir().join("secret.yaml")).unwrap(),
        "name: secret"
    );
}

#[tokio::test]
async fn an_update_keeps_the_comments_and_every_version() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = workshop(&place, &server).await;
    let path = place.dir().join("configs/workers/counter.yaml");
    let second = WORKER.replace("# ours", "# theirs");
    for (text, about) in [(WORKER, json!("first")), (&second, Value::Null)] {
        let mut args = json!({"name": "counter", "config_yaml": text});
        if about.is_string() {
            args["description"] = about;
        }
        let done = agent.ok("workshop.worker.update", args).await.structured;
        assert_eq!(done, json!({"success": true, "name": "counter"}));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    // Another gateway has the same history.
    let agent = workshop(&place, &server).await;
    let got = agent
        .ok("workshop.worker.get", json!({"name": "counter"}))
        .await
        .structured;
    let history = got["version_history"].as_array().unwrap();
    let told = |at: usize| {
        json!([
            history[at]["config_yaml"],
            history[at]["description"],
            history[at]["worker_name"]
        ])
    };
    assert_eq!(history.len(), 2);
    assert_eq!(told(0), json!([second, null, "counter"]));
    assert_eq!(told(1), json!([WORKER, "first", "counter"]));
    assert_eq!(history[0]["config_hash"].as_str().unwrap().len(), 16);

    let bad = "name: counter\nworker_kind: processor\ndefault_model_tier: gpu\ntimeout_seconds: 0\n\
               reset_after_task: false\ninput_schema: []\n";
    let refusals: [(&str, &[&str]); 6] = [
        (
            bad,
            &[
                "processing_backend",
                "default_model_tier",
                "timeout_seconds",
                "reset_after_task",
                "input_schema",
            ],
        ),
        ("name: counter\n", &["system_prompt"]),
        (
            "name: counter\nsystem_prompt: x\n  y: [\n",
            &["Invalid YAML", "line "],
        ),
        ("- name: counter\n", &["must be a YAML mapping"]),
        (
            "name: other\nsystem_prompt: x\n",
            &["'other'", "counter.yaml"],
        ),
        ("system_prompt: x\n", &["name"]),
    ];
    for (text, words) in refusals {
        let args = json!({"name": "counter", "config_yaml": text});
        says(&agent.refused("workshop.worker.update", args).await, words);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), second);
    let got = agent
        .ok("workshop.worker.get", json!({"name": "counter"}))
        .await
        .structured;
    assert_eq!(got["version_history"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn impact_is_what_the_original_says() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("configs/workers/counter.yaml", WORKER);
    place.write(
        "configs/workers/sorter.yaml",
        &format!(
            "{}output_schema: {{type: object}}\n",
            WORKER.replace("counter", "sorter")
        ),
    );
    place.write("configs/orchestrators/diamond.yaml", "
name: diamond
pipeline_stages:
  - {name: a, worker_type: counter, tier: standard, input_mapping: {text: goal.context.text}, input_schema: {type: object}}
  - {name: b, worker_type: sorter, input_mapping: {text: a.output.text}}
  - {name: c, worker_type: other, input_mapping: {text: a.output.text, lit: \"'a'\"}, output_schema: {type: object}}
  - {name: d, worker_type: counter, input_mapping: {x: b.output.text, y: c.output.text}}
  - {name: e, worker_type: other, depends_on: [d, nobody], input_mapping: {x: goal.instruction}}
");
    place.write(
        "configs/orchestrators/single.yaml",
        "name: single\npipeline_stages: [{name: only, worker_type: sorter}]\n",
    );
    place.write(
        "configs/orchestrators/empty.yaml",
        "name: empty\npipeline_stages: []\n",
    );
    let agent = workshop(&place, &server).await;
    let workers = ["counter", "sorter", "other", "unused"];
    let asked = json!({"configs_dir": place.dir().join("configs"), "workers": workers});
    let wanted = original(&place, "impact", &asked);
    for worker in workers {
        let told = agent
            .ok("workshop.impact.analyze", json!({"name": worker}))
            .await;
        assert_eq!(told.structured, wanted[worker], "{worker}");
    }
    // What is no pipeline does not stop it, as it stops the original.
    place.write("configs/orchestrators/broken.yaml", "pipeline_stages: [");
    place.write(
        "configs/orchestrators/odd.yaml",
        "pipeline_stages: [counter, {worker_type: counter}, 7]",
    );
    place.write("configs/orchestrators/list.yaml", "[1]");
    place.write(
        "apps/shop/configs/orchestrators/buy.yaml",
        "name: buy\npipeline_stages: [{name: s, worker_type: unused}]",
    );
    let told = agent
        .ok("workshop.impact.analyze", json!({"name": "counter"}))
        .await;
    assert_eq!(told.structured, wanted["counter"]);
    let told = agent
        .ok("workshop.impact.analyze", json!({"name": "unused"}))
        .await;
    assert_eq!(told.structured["pipelines"][0]["name"], "buy");
}

/// What the original answers for `configs/docman.yaml` (`made_with` says which).
#[tokio::test]
async fn the_answers_are_those_of_the_original() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("configs/docman.yaml")).unwrap();
    let text = text.replace("nats://127.0.0.1:4222", &server.url());
    let path = place.write("docman.yaml", &text).display().to_string();
    let mut command = place.command(&["serve", "--config", &path]);
    command.current_dir(root);
    let agent = Agent::start(command).await;
    let original = include_str!("../../mesh/files/original-tools.json");
    let original: Value = serde_json::from_str(original).unwrap();
    let calls = original["calls"].as_array().unwrap().iter();
    let calls: Vec<&Value> = calls
        .filter(|call| call["tool"].as_str().unwrap().starts_with("workshop."))
        .collect();
    assert_eq!(calls.len(), 5);
    for call in calls {
        let (tool, args) = (call["tool"].as_str().unwrap(), call["arguments"].clone());
        let wanted = &call["result"]["structuredContent"];
        if let Some(error) = wanted["error"].as_str() {
            assert_eq!(agent.refused(tool, args).await, error);
            continue;
        }
        let mut answer = agent.ok(tool, args).await.structured;
        // That one had no data base.
        answer.as_object_mut().unwrap().remove("version_history");
        assert_eq!(&answer, wanted, "{tool}");
    }
}

/// A gateway that sends nothing does not need NATS, as in the original.
#[tokio::test]
async fn without_nats_the_files_are_served() {
    let mut server = NatsServer::stopped("");
    server.reserve_port();
    let place = Place::on(&server);
    let agent = gateway(&place, &config(&server.url(), json!({}))).await;
    let args = json!({"name": "counter", "config_yaml": WORKER});
    let done = agent.ok("workshop.worker.update", args).await.structured;
    assert_eq!(done["success"], true);
    assert!(done["history_error"].is_string(), "{done}");
    let got = agent
        .ok("workshop.worker.get", json!({"name": "counter"}))
        .await
        .structured;
    assert_eq!(got["yaml"], WORKER);
    assert!(got.get("version_history").is_none(), "{got}");
    let listed = agent.ok("workshop.worker.list", json!({})).await.structured;
    assert_eq!(listed["count"], 1);
    agent
        .ok("workshop.impact.analyze", json!({"name": "counter"}))
        .await;
    let args = json!({"name": "counter", "payload": {}});
    says(
        &agent.refused("workshop.worker.test", args).await,
        &["NATS"],
    );
}
