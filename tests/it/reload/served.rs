//! What is served follows the files over HTTP, and says how it fares.

use serde_json::{Value, json};

use super::{TOOLS, count, pack, until, write};
use crate::support::http::{Served, Web};
use crate::support::place::Place;
use crate::support::server::NatsServer;

async fn get(served: &Served, path: &str) -> String {
    let url = format!("http://{}{path}", served.address());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

async fn ready(served: &Served) -> Value {
    serde_json::from_str(&get(served, "/ready").await).unwrap()
}

async fn listed(web: &Web) -> Vec<String> {
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let text = web.post(&list).await.text().await.unwrap();
    let data = text.lines().find_map(|line| line.strip_prefix("data: "));
    let answer: Value = serde_json::from_str(data.unwrap_or(&text)).unwrap();
    let tools = answer["result"]["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn it_watches_by_itself_and_tells_how_it_went() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &pack(&[("one", "1")]));
    let served = Served::watching(&place, &["--config", &config]);
    let web = Web::begin(&served.url).await;
    let mut events = web.listen(None).await;
    place.write("mine/tools.yaml", &pack(&[("one", "1"), ("two", "2")]));
    assert_eq!(events.push().await.data["method"], TOOLS);
    assert_eq!(listed(&web).await, ["one", "two"]);
    assert_eq!(ready(&served).await["reload"]["ok"], true);
    place.write("mine/tools.yaml", "tools: {one: {descriptoin: x}}\n");
    until("the failure", async || {
        ready(&served).await["reload"]["ok"] == false
    })
    .await;
    let state = ready(&served).await;
    assert_eq!(state["ready"], true);
    let error = state["reload"]["error"].as_str().unwrap();
    let wanted = "tools.yaml:1:9: `reply` is missing [schema] (and 1 more)";
    assert!(error.ends_with(wanted), "{error}");
    assert!(state["reload"]["since"].as_str().unwrap().ends_with('Z'));
    assert_eq!(web.said("two", json!({})).await, "2");
    place.write("mine/tools.yaml", &pack(&[("two", "2")]));
    assert_eq!(events.push().await.data["method"], TOOLS);
    let mended = ready(&served).await;
    assert_eq!(
        (&mended["reload"]["ok"], mended["reload"].get("error")),
        (&json!(true), None)
    );
    let metrics = get(&served, "/metrics").await;
    for line in [
        "jacquard_reloads_total{outcome=\"changed\"} 2",
        "jacquard_reloads_total{outcome=\"failed\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn toolsets_scopes_and_instructions_of_a_config_are_taken_over() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &pack(&[("one", "1"), ("two", "2")]));
    let served = Served::watching(&place, &["--config", &config]);
    let some = format!("{}/some", served.url);
    assert_eq!(Web::new(&some).initialize().await.status(), 404);
    let text = "packs: [./mine]\ninstructions: Be quick.\ntoolsets: {some: {tools: [two]}}\nhttp: {max_body: 1MiB}\n";
    place.write("gateway.yaml", text);
    until("the toolset", async || {
        Web::new(&some).initialize().await.status() == 200
    })
    .await;
    let web = Web::begin(&some).await;
    assert_eq!(listed(&web).await, ["two"]);
    let said = web.initialize().await.text().await.unwrap();
    assert!(said.contains("Be quick."), "{said}");
    assert_eq!(ready(&served).await["reload"]["restart"], json!(["http"]));
    place.write("gateway.yaml", "packs: [./mine]\n");
    until("the toolset to go", async || {
        Web::new(&some).initialize().await.status() == 404
    })
    .await;
}

#[tokio::test]
async fn a_hundred_writes_are_few_reloads_and_touches_are_none() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &pack(&[("one", "0")]));
    let served = Served::watching(&place, &["--config", &config]);
    let web = Web::begin(&served.url).await;
    for text in 1..=100 {
        place.write("mine/tools.yaml", &pack(&[("one", &text.to_string())]));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    until("the last one", async || {
        web.said("one", json!({})).await == "100"
    })
    .await;
    let few = count(&served.stderr(), "reloaded: ");
    assert!((1..=10).contains(&few), "{few}: {}", served.stderr());
    for _ in 0..100 {
        place.write("mine/tools.yaml", &pack(&[("one", "100")]));
    }
    // The next real change is the next reload.
    place.write("mine/more.yaml", &pack(&[("two", "2")]));
    until("one more tool", async || listed(&web).await.len() == 2).await;
    let all = count(&served.stderr(), "reloaded: ");
    // A file that is being written may be met half written, which is another content.
    assert!((few + 1..=few + 8).contains(&all), "{}", served.stderr());
}

#[tokio::test]
async fn one_that_is_told_not_to_watch_does_not() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &pack(&[("one", "1")]));
    let served = Served::watching(&place, &["--config", &config, "--no-watch"]);
    let watching = Served::watching(&place, &["--config", &config]);
    let (web, other) = (
        Web::begin(&served.url).await,
        Web::begin(&watching.url).await,
    );
    place.write("mine/tools.yaml", &pack(&[("one", "2")]));
    until("the other", async || {
        other.said("one", json!({})).await == "2"
    })
    .await;
    assert_eq!(web.said("one", json!({})).await, "1");
}
