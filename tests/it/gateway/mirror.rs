//! A mirrored bucket, as two agents see it.

use serde_json::json;

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

const PACK: &str = r#"
pack: {name: team}
buckets:
  people: {name: "{{ project.namespace }}_people", mirror: true}
tools:
  join:
    description: Puts somebody into the list.
    input:
      type: object
      required: [name, age]
      properties: {name: {type: string}, age: {type: integer}}
    steps:
      - put: {bucket: people, key: "{{ args.name }}", value: {name: "{{ args.name }}", age: "{{ args.age }}"}}
    reply: {text: ok}
  older:
    description: Lists who is older.
    input:
      type: object
      required: [age]
      properties: {age: {type: integer}}
    steps:
      - list:
          bucket: people
          where: item.value.age > args.age
          select: "{{ item.key }} at {{ item.revision }}"
        as: found
    reply: {text: "{{ found.entries | join(', ') }}"}
"#;

#[tokio::test]
async fn agents_list_what_others_wrote() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("team/tools.yaml", PACK);
    let config = place.write("jacquard.yaml", "packs: [./team]\n");
    let command = || place.command(&["serve", "--config", config.to_str().unwrap()]);
    let (writer, reader) = (Agent::start(command()).await, Agent::start(command()).await);
    let older = async |age: i64| reader.ok("older", json!({ "age": age })).await.text;
    assert_eq!(older(0).await, "");
    for (name, age) in [("ann", 40), ("bob", 20), ("cid", 60)] {
        writer.ok("join", json!({"name": name, "age": age})).await;
    }
    assert_eq!(older(30).await, "ann at 1, cid at 3");
    writer.ok("join", json!({"name": "ann", "age": 10})).await;
    // The same entries under another condition: what was decoded stays, what was decided does not.
    assert_eq!(older(30).await, "cid at 3");
    assert_eq!(older(0).await, "ann at 4, bob at 2, cid at 3");
}
