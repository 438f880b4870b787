//! Sessions over HTTP that go from one gateway to another, and tools that are offered as a service.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Site, prove, unrefused};
use crate::http::stateless::request;
use crate::support::LIMIT;
use crate::support::http::{Served, Web};

/// Its sessions are looked after at once.
const CONFIG: &str = "packs: [./desk]\nexpose: {micro: {name: weaver, tools: [desk_who, desk_count]}}\n\
    http: {sessions: {sweep: 1s}}\n";

/// Lines that this scenario does not come to.
const SPARED: &[&str] = &[
    // A session whose entry is looked for by its place in the bucket.
    "publish $JS.API.DIRECT.GET.KV_jacquard-sessions",
    // A listener that has fallen behind what its gateway keeps in memory.
    "publish $JS.API.DIRECT.GET.shop_said",
    "publish $JS.API.STREAM.MSG.GET.shop_said",
    "publish $JS.FC.shop_said.>",
    // A tool that waits for nobody.
    "publish shop.silent",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_and_a_service_need_each_line() {
    prove(
        CONFIG,
        &["--http"],
        &["publish", "subscribe", "allow_responses"],
        SPARED,
        served,
    )
    .await;
}

/// A session that wanders, listens and ends, between two gateways of one user; then the service, in every way it can be asked.
async fn served(site: Site<'_>) -> Result<(), String> {
    let start = || Served::run(site.command(&["--http", "127.0.0.1:0"]));
    let (mut first, mut second) = (start(), start());
    let (log, account) = (site.log(), site.account);
    let fine = || unrefused(&log, account);
    let web = Web::begin(&first.url).await;
    fine()?;
    let other = web.at(&second.url);
    let id = web.said("desk_name", json!({"name": "ada"})).await;
    fine()?;
    let mut events = web.listen(None).await;
    web.said("desk_say", json!({"text": "hello"})).await;
    fine()?;
    let heard = timeout(LIMIT, events.push()).await;
    let heard = heard.map_err(|_| "nothing is heard")?;
    assert_eq!(heard.data["params"]["text"], "hello");
    assert_eq!(other.said("desk_count", json!({})).await, "1");
    assert_eq!(web.said("desk_who", json!({})).await, "ada plain");
    fine()?;
    let admin = site.admin().await;
    let js = async_nats::jetstream::new(admin.clone());
    offered(&admin).await?;
    fine()?;
    assert_eq!(other.end().await, 204);
    // A session that was left alone is looked at by whoever sweeps.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let traces = js.get_key_value("shop_traces").await;
    let traces = traces.map_err(|error| error.to_string())?;
    let closed = traces.get(format!("close.{id}")).await;
    closed
        .map_err(|e| e.to_string())?
        .ok_or("no closing steps")?;
    let stopped = [first.stop(), second.stop()];
    assert!(stopped.iter().all(|status| status.success()));
    fine()
}

/// Lines that tasks need.
const OF_TASKS: &[&str] = &["jacquard-tasks", "jacquard.gateways.*.tasks"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_need_each_line() {
    let config = "packs: [./errands]\n";
    prove(config, &["--http"], OF_TASKS, &[], tasks).await;
}

/// A task that is begun at one gateway of a user and stopped at another one.
async fn tasks(site: Site<'_>) -> Result<(), String> {
    let start = || Served::run(site.command(&["--http", "127.0.0.1:0"]));
    let (first, second) = (start(), start());
    let fine = || unrefused(&site.log(), site.account);
    let ask = async |gateway: &Served, method: &str, params: Value| {
        let answer = request(&gateway.url, None, method, params).send().await;
        let answer: Result<Value, _> = answer.unwrap().json().await;
        answer.map_err(|error| error.to_string())
    };
    let call = json!({"name": "errand_run", "arguments": {"name": "a", "seconds": 300}});
    let begun = ask(&first, "tools/call", call).await?;
    fine()?;
    let id = &begun["result"]["taskId"];
    ask(&second, "tasks/get", json!({"taskId": id})).await?;
    let cancelled = ask(&second, "tasks/cancel", json!({"taskId": id})).await?;
    if cancelled["result"].is_null() {
        return Err(cancelled.to_string());
    }
    // It is looked for lost tasks, too.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    fine()
}

/// Asks the service for all that it tells, and for its tools.
async fn offered(admin: &async_nats::Client) -> Result<(), String> {
    let ask = async |subject: String, body: &str| {
        let asked = admin.request(subject.clone(), body.to_owned().into()).await;
        asked.map_err(|error| format!("{subject}: {error}"))
    };
    let ping = ask("$SRV.PING.weaver".to_owned(), "").await?;
    let ping: serde_json::Value = serde_json::from_slice(&ping.payload).unwrap();
    let id = ping["id"].as_str().unwrap();
    for verb in ["PING", "INFO", "STATS"] {
        for rest in [String::new(), ".weaver".to_owned(), format!(".weaver.{id}")] {
            ask(format!("$SRV.{verb}{rest}"), "").await?;
        }
    }
    let info = ask("$SRV.INFO.weaver".to_owned(), "").await?;
    let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
    for endpoint in info["endpoints"].as_array().unwrap() {
        ask(endpoint["subject"].as_str().unwrap().to_owned(), "{}").await?;
    }
    Ok(())
}
