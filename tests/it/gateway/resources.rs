//! Files as MCP resources, over both transports.

// Clients of versions before 2026-07-28 subscribe so.
#![allow(deprecated)]

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{
    ErrorCode, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResult,
    ResourceContents, SubscribeRequestParams, UnsubscribeRequestParams,
};
use rmcp::service::ServiceError;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::LIMIT;
use crate::support::http::{Events, Served, Web};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// A config with the pack `files`; `settings` are its settings.
fn config(place: &Place, settings: &str) -> String {
    place.write("pack/pack.yaml", include_str!("resources.yaml"));
    let text =
        format!("packs: [./pack]\nallow: {{read: [files]}}\nsettings: {{pack: {{{settings}}}}}\n");
    let path = place.write("jacquard.yaml", &text);
    path.to_string_lossy().into_owned()
}

async fn agent(place: &Place, settings: &str) -> Agent {
    let config = config(place, settings);
    Agent::start(place.command(&["serve", "--config", &config])).await
}

async fn names(agent: &Agent) -> Vec<String> {
    let all = timeout(LIMIT, agent.client.list_all_resources()).await;
    let all = all.expect("an answer in time").unwrap();
    all.into_iter().map(|resource| resource.name).collect()
}

async fn read(agent: &Agent, uri: &str) -> Result<ReadResourceResult, ServiceError> {
    let request = ReadResourceRequestParams::new(uri);
    let answer = timeout(LIMIT, agent.client.read_resource(request)).await;
    answer.expect("an answer in time")
}

/// The text, or the bytes of a blob, and the type.
async fn said(agent: &Agent, uri: &str) -> (Vec<u8>, String) {
    let result = read(agent, uri).await.unwrap();
    match result.contents.into_iter().next().unwrap() {
        ResourceContents::TextResourceContents {
            text, mime_type, ..
        } => (text.into_bytes(), mime_type.unwrap()),
        ResourceContents::BlobResourceContents {
            blob, mime_type, ..
        } => (STANDARD.decode(blob).unwrap(), mime_type.unwrap()),
        other => panic!("{other:?}"),
    }
}

async fn refused(agent: &Agent, uri: &str) -> (ErrorCode, String) {
    match read(agent, uri).await.unwrap_err() {
        ServiceError::McpError(error) => (error.code, error.message.into_owned()),
        other => panic!("{uri}: {other}"),
    }
}

#[tokio::test]
async fn files_are_listed_and_read_as_they_are_now() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("files/plan.md", "# Plan");
    place.write("files/a b.yaml", "a: é");
    place.write("files/sub/deep.md", "deep");
    std::fs::write(place.dir().join("files/logo.png"), [0x89, b'P', 0, 255]).unwrap();
    std::fs::write(place.dir().join("files/bad.txt"), [b'a', 255]).unwrap();
    let agent = agent(&place, "").await;
    let capability = agent
        .client
        .peer_info()
        .unwrap()
        .capabilities
        .resources
        .clone();
    let capability = capability.unwrap();
    assert_eq!(
        (capability.subscribe, capability.list_changed),
        (Some(true), Some(true))
    );
    let listed = agent.client.list_resources(None).await.unwrap();
    let listed: Vec<Value> = listed
        .resources
        .iter()
        .map(|r| serde_json::to_value(r).unwrap())
        .collect();
    assert_eq!(
        listed,
        [
            json!({"uri": "workspace:///a%20b.yaml", "name": "a b.yaml", "mimeType": "application/yaml", "size": 5}),
            json!({"uri": "workspace:///bad.txt", "name": "bad.txt", "mimeType": "text/plain", "size": 2}),
            json!({"uri": "workspace:///logo.png", "name": "logo.png", "mimeType": "image/png", "size": 4}),
            json!({"uri": "workspace:///plan.md", "name": "plan.md", "mimeType": "text/markdown", "size": 6}),
        ]
    );
    let templates = agent.client.list_all_resource_templates().await.unwrap();
    assert_eq!(templates.len(), 1);
    assert_eq!(templates[0].uri_template, "workspace:///{+path}");
    for (uri, bytes, kind) in [
        (
            "workspace:///a%20b.yaml",
            "a: é".as_bytes(),
            "application/yaml",
        ),
        (
            "workspace:///a b.yaml",
            "a: é".as_bytes(),
            "application/yaml",
        ),
        ("workspace:///./plan.md", b"# Plan", "text/markdown"),
        ("workspace:///logo.png", &[0x89, b'P', 0, 255], "image/png"),
        ("workspace:///bad.txt", "a\u{fffd}".as_bytes(), "text/plain"),
    ] {
        assert_eq!(
            said(&agent, uri).await,
            (bytes.to_vec(), kind.to_owned()),
            "{uri}"
        );
    }
    place.write("files/plan.md", "# Other");
    place.write("files/new.md", "new");
    assert_eq!(said(&agent, "workspace:///plan.md").await.0, b"# Other");
    assert_eq!(said(&agent, "workspace:///new.md").await.0, b"new");
    assert_eq!(names(&agent).await.len(), 5);
}

