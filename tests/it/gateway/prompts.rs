//! Prompts, completions, and resources that steps make; over pipes and over HTTP, in old and new versions of MCP.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

/// The version of MCP that has no `initialize`.
const VERSION: &str = "2026-07-28";

/// Writes the pack `notes` and a config that serves it; gives the config's path.
fn notes(place: &Place, more: &str) -> String {
    place.write("notes/notes.yaml", include_str!("prompts.yaml"));
    let path = place.write("jacquard.yaml", &format!("packs: [./notes]\n{more}"));
    path.to_string_lossy().into_owned()
}

/// Asks and gives the result, or the error.
fn ask(raw: &mut Raw, method: &str, params: Value) -> Value {
    raw.request(method, method, params);
    let answer = raw.answer(method);
    answer.get("result").unwrap_or(&answer["error"]).clone()
}

fn prompt(raw: &mut Raw, name: &str, arguments: Value) -> Value {
    ask(
        raw,
        "prompts/get",
        json!({"name": name, "arguments": arguments}),
    )
}

fn propose(raw: &mut Raw, reference: Value, name: &str, typed: &str) -> Value {
    let params = json!({
        "ref": reference, "argument": {"name": name, "value": typed},
        "context": {"arguments": {"name": "plan"}}
    });
    let answer = ask(raw, "completion/complete", params);
    answer.get("completion").unwrap_or(&answer).clone()
}

fn keep(raw: &mut Raw, name: &str, text: &str) {
    raw.call("put", "note_put", json!({"name": name, "text": text}));
    let answer = raw.answer("put");
    assert_eq!(answer["result"]["content"][0]["text"], "Kept", "{answer}");
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let list = list[key].as_array().unwrap().iter();
    let name = |entry: &Value| entry["name"].as_str().unwrap().to_owned();
    list.map(name).collect()
}

#[tokio::test]
async fn prompts_are_listed_and_made() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = notes(&place, "");
    let mut raw = Raw::spawn(place.command(&["serve", "-c", &config]));
    let begun = raw.initialize();
    let can = &begun["result"]["capabilities"];
    assert_eq!(can["prompts"], json!({"listChanged": true}));
    assert_eq!(can["completions"], json!({}));
    let listed = ask(&mut raw, "prompts/list", json!({}));
    assert_eq!(
        listed["prompts"],
        json!([
            {
                "name": "note_review", "title": format!("Review a note of {}", place.namespace),
                "description": "Looks over a note.",
                "arguments": [
                    {"name": "name", "title": "Note", "description": "Its name", "required": true},
                    {"name": "tone", "description": "How", "required": false},
                ],
            },
            {"name": "hello"},
        ])
    );
    keep(&mut raw, "plan", "Ship it");
    let made = prompt(
        &mut raw,
        "note_review",
        json!({"name": "plan", "tone": "kind"}),
    );
    assert_eq!(
        made,
        json!({
            "description": "Looks over a note.",
            "messages": [
                {"role": "user", "content": {"type": "text", "text": "Review plan, kind:"}},
                {"role": "user", "content": {"type": "resource", "resource":
                    {"uri": "notes://by-name/plan", "mimeType": "text/markdown", "text": "Ship it"}}},
                {"role": "user", "content": {"type": "resource", "resource":
                    {"uri": "notes://logo", "mimeType": "application/octet-stream", "blob": "aGk="}}},
                {"role": "assistant", "content": {"type": "text", "text": "I will be kind."}},
            ],
        })
    );
    // What a user leaves empty is not given.
    let made = prompt(&mut raw, "note_review", json!({"name": "plan", "tone": ""}));
    assert_eq!(made["messages"].as_array().unwrap().len(), 3, "{made}");
    let made = prompt(&mut raw, "hello", Value::Null);
    assert_eq!(made["messages"][0]["content"]["text"], "Hello, other");
    raw.call("n", "other", json!({}));
    let asked = raw.answer("n")["result"]["content"][0]["text"].clone();
    assert_eq!(asked, "2", "steps of prompts change the session");
    for (name, arguments, code, part) in [
        (
            "note_reviw",
            json!({}),
            -32602,
            "did you mean `note_review`?",
        ),
        ("hidden", json!({}), -32602, "no prompt `hidden`"),
        ("note_review", json!({}), -32602, "`name` is missing"),
        (
            "note_review",
            json!({"name": ""}),
            -32602,
            "`name` is missing",
        ),
        (
            "note_review",
            json!({"nam": "x", "name": "y"}),
            -32602,
            "did you mean `name`?",
        ),
        (
            "note_review",
            json!({"name": []}),
            -32602,
            "`name` must be a text",
        ),
        (
            "note_review",
            json!({"name": "no"}),
            -32602,
            "There is no note no.",
        ),
        (
            "note_review",
            json!({"name": "a..b"}),
            -32603,
            "note_review",
        ),
    ] {
        let error = prompt(&mut raw, name, arguments.clone());
        assert_eq!(error["code"], code, "{name} {arguments}: {error}");
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(part), "{name} {arguments}: {text}");
    }
}

