//! What a spec lets a client ask for is bounded: the gateway answers, and goes on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::signal;

/// Tools that pass every check and grow, nest or take long when they are called.
fn gateway(tools: &str) -> (Place, Raw) {
    let place = Place::without_nats();
    place.write("mine/tools.yaml", tools);
    let config = place.write("c.yaml", "packs: [./mine]\n");
    let config = config.to_string_lossy().into_owned();
    let done = place.run(&["validate", "mine"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let raw = Raw::start(place.command(&["serve", "--no-local-nats", "-c", &config]));
    (place, raw)
}

#[test]
fn a_text_that_doubles_and_a_list_that_shares_are_refused() {
    let mut text = "      - let: {v0: \"{{ args.a }}\"}\n".to_owned();
    let mut list = text.clone();
    for step in 1..28 {
        let last = step - 1;
        text += &format!("      - let: {{v{step}: \"{{{{ v{last} ~ v{last} }}}}\"}}\n");
        list +=
            &format!("      - let: {{v{step}: [\"{{{{ v{last} }}}}\", \"{{{{ v{last} }}}}\"]}}\n");
    }
    let input = "input: {type: object, required: [a], properties: {a: {type: string}}}";
    let (_place, mut raw) = gateway(&format!(
        "tools:\n  text:\n    description: x\n    {input}\n    steps:\n{text}    reply: {{text: \"{{{{ v27 | length }}}}\"}}\n  \
         list:\n    description: x\n    {input}\n    steps:\n{list}    reply: {{text: \"{{{{ v27 | tojson }}}}\"}}\n"
    ));
    for tool in ["text", "list"] {
        let (said, failed) = raw.tool(tool, tool, json!({"a": "x".repeat(1000)}));
        assert!(failed && said.contains("the value has more than"), "{said}");
    }
    raw.close();
}

#[test]
fn a_session_value_that_nests_deeper_with_each_call_is_refused_in_time() {
    let (_place, mut raw) = gateway(
        "session: {n: {}}\ntools:\n  deeper:\n    description: x\n    steps:\n      \
         - set: {n: [\"{{ session.n | default(0) }}\"]}\n    reply: {text: ok}\n",
    );
    let answers: Vec<bool> = (0..80)
        .map(|i| raw.tool(&format!("c{i}"), "deeper", json!({})).1)
        .collect();
    assert!(answers.iter().any(|failed| *failed), "it nests for ever");
    assert!(!answers[0]);
    raw.close();
}

#[test]
fn a_signal_is_obeyed_while_a_call_keeps_the_gateway_busy() {
    let (_place, mut raw) = gateway(
        "tools:\n  slow:\n    description: x\n    \
         reply: {text: \"{% for i in range(90000) %}{{ range(100000) | sum }}{% endfor %}\"}\n",
    );
    raw.call("slow", "slow", json!({}));
    // Long enough for the call to be under way.
    std::thread::sleep(Duration::from_millis(300));
    signal("-TERM", raw.pid());
    let (_, took) = raw.wait();
    assert!(took < Duration::from_secs(3), "it took {took:?}");
}

#[test]
fn a_client_that_closes_the_log_is_served_all_the_same() {
    let place = Place::without_nats();
    let mut child = place
        .command(&["serve"])
        .env("LOG_LEVEL", "debug")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let params = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}"#;
    writeln!(
        stdin,
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#
    )
    .unwrap();
    writeln!(
        stdin,
        r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#
    )
    .unwrap();
    // What is refused is logged.
    writeln!(stdin, r#"{{"jsonrpc":"2.0","id":2,"method":"nothing"}}"#).unwrap();
    let mut lines = BufReader::new(stdout).lines().map(Result::unwrap);
    lines
        .find(|line| line.contains(r#""id":2"#))
        .expect("an answer");
    writeln!(stdin, r#"{{"jsonrpc":"2.0","id":3,"method":"ping"}}"#).unwrap();
    lines
        .find(|line| line.contains(r#""id":3"#))
        .expect("an answer");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