#[tokio::test]
async fn what_is_not_served_is_refused() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let secret = place.write("secret.md", "secret");
    place.write("files/sub/deep.md", "deep");
    place.write("files/large.md", &"x".repeat(1001));
    place.write("files/full.md", &"x".repeat(1000));
    place.write("files/notes.txt", "not a pattern");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&secret, place.dir().join("files/out.md")).unwrap();
    let agent = agent(&place, "patterns: ['*.md']").await;
    assert_eq!(names(&agent).await, ["full.md", "large.md"]);
    let (none, wrong) = (ErrorCode::RESOURCE_NOT_FOUND, ErrorCode::INVALID_PARAMS);
    for (uri, code, text) in [
        (
            "workspace:///none.md",
            none,
            "Resource not found: workspace:///none.md",
        ),
        ("workspace:///notes.txt", none, "Resource not found"),
        ("workspace:///sub/deep.md", none, "Resource not found"),
        ("workspace:///sub", none, "Resource not found"),
        ("workspace:///", none, "Resource not found"),
        ("workspace:///%ff.md", none, "Resource not found"),
        ("workspace:///a%00.md", none, "Resource not found"),
        (
            "workspace:///../secret.md",
            wrong,
            "Path traversal detected: workspace:///../secret.md",
        ),
        (
            "workspace:///%2e%2e/secret.md",
            wrong,
            "Path traversal detected",
        ),
        (
            "workspace:///sub/../../secret.md",
            wrong,
            "Path traversal detected",
        ),
        ("workspace:////etc/passwd", wrong, "Path traversal detected"),
        #[cfg(unix)]
        ("workspace:///out.md", wrong, "Path traversal detected"),
        (
            "file:///etc/passwd",
            wrong,
            "Invalid workspace URI: file:///etc/passwd (expected workspace:///...)",
        ),
        ("off:///full.md", wrong, "Invalid workspace URI"),
        (
            "workspace:///large.md",
            wrong,
            "\"large.md\" has 1001 bytes, and at most 1000 are read",
        ),
    ] {
        let (got, said) = refused(&agent, uri).await;
        assert_eq!(got, code, "{uri}: {said}");
        assert!(said.contains(text), "{uri}: {said}");
        assert!(!said.contains(place.dir().to_str().unwrap()), "{said}");
    }
    assert_eq!(said(&agent, "workspace:///full.md").await.0.len(), 1000);
    let cursor = PaginatedRequestParams::default().with_cursor(Some("x".to_owned()));
    assert!(agent.client.list_resources(Some(cursor)).await.is_err());
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let all: Vec<String> = (0..2300).map(|n| format!("d{}/{n:04}.md", n % 2)).collect();
    for name in &all {
        place.write(format!("files/{name}"), "x");
    }
    let agent = agent(&place, "recursive: true").await;
    let first = agent.client.list_resources(None).await.unwrap();
    assert_eq!(first.resources.len(), 1000);
    assert!(first.next_cursor.is_some());
    let mut expected = all.clone();
    expected.sort();
    assert_eq!(names(&agent).await, expected);
    assert_eq!(said(&agent, "workspace:///d1/0001.md").await.0, b"x");
}

/// Does something again and again until the client has been told this.
async fn until_told(agent: &Agent, method: &str, uri: Option<&str>, mut again: impl FnMut()) {
    let begun = Instant::now();
    loop {
        again();
        for _ in 0..50 {
            let told = agent.client.service().all();
            let same = |(name, params): &(String, Value)| {
                name == method && uri.is_none_or(|uri| params["uri"] == uri)
            };
            if told.iter().any(same) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "{:?}",
            agent.client.service().all()
        );
    }
}

