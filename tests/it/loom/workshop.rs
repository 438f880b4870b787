//! The workshop: worker files, tests and evaluations of running workers, impact, dead letters.

use async_nats::Client;
use serde_json::{Value, json};

use super::served::{gateway, original};
use crate::support::mcp::Agent;
use crate::support::mesh::{Actor, Dialect, Mesh, ROUTER};
use crate::support::place::Place;
use crate::support::server::{NatsServer, settled};
use crate::support::worker::Plain;

const WORKER: &str = "\
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

async fn workshop(place: &Place, server: &NatsServer) -> Agent {
    let groups =
        json!({"enable": ["worker", "test", "eval", "impact", "deadletter"], "apps_dir": "apps"});
    gateway(place, &config(&server.url(), groups)).await
}

/// Asks for texts that must all be in it.
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[tokio::test]
async fn worker_files_are_listed_and_read() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = workshop(&place, &server).await;
    let none = json!({"workers": [], "count": 0, "unreadable": []});
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

/// The original tests language models only, in its own process.
#[tokio::test]
async fn a_processor_is_tested_through_the_mesh() {
    let server = NatsServer::start();
    let actors = [ROUTER, Actor::Worker("wordcount")];
    let _mesh = Mesh::start(Dialect::Heddle, &server, &actors).await;
    let place = Place::on(&server);
    place.write(
        "configs/workers/wordcount.yaml",
        include_str!("../../../configs/docman/workers/wordcount.yaml"),
    );
    place.write("configs/workers/counter.yaml", WORKER);
    let agent = workshop(&place, &server).await;
    let args = json!({"name": "wordcount", "payload": {"text": "a b c"}});
    let done = agent.ok("workshop.worker.test", args).await.structured;
    assert_eq!(done["output"], json!({"word_count": 3}));
    assert_eq!(done["model_used"], "wc");
    assert!(
        done["latency_ms"].is_number() && done["error"].is_null(),
        "{done}"
    );
    let fields = [
        "raw_response",
        "validation_errors",
        "input_validation_errors",
        "token_usage",
    ];
    assert!(
        fields.iter().all(|field| done.get(field).is_some()),
        "{done}"
    );
    let args = json!({"name": "wordcount", "payload": {"words": 1}});
    says(
        &agent.refused("workshop.worker.test", args).await,
        &["Input validation", "text"],
    );
    // Nobody runs it; nobody runs it at this tier.
    let args = json!({"name": "counter", "payload": {}});
    says(
        &agent.refused("workshop.worker.test", args).await,
        &["heddle.tasks.counter"],
    );

    let suite = json!([
        {"name": "right", "input": {"text": "a b"}, "expected_output": {"word_count": 2}},
        {"name": "wrong", "input": {"text": "a b"}, "expected_output": {"word_count": 3}},
        {"name": "refused", "input": {}, "expected_output": {"word_count": 0}},
    ]);
    let args = json!({"name": "wordcount", "test_suite": suite});
    let run = agent.ok("workshop.eval.run", args).await.structured;
    assert_eq!(
        json!([run["cases"], run["avg_score"], run["passed"]]),
        json!([3, 0.333, 1])
    );
}

