//! The workspace as resources.

// Clients of versions before 2026-07-28 subscribe so.
#![allow(deprecated)]

use rmcp::model::{ReadResourceRequestParams, ResourceContents, SubscribeRequestParams};
use rmcp::service::ServiceError;
use serde_json::{Value, json};

use super::served::gateway;
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::{NatsServer, settled};
use crate::support::wait_for;

async fn served(place: &Place, url: &str, resources: Value) -> Agent {
    let config =
        json!({"name": "t", "nats_url": url, "subject_prefix": "loom", "resources": resources});
    gateway(place, &config).await
}

async fn uris(agent: &Agent) -> Vec<String> {
    let all = agent.client.list_all_resources().await.unwrap();
    all.into_iter()
        .map(|resource| resource.uri.clone())
        .collect()
}

async fn read(agent: &Agent, uri: &str) -> Result<ResourceContents, ServiceError> {
    let request = ReadResourceRequestParams::new(uri);
    let answer = agent.client.read_resource(request).await?;
    Ok(answer.contents.into_iter().next().unwrap())
}

fn text(contents: ResourceContents) -> (String, String) {
    match contents {
        ResourceContents::TextResourceContents {
            text, mime_type, ..
        } => (text, mime_type.unwrap()),
        other => panic!("{other:?}"),
    }
}

/// Waits for a message that the client was told, from `before` on.
fn told(agent: &Agent, before: usize, method: &str, uri: Option<&str>) {
    let method = format!("notifications/resources/{method}");
    wait_for(&method, || {
        let told = agent.client.service().all();
        told[before..]
            .iter()
            .any(|(name, params)| *name == method && uri.is_none_or(|uri| params["uri"] == uri))
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workspace_is_listed_and_read_as_it_is_now() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("ws/a b.md", "# é");
    place.write("ws/data.json", "{}");
    place.write("ws/hidden.txt", "no");
    place.write("ws/sub/deep.md", "no");
    place.write("secret.md", "no");
    let only = json!({"workspace_dir": "ws", "patterns": ["*.md", "*.json", "*.yaml"]});
    let agent = served(&place, &server.url(), only).await;
    assert_eq!(
        uris(&agent).await,
        ["workspace:///a%20b.md", "workspace:///data.json"]
    );
    let (content, kind) = text(read(&agent, "workspace:///a%20b.md").await.unwrap());
    assert_eq!((content.as_str(), kind.as_str()), ("# é", "text/markdown"));
    for uri in [
        "workspace:///../secret.md",
        "workspace:///%2e%2e/secret.md",
        "workspace:////etc/passwd",
        "workspace:///hidden.txt",
        "workspace:///sub/deep.md",
        "workspace:///none.md",
        "file:///etc/passwd",
    ] {
        let error = read(&agent, uri).await.unwrap_err().to_string();
        assert!(!error.contains(place.dir().to_str().unwrap()), "{error}");
    }

    // The first list means that the folder is watched.
    let uri = "workspace:///data.json";
    agent
        .client
        .subscribe(SubscribeRequestParams::new(uri))
        .await
        .unwrap();
    let before = agent.client.service().all().len();
    place.write("ws/data.json", "{\"a\": 1}");
    told(&agent, before, "updated", Some(uri));
    place.write("ws/later.yaml", "a: 1");
    told(&agent, before, "list_changed", None);
    assert_eq!(uris(&agent).await.len(), 3);
    let (content, kind) = text(read(&agent, "workspace:///later.yaml").await.unwrap());
    assert_eq!(
        (content.as_str(), kind.as_str()),
        ("a: 1", "application/yaml")
    );

    // Other programs say so on NATS, in any version of the words.
    let client = async_nats::connect(server.url()).await.unwrap();
    for (message, method) in [
        (json!({ "uri": uri }), "updated"),
        (json!({ "uris": [uri] }), "updated"),
        (json!({"something": "else"}), "list_changed"),
    ] {
        let before = agent.client.service().all().len();
        let payload = message.to_string().into();
        client
            .publish("loom.resources.changed", payload)
            .await
            .unwrap();
        settled(&client).await;
        told(&agent, before, method, (method == "updated").then_some(uri));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_is_not_there_is_empty_and_told() {
    let mut server = NatsServer::stopped("");
    server.reserve_port();
    let place = Place::on(&server);
    // Nor does it need NATS.
    let agent = served(&place, &server.url(), json!({"workspace_dir": "later"})).await;
    assert_eq!(uris(&agent).await, [] as [&str; 0]);
    wait_for("a warning", || {
        let log = agent.stderr();
        log.lines()
            .any(|line| line.contains("WARN") && line.contains("later"))
    });
    let before = agent.client.service().all().len();
    place.write("later/a.md", "here");
    told(&agent, before, "list_changed", None);
    assert_eq!(uris(&agent).await, ["workspace:///a.md"]);
}

#[tokio::test]
async fn folders_below_are_served_when_asked_for() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("ws/sub/deep.md", "deep");
    place.write("ws/large.md", &"x".repeat(2000));
    let all = json!({"workspace_dir": "ws", "recursive": true, "max_bytes": "1KiB"});
    std::os::unix::fs::symlink("/etc/hosts", place.dir().join("ws/out.md")).unwrap();
    let agent = served(&place, &server.url(), all).await;
    assert_eq!(
        uris(&agent).await,
        ["workspace:///large.md", "workspace:///sub/deep.md"]
    );
    let (content, _) = text(read(&agent, "workspace:///sub/deep.md").await.unwrap());
    assert_eq!(content, "deep");
    let error = read(&agent, "workspace:///large.md")
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("large.md") && error.contains("2000"),
        "{error}"
    );
    read(&agent, "workspace:///out.md").await.unwrap_err();
}