#[tokio::test]
async fn values_are_proposed_for_prompts_and_addresses() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = notes(&place, "");
    let mut raw = Raw::start(place.command(&["serve", "-c", &config]));
    for name in ["plan", "Planet", "other"] {
        keep(&mut raw, name, "x");
    }
    let review = || json!({"type": "ref/prompt", "name": "note_review"});
    let note = || json!({"type": "ref/resource", "uri": "notes://by-name/{name}"});
    for (reference, argument, typed, expected) in [
        (review(), "name", "PLAN", json!(["Planet", "plan"])),
        (review(), "name", "", json!(["Planet", "other", "plan"])),
        (review(), "name", "x", json!([])),
        (note(), "name", "o", json!(["other"])),
        (review(), "tone", "k", json!(["kind", "Kindly"])),
        (review(), "tone", "h", json!(["harsh about plan"])),
    ] {
        let mut found = propose(&mut raw, reference, argument, typed);
        let values = found["values"].as_array_mut().unwrap();
        if argument == "name" {
            values.sort_by_key(|v| v.as_str().unwrap().to_owned());
        }
        assert_eq!(json!(values), expected, "{argument} {typed}");
        assert_eq!(found["total"], expected.as_array().unwrap().len());
        assert_eq!(found["hasMore"], false);
    }
    for (reference, argument, part) in [
        (review(), "nam", "did you mean `name`?"),
        (
            json!({"type": "ref/prompt", "name": "x"}),
            "name",
            "no prompt `x`",
        ),
        (note(), "x", "no parameter `x`"),
        (
            json!({"type": "ref/resource", "uri": "notes://x"}),
            "x",
            "notes://by-name/{name}",
        ),
    ] {
        let error = propose(&mut raw, reference, argument, "");
        assert_eq!(error["code"], -32602, "{error}");
        let text = error["message"].as_str().unwrap();
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_are_made_by_steps() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = notes(&place, "");
    let mut raw = Raw::start(place.command(&["serve", "-c", &config]));
    keep(&mut raw, "plan", "Ship it");
    let listed = ask(&mut raw, "resources/list", json!({}));
    assert_eq!(
        listed["resources"],
        json!([
            {"uri": "notes://all", "name": "all", "title": "All notes", "mimeType": "application/json"},
            {"uri": "notes://by-name/plan", "name": "plan", "title": "Note plan", "description": "A note",
             "mimeType": "text/markdown"},
            {"uri": "notes://logo", "name": "logo", "mimeType": "image/png"},
        ])
    );
    let templates = ask(&mut raw, "resources/templates/list", json!({}));
    assert_eq!(
        templates["resourceTemplates"],
        json!([{"uriTemplate": "notes://by-name/{name}", "name": "note", "description": "A note",
                "mimeType": "text/markdown"}])
    );
    for (uri, kind, key, said) in [
        (
            "notes://by-name/plan",
            "text/markdown",
            "text",
            "# plan\nShip it",
        ),
        (
            "notes://by-name/%70lan",
            "text/markdown",
            "text",
            "# plan\nShip it",
        ),
        (
            "notes://all",
            "application/json",
            "text",
            r#"{"names":["plan"],"read_at":"notes://all"}"#,
        ),
        ("notes://logo", "image/png", "blob", "iVBORw=="),
    ] {
        let read = ask(&mut raw, "resources/read", json!({"uri": uri}));
        let expected = json!([{"uri": uri, "mimeType": kind, key: said}]);
        assert_eq!(read["contents"], expected, "{read}");
    }
    for uri in [
        "notes://by-name/no",
        "notes://by-name/a/b",
        "notes://al",
        "x",
    ] {
        let error = ask(&mut raw, "resources/read", json!({"uri": uri}));
        assert_eq!(error["code"], -32002, "{uri}: {error}");
        assert!(error["message"].as_str().unwrap().contains(uri), "{error}");
    }
    let subscribed = ask(
        &mut raw,
        "resources/subscribe",
        json!({"uri": "notes://by-name/%70lan"}),
    );
    assert_eq!(subscribed, json!({}));
    // Gateways subscribe on NATS when they are ready to: it is said until it is heard.
    let client = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("{}.note", place.namespace);
    let saying = tokio::spawn(async move {
        loop {
            client.publish(subject.clone(), "".into()).await.unwrap();
            client.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let told = raw.notification("notifications/resources/updated");
    saying.abort();
    assert_eq!(told["uri"], "notes://by-name/plan");
}

#[tokio::test]
async fn toolsets_choose_tools_and_prompts() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let sets = "toolsets:\n  notes: ['note_*']\n  others: {tools: [other, hello]}\n";
    let config = notes(&place, &format!("{sets}toolset: notes\n"));
    let listed = |flags: &[&str]| {
        let mut words = vec!["tools", "-c", &config];
        words.extend(flags);
        let done = place.run(&words);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        done.stdout.lines().map(first).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), ["note_put"]);
    assert_eq!(listed(&["--toolset", "others"]), ["other"]);
    let done = place.run(&["call", "-c", &config, "other"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("no tool `other`"), "{}", done.stderr);
    let done = place.run(&["call", "-c", &config, "--toolset", "others", "other"]);
    assert_eq!(done.stdout, "0\n", "{}", done.stderr);
    let done = place.run(&["tools", "-c", &config, "--toolset", "other"]);
    assert_eq!(done.code, Some(1));
    assert!(
        done.stderr.contains("did you mean `others`?"),
        "{}",
        done.stderr
    );
    // Over pipes.
    for (flags, tools, prompts) in [
        (&[][..], ["note_put"], ["note_review"]),
        (&["--toolset", "others"][..], ["other"], ["hello"]),
    ] {
        let mut words = vec!["serve", "-c", &config];
        words.extend(flags);
        let mut raw = Raw::start(place.command(&words));
        let listed = ask(&mut raw, "tools/list", json!({}));
        assert_eq!(names(&listed, "tools"), tools);
        let listed = ask(&mut raw, "prompts/list", json!({}));
        assert_eq!(names(&listed, "prompts"), prompts);
        raw.call("no", "gone", json!({}));
        assert_eq!(raw.answer("no")["error"]["code"], -32602);
        let hidden = if flags.is_empty() {
            "other"
        } else {
            "note_put"
        };
        raw.call("hidden", hidden, json!({}));
        assert_eq!(raw.answer("hidden")["error"]["code"], -32602, "{hidden}");
    }
    // Over HTTP the flag is for those who name none in the address.
    let served = Served::start(&place, &["-c", &config]);
    for (path, tools) in [("", ["note_put"]), ("/others", ["other"])] {
        let web = Web::begin(&format!("{}{path}", served.url)).await;
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        let answer = web.post(&request).await.text().await.unwrap();
        let data = answer
            .lines()
            .rfind(|line| line.contains("\"result\""))
            .unwrap();
        let data: Value = serde_json::from_str(data.trim_start_matches("data:").trim()).unwrap();
        assert_eq!(names(&data["result"], "tools"), tools, "{path:?}");
    }
}

#[tokio::test]
async fn versions_without_initialize_have_them_too() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = notes(&place, "");
    let served = Served::start(&place, &["-c", &config]);
    let web = Web::new(&served.url);
    let ask = async |method: &str, name: &str, mut params: Value| {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = web.request(reqwest::Method::POST);
        request = request.header("mcp-protocol-version", VERSION);
        request = request.header("mcp-method", method);
        if !name.is_empty() {
            request = request.header("mcp-name", name);
        }
        let answer = request.json(&body).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        let answer: Value = serde_json::from_str(data.unwrap_or(&text)).unwrap();
        answer["result"].clone()
    };
    let listed = ask("prompts/list", "", json!({})).await;
    assert_eq!(names(&listed, "prompts"), ["note_review", "hello"]);
    let made = ask("prompts/get", "hello", json!({"name": "hello"})).await;
    assert_eq!(made["messages"][0]["content"]["text"], "Hello, other");
    assert_eq!(made["resultType"], "complete");
    let reference = json!({"type": "ref/prompt", "name": "note_review"});
    let typed = json!({"ref": reference, "argument": {"name": "tone", "value": "ki"}});
    let found = ask("completion/complete", "", typed).await;
    assert_eq!(found["completion"]["values"], json!(["kind", "Kindly"]));
    let read = ask(
        "resources/read",
        "notes://logo",
        json!({"uri": "notes://logo"}),
    )
    .await;
    assert_eq!(read["contents"][0]["blob"], "iVBORw==", "{read}");
}