/// Cases whose output is what went in (the worker echoes), but for those that fail.
fn cases() -> Vec<Value> {
    let case = |name: &str, output: Value, expected: Value| json!({"name": name, "input": output, "expected_output": expected, "output": output});
    let mut failed = case(
        "failed",
        json!({"do": ["fail"], "error": "no way"}),
        json!({"a": 1}),
    );
    failed["error"] = json!("no way");
    failed["output"] = Value::Null;
    vec![
        case(
            "same",
            json!({"a": 1, "b": {"c": [true]}}),
            json!({"a": 1, "b": {"c": [true]}}),
        ),
        case("blanks", json!({"a": " Yes "}), json!({"a": "yes"})),
        case("half", json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3})),
        case("more", json!({"a": 1, "b": 2}), json!({"a": 1})),
        case(
            "part",
            json!({"a": ["x", "y", 3]}),
            json!({"a": ["x", "z", "3", "x"]}),
        ),
        case("no list", json!({"a": []}), json!({"a": []})),
        case("empty list", json!({"a": [1]}), json!({"a": []})),
        case(
            "kinds",
            json!({"a": "1", "b": [1], "c": {"d": 1}}),
            json!({"a": 1, "b": "1", "c": {"d": 2}}),
        ),
        case("null", json!({"b": 1}), json!({"a": null})),
        case(
            "floats",
            json!({"a": 1.0, "b": 0.5}),
            json!({"a": 1, "b": 0.5}),
        ),
        case("any", json!({"a": 1}), json!({})),
        case("nothing", json!({}), json!({})),
        case("nothing came", json!({}), json!({"a": 1})),
        case("strange \" name", json!({"a\"": 1}), json!({"a\"": 1})),
        failed,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suite_has_the_scores_of_the_original() {
    let server = NatsServer::start();
    let _plain = Plain::start(&server, "heddle", &["counter"]).await;
    let place = Place::on(&server);
    place.write("configs/workers/counter.yaml", WORKER);
    let agent = workshop(&place, &server).await;
    let cases = cases();
    let suite: Vec<Value> = cases
        .iter()
        .map(|case| json!({"name": case["name"], "input": case["input"], "expected_output": case["expected_output"]}))
        .collect();
    let nothing = json!({"name": "counter", "run_id": "run-1"});
    says(
        &agent
            .refused("workshop.eval.compare", nothing.clone())
            .await,
        &["No baseline"],
    );
    says(
        &agent.refused("workshop.eval.baseline", nothing).await,
        &["no run 'run-1'"],
    );
    let mut runs = Vec::new();
    for scoring in ["field_match", "exact_match"] {
        let args = json!({"name": "counter", "test_suite": suite, "scoring": scoring});
        let run = agent.ok("workshop.eval.run", args).await.structured;
        let wanted = original(
            &place,
            "scores",
            &json!({"scoring": scoring, "cases": cases}),
        );
        let args = json!({"name": "counter", "run_id": run["run_id"]});
        agent.ok("workshop.eval.baseline", args.clone()).await;
        let kept = agent.ok("workshop.eval.compare", args).await.structured;
        for case in kept["cases"].as_array().unwrap() {
            let name = case["case_name"].as_str().unwrap();
            assert_eq!(
                case["b"]["score"].as_f64(),
                wanted[name].as_f64(),
                "{scoring} of {case}"
            );
            assert_eq!(case["a"], case["b"]);
            if name == "failed" {
                says(case["b"]["error"].as_str().unwrap(), &["no way"]);
            }
        }
        let total: f64 = wanted
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_f64)
            .sum();
        let average = (total / 15.0 * 1000.0).round() / 1000.0;
        assert_eq!(
            json!([run["cases"], run["avg_score"], run["scoring"]]),
            json!([15, average, scoring])
        );
        runs.push(run);
    }
    // Each against the other: `exact_match` is the baseline now.
    let args = json!({"name": "counter", "run_id": runs[0]["run_id"]});
    let compared = agent.ok("workshop.eval.compare", args).await.structured;
    assert_eq!(compared["run_a"]["id"], runs[1]["run_id"]);
    assert_eq!(compared["run_b"]["id"], runs[0]["run_id"]);
    let cases = compared["cases"].as_array().unwrap();
    let half = cases
        .iter()
        .find(|case| case["case_name"] == "half")
        .unwrap();
    assert_eq!(
        json!([half["a"]["score"], half["b"]["score"]]),
        json!([0.0, 0.5])
    );
    let args = json!({"name": "counter", "run_id": "../x"});
    says(
        &agent.refused("workshop.eval.compare", args).await,
        &["no run '../x'"],
    );
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

