//! What is served follows the files, on stdio.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{TOOLS, count, logged, names, pack, until, watching, write};
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::{NatsServer, settled};
use crate::support::signal;

/// How often the client was told that the tools are others.
fn told(agent: &Agent) -> usize {
    let all = agent.client.service().all();
    all.iter().filter(|(method, _)| method == TOOLS).count()
}

#[tokio::test]
async fn tools_are_added_changed_and_removed() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &pack(&[("one", "1"), ("two", "2")]));
    let mut agent = watching(&place, &config).await;
    place.write("mine/tools.yaml", &pack(&[("two", "zwei"), ("three", "3")]));
    logged(&agent, "reloaded: added three; removed one; changed two", 1).await;
    until("news", async || told(&agent) == 1).await;
    assert_eq!(names(&mut agent).await, ["two", "three"]);
    assert_eq!(agent.ok("two", json!({})).await.text, "zwei");
    let gone = agent.try_call("one", json!({})).await.unwrap_err();
    assert!(
        gone.to_string().contains("there is no tool `one`"),
        "{gone}"
    );
    // What a model does not see is no news of the list.
    place.write("mine/tools.yaml", &pack(&[("two", "due"), ("three", "3")]));
    logged(&agent, "reloaded: changed two", 1).await;
    assert_eq!(agent.ok("two", json!({})).await.text, "due");
    assert_eq!(told(&agent), 1);
    agent.close().await;
}

#[tokio::test]
async fn a_bad_change_leaves_the_last_good_one() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &pack(&[("one", "1")]));
    let mut agent = watching(&place, &config).await;
    let broken = "tools:\n  one: {description: x, reply: {text: '{{ args.nope.'}}\n";
    place.write("mine/tools.yaml", broken);
    let line = "the change is not served, and what was served before goes on";
    logged(&agent, line, 1).await;
    assert!(
        agent.stderr().contains("error[template]"),
        "{}",
        agent.stderr()
    );
    assert_eq!(agent.ok("one", json!({})).await.text, "1");
    // The same mistake is not told twice; another one is.
    place.write("mine/other.yaml", &pack(&[("two", "2")]));
    place.write("mine/tools.yaml", "tools: [");
    logged(&agent, line, 2).await;
    assert_eq!(count(&agent.stderr(), "error[template]"), 1);
    // A pack that is not there yet, named by the config, is seen when it comes.
    place.write("gateway.yaml", "packs: [./mine, ./more]\n");
    logged(&agent, line, 3).await;
    place.write("mine/tools.yaml", &pack(&[("one", "eins")]));
    place.write("more/tools.yaml", &pack(&[("three", "3")]));
    logged(&agent, "reloaded: added two, three; changed one", 1).await;
    assert_eq!(names(&mut agent).await, ["two", "one", "three"]);
    agent.close().await;
}

#[tokio::test]
async fn a_signal_reloads_what_is_not_watched() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let config = write(&place, &pack(&[("one", "1")]));
    let agent = Agent::start(place.command(&["serve", "--config", &config])).await;
    assert_eq!(agent.ok("one", json!({})).await.text, "1");
    place.write("mine/tools.yaml", &pack(&[("one", "eins")]));
    signal("-HUP", agent.pid);
    logged(&agent, "reloaded: changed one", 1).await;
    assert_eq!(agent.ok("one", json!({})).await.text, "eins");
    signal("-HUP", agent.pid);
    logged(&agent, "reloaded: no tool is other than before", 1).await;
    assert_eq!(told(&agent), 0);
    agent.close().await;
}

