//! Packs that give other names to the tools of other packs.

use serde_json::json;

use super::presence;
use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

fn short(place: &Place) {
    place.write(
        "short/aliases.yaml",
        "pack: {uses: [../presence, warp]}\n\
         aliases: {join: presence_join, me: presence_me, set_handle: warp_handle_set}\n",
    );
}

fn listed(agent: &Agent) -> Vec<&str> {
    agent.tools.iter().map(|t| t.name.as_ref()).collect()
}

#[tokio::test]
async fn an_alias_pack_serves_the_same_tools_under_its_own_names_everywhere() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    short(&place);
    let config = presence(&place, &["./short"]);
    let agent = Agent::start(place.command(&["serve", "-c", &config])).await;
    assert_eq!(listed(&agent), ["join", "me", "set_handle"]);
    let join = &agent.tools[0];
    assert_eq!(join.title.as_deref(), Some("Join with join"));
    let description = join.description.as_deref().unwrap();
    assert_eq!(description, "Says who is there. me tells the name.");
    let about = &join.input_schema["properties"]["name"]["description"];
    assert_eq!(about, "What me will tell.");
    let instructions = agent.client.peer_info().unwrap().instructions.clone();
    let instructions = instructions.unwrap();
    let expected = format!("Begin with join in {}.", place.namespace);
    assert!(instructions.starts_with(&expected), "{instructions}");

    assert_eq!(agent.refused("me", json!({})).await, "Call join first");
    let answer = agent.ok("join", json!({"name": "ada"})).await;
    assert_eq!(answer.text, "Hi ada, see me");
    assert_eq!(agent.ok("me", json!({})).await.text, "ada");
}

#[tokio::test]
async fn aliases_and_the_tools_they_stand_for_share_one_session_state() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    short(&place);
    let config = presence(&place, &["./short", "./presence", "warp"]);
    let agent = Agent::start(place.command(&["serve", "-c", &config])).await;
    for (set, get, name) in [
        ("join", "presence_me", "ada"),
        ("presence_join", "me", "bob"),
    ] {
        agent.ok(set, json!({ "name": name })).await;
        assert_eq!(agent.ok(get, json!({})).await.text, name);
    }
    // Each speaks of the names of its own pack.
    let answer = agent.ok("presence_join", json!({"name": "cyn"})).await;
    assert_eq!(answer.text, "Hi cyn, see presence_me");
    agent.ok("set_handle", json!({"handle": "planner"})).await;
    let answer = agent.ok("warp_handle_get", json!({})).await;
    assert!(answer.text.contains("planner"), "{}", answer.text);
}

#[test]
fn what_is_wrong_with_aliases_is_told_by_validate_and_at_the_start() {
    let place = Place::without_nats();
    short(&place);
    let config = presence(&place, &["./short"]);
    let done = place.run(&["validate", "short", "presence", &config]);
    assert_eq!(done.code, Some(0), "{done:?}");
    for (text, expected) in [
        (
            "pack: {uses: [../presence]}\naliases: {join: presence_jion}\n",
            "did you mean `presence_join`?",
        ),
        (
            "pack: {uses: [../absent]}\naliases: {join: presence_join}\n",
            "the pack `short` uses `../absent`, which cannot be loaded",
        ),
        ("aliases: {join: presence_join}\n", "uses no other pack"),
        (
            "pack: {name: presence, uses: [../presence]}\naliases: {join: presence_join}\n",
            "two packs are called `presence`",
        ),
    ] {
        place.write("short/aliases.yaml", text);
        for args in [&["validate", "short"][..], &["tools", "-c", &config]] {
            let done = place.run(args);
            assert_eq!(done.code, Some(1), "{args:?}: {done:?}");
            assert!(done.stderr.contains(expected), "{args:?}: {}", done.stderr);
        }
    }
}

#[test]
fn a_period_out_of_range_is_told_before_anything_runs() {
    let place = Place::without_nats();
    let config = presence(&place, &["./presence"]);
    place.write(
        "jacquard.yaml",
        "packs: [./presence]\nsettings: {presence: {every: 10ms}}\n",
    );
    let done = place.run(&["validate", &config]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr
            .contains("the timer `beat` of the pack `presence`"),
        "{}",
        done.stderr
    );
}