async fn send(client: &Client, payload: &str) {
    let subject = "heddle.tasks.dead_letter".to_owned();
    client
        .publish(subject, payload.to_owned().into())
        .await
        .unwrap();
    settled(client).await;
}

fn letter(id: &str) -> String {
    let task = json!({"task_id": id, "worker_type": "counter", "payload": {"a": 1}, "model_tier": "local", "parent_task_id": "p"});
    json!({"reason": "rate_limited: full", "original_task": task, "task_id": id, "worker_type": "counter"}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_kept_and_sent_again() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = workshop(&place, &server).await;
    let empty = agent
        .ok("workshop.deadletter.list", json!({}))
        .await
        .structured;
    assert_eq!(empty, json!({"entries": [], "count": 0, "total": 0}));
    agent.close().await;
    // No gateway runs.
    let client = async_nats::connect(server.url()).await.unwrap();
    for id in ["t1", "t2", "t3"] {
        send(&client, &letter(id)).await;
    }
    let garbage = [
        "{",
        "[1]",
        "7",
        "null",
        "",
        r#"{"reason": 5, "task_id": {}, "original_task": "x"}"#,
    ];
    for text in garbage {
        send(&client, text).await;
    }
    let agent = workshop(&place, &server).await;
    let all = agent
        .ok("workshop.deadletter.list", json!({}))
        .await
        .structured;
    assert_eq!(json!([all["count"], all["total"]]), json!([9, 9]));
    let entries = all["entries"].as_array().unwrap();
    assert_eq!(entries[0]["original_task"], "x");
    for entry in &entries[..6] {
        says(entry["reason"].as_str().unwrap(), &["no dead letter"]);
        let told = agent
            .refused(
                "workshop.deadletter.replay",
                json!({"entry_id": entry["id"]}),
            )
            .await;
        says(&told, &["holds no task"]);
    }
    let ids: Vec<&Value> = entries[6..].iter().map(|entry| &entry["task_id"]).collect();
    assert_eq!(ids, ["t3", "t2", "t1"]);
    assert_eq!(entries[8]["reason"], "rate_limited: full");
    assert_eq!(entries[8]["original_task"]["payload"], json!({"a": 1}));
    let part = agent
        .ok("workshop.deadletter.list", json!({"limit": 2, "offset": 6}))
        .await
        .structured;
    assert_eq!(part["entries"], json!(entries[6..8]));
    assert_eq!(json!([part["count"], part["total"]]), json!([2, 9]));
    let none = agent
        .ok("workshop.deadletter.list", json!({"offset": 5000}))
        .await
        .structured;
    assert_eq!(json!([none["count"], none["total"]]), json!([0, 9]));

    // Without a router nothing is sent, and nothing is lost.
    let replay = json!({"entry_id": entries[8]["id"]});
    let told = agent
        .refused("workshop.deadletter.replay", replay.clone())
        .await;
    says(&told, &["heddle.tasks.incoming"]);
    let plain = Plain::start(&server, "heddle", &["counter"]).await;
    let done = agent
        .ok("workshop.deadletter.replay", replay.clone())
        .await
        .structured;
    assert_eq!(done, json!({"success": true, "entry_id": entries[8]["id"]}));
    crate::support::wait_for("the task", || plain.done() == 1);
    assert_eq!(plain.tasks(), [entries[8]["original_task"].clone()]);
    let told = agent.refused("workshop.deadletter.replay", replay).await;
    says(&told, &["no dead letter"]);
    for id in ["0", "99999", "999999999999999999"] {
        let told = agent
            .refused("workshop.deadletter.replay", json!({"entry_id": id}))
            .await;
        says(&told, &["no dead letter"]);
    }
    agent
        .refused("workshop.deadletter.replay", json!({"entry_id": "x"}))
        .await;
    let left = agent
        .ok("workshop.deadletter.list", json!({}))
        .await
        .structured;
    assert_eq!(left["entries"], json!(entries[..8]));
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