const LIST: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated";

#[tokio::test]
async fn changes_are_told_to_those_who_want_to_know() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("files/plan.md", "1");
    place.write("files/other.md", "1");
    let agent = agent(&place, "").await;
    let plan = "workspace:///plan.md";
    agent
        .client
        .subscribe(SubscribeRequestParams::new("workspace:///./plan.md"))
        .await
        .unwrap();
    for bad in ["workspace:///../x", "else:///x"] {
        let refused = agent
            .client
            .subscribe(SubscribeRequestParams::new(bad))
            .await;
        assert!(refused.is_err(), "{bad}");
    }
    place.write("files/other.md", "other");
    place.write("files/plan.md", "changed");
    until_told(&agent, UPDATED, Some(plan), || {}).await;
    place.write("files/new.md", "1");
    until_told(&agent, LIST, None, || {}).await;
    let told = agent.client.service().all();
    let other = |(method, params): &(String, Value)| method == UPDATED && params["uri"] != plan;
    assert!(!told.iter().any(other), "{told:?}");
    // A file that is there no more was changed too.
    let before = agent.client.service().all().len();
    std::fs::remove_file(place.dir().join("files/plan.md")).unwrap();
    let told = agent.told(before + 2).await;
    let told: Vec<&str> = told[before..]
        .iter()
        .map(|(method, _)| method.as_str())
        .collect();
    assert_eq!(
        (told.contains(&LIST), told.contains(&UPDATED)),
        (true, true),
        "{told:?}"
    );
    agent
        .client
        .unsubscribe(UnsubscribeRequestParams::new(plan))
        .await
        .unwrap();
    let before = agent.client.service().all().len();
    place.write("files/plan.md", "again");
    let told = agent.told(before + 1).await;
    assert!(
        told[before..].iter().all(|(method, _)| method == LIST),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_folder_may_come_later_and_go() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = agent(&place, "").await;
    assert_eq!(names(&agent).await, Vec::<String>::new());
    assert_eq!(
        refused(&agent, "workspace:///a.md").await.0,
        ErrorCode::RESOURCE_NOT_FOUND
    );
    assert_eq!(
        agent.stderr().matches("is not there").count(),
        1,
        "{}",
        agent.stderr()
    );
    place.write("files/a.md", "1");
    until_told(&agent, LIST, None, || {}).await;
    assert_eq!(names(&agent).await, ["a.md"]);
    let before = agent.client.service().all().len();
    std::fs::remove_dir_all(place.dir().join("files")).unwrap();
    agent.told(before + 1).await;
    assert_eq!(names(&agent).await, Vec::<String>::new());
    let before = agent.client.service().all().len();
    place.write("files/b.md", "1");
    agent.told(before + 1).await;
    let before = agent.client.service().all().len();
    place.write("files/c.md", "1");
    agent.told(before + 1).await;
}

#[tokio::test]
async fn others_say_on_nats_what_has_changed() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("files/plan.md", "1");
    let agent = agent(&place, "").await;
    let plan = "workspace:///plan.md";
    agent
        .client
        .subscribe(SubscribeRequestParams::new(plan))
        .await
        .unwrap();
    let plain = async_nats::connect(server.url()).await.unwrap();
    let subject = format!("{}.changed", place.namespace);
    let say = |text: &'static str| {
        let (plain, subject) = (plain.clone(), subject.clone());
        move || {
            let (plain, subject) = (plain.clone(), subject.clone());
            tokio::spawn(async move {
                plain.publish(subject, text.into()).await.unwrap();
                plain.flush().await.unwrap();
            });
        }
    };
    until_told(
        &agent,
        UPDATED,
        Some(plan),
        say(r#"{"uris": ["workspace:///plan.md", "x:///y"]}"#),
    )
    .await;
    assert!(
        agent
            .client
            .service()
            .all()
            .iter()
            .all(|(method, _)| method == UPDATED)
    );
    until_told(&agent, LIST, None, say("anything")).await;
}

