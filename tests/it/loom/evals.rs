//! Tests and evaluations of running workers, by the workshop.

use serde_json::{Value, json};

use super::served::original;
use super::workshop::{WORKER, says, workshop};
use crate::support::mesh::{Actor, Dialect, Mesh, ROUTER};
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::worker::Plain;

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
