//! What sessions hear while what they hear it with is replaced.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{count, logged, pack, until, watching};
use crate::support::http::{Served, Web};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::signal;

const STREAM: &str = "notifications/acme/stream";
const PLAIN: &str = "notifications/acme/plain";
/// How often everything is replaced.
const TIMES: usize = 20;

/// A pack whose sessions hear a stream and a subject; each version of it is another.
fn hearing(version: usize) -> String {
    let notify = |method: &str| json!([{"notify": {"method": method, "params": {"n": "{{ item.data.n }}", "version": version}}}]);
    json!({
        "streams": {"news": {"name": "NEWS", "subjects": ["news.>"]}},
        "listeners": {
            "stream": {"stream": "news", "steps": notify(STREAM)},
            "plain": {"subject": "plain", "steps": notify(PLAIN)},
        },
        "tools": {"version": {"description": "x", "reply": {"text": version.to_string()}}},
    })
    .to_string()
}

fn write(place: &Place) -> String {
    place.write("mine/tools.yaml", &hearing(0));
    let config = place.write("gateway.yaml", "packs: [./mine]\n");
    config.to_string_lossy().into_owned()
}

/// Says numbers on a subject until it is told to stop; answers with how many.
async fn say(
    server: &NatsServer,
    subject: &str,
    stop: &tokio_util::sync::CancellationToken,
) -> usize {
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut n = 0;
    while !stop.is_cancelled() {
        let body = json!({ "n": n }).to_string();
        client
            .publish(subject.to_owned(), body.into())
            .await
            .unwrap();
        n += 1;
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }
    client.flush().await.unwrap();
    n
}

/// Each number once, and in order.
fn assert_whole(heard: &[Value], said: usize) {
    let numbers: Vec<u64> = heard.iter().filter_map(|p| p["n"].as_u64()).collect();
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for n in &numbers {
        *counts.entry(*n).or_default() += 1;
    }
    let wrong: Vec<_> = (0..said as u64)
        .map(|n| (n, counts.get(&n).copied().unwrap_or_default()))
        .filter(|(_, count)| *count != 1)
        .collect();
    assert!(wrong.is_empty(), "not once of {said}: {wrong:?}");
    assert!(numbers.is_sorted(), "out of order: {numbers:?}");
    let versions: std::collections::BTreeSet<u64> =
        heard.iter().filter_map(|p| p["version"].as_u64()).collect();
    assert!(versions.len() > 3, "{versions:?}");
}

fn heard(agent: &Agent, method: &str) -> Vec<Value> {
    let all = agent.client.service().all();
    let own = all.into_iter().filter(|(m, _)| m == method);
    own.map(|(_, params)| params).collect()
}

#[tokio::test]
async fn on_stdio_no_message_is_lost_or_doubled() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place);
    let agent = Agent::start(place.command(&["serve", "--config", &config])).await;
    agent.ok("version", json!({})).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let (stored, plain, ()) = tokio::join!(
        say(&server, "news.a", &stop),
        say(&server, "plain", &stop),
        async {
            for version in 1..=TIMES {
                place.write("mine/tools.yaml", &hearing(version));
                signal("-HUP", agent.pid);
                logged(&agent, "reloaded: ", version).await;
            }
            stop.cancel();
        }
    );
    until("all of the stream", async || {
        heard(&agent, STREAM).len() >= stored
    })
    .await;
    until("all of the subject", async || {
        heard(&agent, PLAIN).len() >= plain
    })
    .await;
    assert_whole(&heard(&agent, STREAM), stored);
    assert_whole(&heard(&agent, PLAIN), plain);
    assert_eq!(agent.ok("version", json!({})).await.text, TIMES.to_string());
    agent.close().await;
}

#[tokio::test]
async fn over_http_no_message_of_a_stream_is_lost_or_doubled() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place);
    let served = Served::watching(&place, &["--config", &config, "--watch"]);
    let web = Web::begin(&served.url).await;
    web.said("version", json!({})).await;
    let mut events = web.listen(None).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let reading = async {
        let mut heard = Vec::new();
        let mut last = None;
        while last.is_none() {
            let event = events.push().await;
            if event.data["method"] != STREAM {
                continue;
            }
            let params = event.data["params"].clone();
            if params["n"] == -1 {
                last = Some(());
            } else {
                heard.push(params);
            }
        }
        heard
    };
    let (said, heard) = tokio::join!(
        async {
            let (said, ()) = tokio::join!(say(&server, "news.a", &stop), async {
                for version in 1..=TIMES {
                    place.write("mine/tools.yaml", &hearing(version));
                    until("the version", async || {
                        web.said("version", json!({})).await == version.to_string()
                    })
                    .await;
                }
                stop.cancel();
            });
            let client = async_nats::connect(server.url()).await.unwrap();
            let last = json!({"n": -1}).to_string();
            client.publish("news.a", last.into()).await.unwrap();
            client.flush().await.unwrap();
            said
        },
        reading
    );
    assert_whole(&heard, said);
}

#[tokio::test]
async fn listeners_and_timers_come_and_go() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = super::write(&place, &pack(&[("one", "1")]));
    let agent = watching(&place, &config).await;
    let ticks = |method: &str| {
        json!({
            "timers": {"tick": {"every": "1s", "steps": [{"notify": {"method": method}}]}},
            "listeners": {"plain": {"subject": "plain", "steps": [{"notify": {"method": PLAIN, "params": {"n": "{{ item.data.n }}"}}}]}},
            "tools": {"one": {"description": "x", "reply": {"text": method}}},
        })
        .to_string()
    };
    place.write("mine/tools.yaml", &ticks("notifications/acme/a"));
    until("a tick", async || {
        !heard(&agent, "notifications/acme/a").is_empty()
    })
    .await;
    let client = async_nats::connect(server.url()).await.unwrap();
    client.publish("plain", "{\"n\": 1}".into()).await.unwrap();
    until("a message", async || heard(&agent, PLAIN).len() == 1).await;
    place.write("mine/tools.yaml", &ticks("notifications/acme/b"));
    until("another tick", async || {
        !heard(&agent, "notifications/acme/b").is_empty()
    })
    .await;
    let before = heard(&agent, "notifications/acme/a").len();
    place.write("mine/tools.yaml", &pack(&[("one", "2")]));
    until("no timer", async || {
        agent.ok("one", json!({})).await.text == "2"
    })
    .await;
    client.publish("plain", "{\"n\": 2}".into()).await.unwrap();
    client.flush().await.unwrap();
    // What is asked of the gateway after it comes after it.
    agent.ok("one", json!({})).await;
    assert_eq!(heard(&agent, "notifications/acme/a").len(), before);
    assert_eq!(heard(&agent, PLAIN).len(), 1);
    assert_eq!(count(&agent.stderr(), "ERROR"), 0, "{}", agent.stderr());
    agent.close().await;
}