#[tokio::test]
async fn over_http_the_same_is_served_and_told() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("files/plan.md", "1");
    let served = Served::start(&place, &["--config", &config(&place, "")]);
    let web = Web::begin(&served.url).await;
    let uri = "workspace:///plan.md";
    let listed = ask(&web, "resources/list", json!({})).await;
    assert_eq!(listed["result"]["resources"][0]["uri"], uri, "{listed}");
    let read = ask(&web, "resources/read", json!({"uri": uri})).await;
    assert_eq!(read["result"]["contents"][0]["text"], "1", "{read}");
    let wrong = ask(&web, "resources/read", json!({"uri": "workspace:///../x"})).await;
    assert_eq!(wrong["error"]["code"], -32602, "{wrong}");
    let none = ask(&web, "resources/read", json!({"uri": "workspace:///x"})).await;
    assert_eq!(none["error"]["code"], -32002, "{none}");
    let malformed = ask(&web, "resources/read", json!({"uri": 5})).await;
    assert_eq!(malformed["error"]["code"], -32602, "{malformed}");
    let subscribed = ask(&web, "resources/subscribe", json!({"uri": uri})).await;
    assert_eq!(subscribed["result"], json!({}), "{subscribed}");
    let mut events = web.listen(None).await;
    place.write("files/plan.md", "two");
    assert_eq!(
        next_change(&mut events).await,
        (UPDATED.to_owned(), json!(uri))
    );
    place.write("files/b.md", "1");
    assert_eq!(next_change(&mut events).await.0, LIST);
}

async fn ask(web: &Web, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let response = web.post(&body).await;
    let text = response.text().await.unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap_or(&text)).unwrap()
}

async fn next_change(events: &mut Events) -> (String, Value) {
    let push = events.push().await.data;
    let method = push["method"].as_str().unwrap().to_owned();
    (method, push["params"]["uri"].clone())
}

#[tokio::test]
async fn a_subscription_goes_on_in_another_gateway() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("files/plan.md", "1");
    let config = config(&place, "");
    let mut first = Served::start(&place, &["--config", &config]);
    let web = Web::begin(&first.url).await;
    let uri = "workspace:///plan.md";
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": uri}});
    assert_eq!(web.post(&body).await.status(), 200);
    first.kill();
    let second = Served::start(&place, &["--config", &config]);
    let web = web.at(&second.url);
    let mut events = web.listen(None).await;
    // Its first answer means that the folder is watched.
    let body = json!({"jsonrpc": "2.0", "id": 2, "method": "resources/list"});
    assert_eq!(web.post(&body).await.status(), 200);
    place.write("files/plan.md", "two");
    assert_eq!(
        next_change(&mut events).await,
        (UPDATED.to_owned(), json!(uri))
    );
}

#[tokio::test]
async fn who_logs_in_needs_the_scopes() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("files/plan.md", "1");
    place.write(
        "pack/pack.yaml",
        "folders: {files: {path: files}}\nresources: {files: {folder: files, uri: 'files:///', scopes: [see]}}\n",
    );
    let config = "packs: [./pack]\nallow: {read: [files]}\nauth: {tokens: [{name: ann, token: ann-token-0123456789, scopes: [see]}, {name: bob, token: bob-token-0123456789}]}\n";
    let served = Served::with(&place, config);
    for (token, count, code) in [
        ("ann-token-0123456789", 1, Value::Null),
        ("bob-token-0123456789", 0, json!(-32002)),
    ] {
        let web = Web::begin_as(&served.url, Some(token)).await;
        let listed = ask(&web, "resources/list", json!({})).await;
        let listed = listed["result"]["resources"].as_array().unwrap().len();
        assert_eq!(listed, count, "{token}");
        let uri = json!({"uri": "files:///plan.md"});
        for method in ["resources/read", "resources/subscribe"] {
            let answer = ask(&web, method, uri.clone()).await;
            assert_eq!(answer["error"]["code"], code, "{token}: {answer}");
        }
    }
}

#[test]
fn what_cannot_be_served_is_said_at_the_start() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = config(&place, "patterns: ['[a']");
    let done = place.run(&["serve", "--config", &config]);
    assert_ne!(done.code, Some(0));
    assert!(done.stderr.contains("the resource `workspace`"), "{done:?}");
    assert!(done.stderr.contains("[a"), "{done:?}");
    let config = place.write("jacquard.yaml", "packs: [./pack]\n");
    let done = place.run(&["serve", "--config", config.to_str().unwrap()]);
    assert!(done.stderr.contains("allow: {read:"), "{done:?}");
}