#[tokio::test]
async fn a_call_in_flight_ends_as_it_began() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let slow = |reply: &str| {
        json!({"tools": {
            "slow": {"description": "x",
                "steps": [{"request": {"subject": "slow.it", "timeout": "20s"}, "as": "answer"}],
                "reply": {"text": format!("{reply} {{{{ answer.text }}}}")}},
            "kept": {"description": "x", "reply": {"text": reply}},
        }})
        .to_string()
    };
    let config = write(&place, &slow("old"));
    let agent = watching(&place, &config).await;
    let plain = async_nats::connect(server.url()).await.unwrap();
    let mut asked = plain.subscribe("slow.it").await.unwrap();
    settled(&plain).await;
    let (answer, ()) = tokio::join!(agent.ok("slow", json!({})), async {
        let request = asked.next().await.unwrap();
        place.write("mine/tools.yaml", &pack(&[("kept", "new")]));
        logged(&agent, "reloaded: removed slow; changed kept", 1).await;
        assert_eq!(agent.ok("kept", json!({})).await.text, "new");
        plain
            .publish(request.reply.unwrap(), "answered".into())
            .await
            .unwrap();
    });
    assert_eq!(answer.text, "old answered");
    agent.close().await;
}

#[tokio::test]
async fn templates_documents_and_files_that_take_the_place_of_others_count() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let spec = json!({
        "tools": {"greet": {"description": "x", "reply": {"template": "greeting.txt"}}},
        "generate": {"made": {
            "each": "['doc.yaml']",
            "document": "{{ entry }}",
            "name": "{{ doc.name }}",
            "tool": {"description": "x", "reply": {"text": "{{ doc.text }}"}},
        }},
    });
    place.write("mine/templates/greeting.txt", "hello");
    place.write("doc.yaml", "{name: a, text: A}\n");
    let config = write(&place, &spec.to_string());
    let mut agent = watching(&place, &config).await;
    assert_eq!(names(&mut agent).await, ["greet", "a"]);
    // As editors write: beside it, and then in its place.
    let beside = place.write("mine/templates/.greeting.txt.swp", "good day");
    std::fs::rename(beside, place.dir().join("mine/templates/greeting.txt")).unwrap();
    until("the template", async || {
        agent.ok("greet", json!({})).await.text == "good day"
    })
    .await;
    place.write("doc.yaml", "{name: a, text: AA}\n");
    logged(&agent, "reloaded: changed a", 1).await;
    assert_eq!(agent.ok("a", json!({})).await.text, "AA");
    agent.close().await;
}

#[tokio::test]
async fn the_project_file_counts_and_what_wants_a_restart_is_said() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let channels = "{{ project.channels | map(attribute='name') | join(' ') }}";
    let config = write(&place, &pack(&[("channels", channels)]));
    let agent = watching(&place, &config).await;
    let text = json!({"namespace": place.namespace, "channels": [
        {"name": "birds", "description": "x"}, {"name": "fish", "description": "x"}]});
    place.project(&text.to_string());
    until("the channels", async || {
        agent.ok("channels", json!({})).await.text == "birds fish"
    })
    .await;
    place.write(
        "gateway.yaml",
        "name: other\npacks: [./mine]\nlog: {level: debug}\n",
    );
    let line = "changed, and taken over by a restart only: log";
    logged(&agent, line, 1).await;
    agent.close().await;
}

#[tokio::test]
async fn a_handle_and_what_still_fits_outlive_reloads() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let mine = |count: Value| {
        json!({
            "session": {"color": {"type": "string"}, "count": count},
            "tools": {
                "put": {"description": "x", "steps": [{"set": {"color": "red", "count": "{{ 7 }}"}}], "reply": {"text": "ok"}},
                "get": {"description": "x", "reply": {"text": "{{ session.color | default('-') }} {{ session.count | default('-') }}"}},
            },
        })
        .to_string()
    };
    place.write("mine/tools.yaml", &mine(json!({"type": "integer"})));
    let config = place.write("gateway.yaml", "packs: [warp, ./mine]\n");
    let agent = watching(&place, &config.to_string_lossy()).await;
    agent
        .ok("warp_handle_set", json!({"handle": "planner"}))
        .await;
    agent.ok("put", json!({})).await;
    place.write(
        "mine/tools.yaml",
        &mine(json!({"type": "integer", "maximum": 5})),
    );
    until("the other schema", async || {
        agent.ok("get", json!({})).await.text == "red -"
    })
    .await;
    let handle = agent.ok("warp_handle_get", json!({})).await;
    assert!(handle.text.contains("planner"), "{}", handle.text);
    agent.close().await;
}
