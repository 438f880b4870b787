//! Every example of the built-in packs is true.

use std::fmt::Write as _;

use jacquard::catalog::builtin::PACKS;
use jacquard::spec::model::{Example, Expect};
use serde_json::{Value, json};

use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::server::NatsServer;

#[tokio::test]
async fn every_example_of_the_built_in_packs_holds() {
    let server = NatsServer::start();
    let mut count = 0;
    let mut failures = String::new();
    for pack in PACKS {
        for (name, tool) in pack.tools.iter() {
            for (index, example) in tool.examples.iter().enumerate() {
                count += 1;
                let wrong = check(&server, &pack.name, name, example).await;
                if !wrong.is_empty() {
                    let title = example.title.as_deref().unwrap_or("without a title");
                    let at = pack.origins.get(name).map_or("", AsRef::as_ref);
                    writeln!(
                        failures,
                        "\n{name} ({at}), example {index}, {title}:{wrong}"
                    )
                    .unwrap();
                }
            }
        }
    }
    assert!(count > 10, "only {count} examples");
    assert!(failures.is_empty(), "{failures}");
}

/// Runs an example in a session and a namespace of its own; what is wrong, a line each.
async fn check(server: &NatsServer, pack: &str, tool: &str, example: &Example) -> String {
    let place = Place::on(server);
    place.project(&json!({"namespace": place.namespace}).to_string());
    let config = place.write("config.yaml", &format!("packs: [{pack}]\n"));
    let agent = Agent::start(place.command(&["serve", "-c", config.to_str().unwrap()])).await;
    for given in example.given.iter() {
        let args = given
            .args
            .as_ref()
            .map_or(json!({}), |args| args.to_value());
        let answer = agent.call(&given.tool, args).await;
        if answer.error {
            return format!("\n  given {}: {}", given.tool, answer.text);
        }
    }
    let answer = agent.call(tool, example.call.to_value()).await;
    compare(&example.expect, &answer)
}

fn compare(expect: &Expect, answer: &Answer) -> String {
    let mut wrong = String::new();
    let mut say = |what: &str, expected: &str, came: &str| {
        write!(
            wrong,
            "\n  {what}\n    expected: {expected}\n    came:     {came}"
        )
        .unwrap();
    };
    let error = expect.error.unwrap_or(false);
    if error != answer.error {
        say(
            "error",
            &error.to_string(),
            &format!("{} ({})", answer.error, answer.text),
        );
    }
    if let Some(text) = expect.text.as_deref().filter(|text| *text != answer.text) {
        say("text", text, &answer.text);
    }
    let part = expect.contains.as_deref();
    if let Some(part) = part.filter(|part| !answer.text.contains(part)) {
        say("a part of the text", part, &answer.text);
    }
    if let Some(structured) = expect.structured.as_ref().map(|s| s.to_value()) {
        for place in missing(&structured, &answer.structured, "structured") {
            say(
                &place,
                &structured.to_string(),
                &answer.structured.to_string(),
            );
        }
    }
    wrong
}

/// Where `found` lacks something of `wanted`; objects may have more keys.
fn missing(wanted: &Value, found: &Value, path: &str) -> Vec<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted
            .iter()
            .flat_map(|(key, value)| {
                let found = found.get(key).unwrap_or(&Value::Null);
                missing(value, found, &format!("{path}.{key}"))
            })
            .collect(),
        _ if wanted == found => Vec::new(),
        _ => vec![path.to_owned()],
    }
}
