//! What a gateway keeps beside NATS: journals on disk and tables in memory, with the real program.

use serde_json::json;

use crate::support::mcp::Agent;
use crate::support::place::Place;
use crate::support::server::NatsServer;

const PACK: &str = r#"
settings: {type: object, properties: {file: {type: [string, "null"], default: null}}}
streams:
  beats: {name: "{{ project.namespace }}_beats", subjects: ["{{ project.namespace }}.beat"]}
tables:
  who: {stream: beats, key: item.data.id, value: "{{ item.data }}", ttl: 1h}
journals:
  log: {file: "{{ config.file }}"}
tools:
  note:
    description: Writes a line.
    input: {type: object, required: [text], properties: {text: {type: string}}}
    steps:
      - append: {journal: log, line: "note: {{ args.text }}"}
        as: line
    reply: {text: "{{ line.written }}"}
  beat:
    description: Says who is there.
    input: {type: object, required: [id], properties: {id: {type: string}}}
    steps:
      - publish: {stream: beats, payload: {id: "{{ args.id }}"}}
    reply: {text: x}
  who:
    description: Tells who is there.
    steps:
      - find: {table: who, fresh: true, select: "{{ item.key }}"}
        as: found
    reply: {text: "{{ found.items | join(' ') }}"}
"#;

fn config(place: &Place, settings: &str) -> String {
    place.write("conf/p/p.yaml", PACK);
    let text = format!("packs: [./p]\nsettings: {{p: {settings}}}\n");
    let path = place.write("conf/jacquard.yaml", &text);
    path.to_str().unwrap().to_owned()
}

async fn agent(place: &Place, settings: &str) -> Agent {
    let config = config(place, settings);
    Agent::start(place.command(&["serve", "--config", &config])).await
}

#[tokio::test]
async fn lines_go_to_the_file_beside_the_config() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let agent = agent(&place, "{file: said.log}").await;
    for text in ["one", "two\nlines", "three"] {
        assert_eq!(agent.ok("note", json!({"text": text})).await.text, "true");
    }
    // Whoever moves it away need not tell.
    let path = place.dir().join("conf/said.log");
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines, "note: one\nnote: two\\nlines\nnote: three\n");
    std::fs::rename(&path, path.with_extension("old")).unwrap();
    agent.ok("note", json!({"text": "four"})).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "note: four\n");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_fails_no_call() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let nowhere = agent(&place, "{file: none/said.log}").await;
    for _ in 0..3 {
        let answer = nowhere.ok("note", json!({"text": "x"})).await;
        assert_eq!(answer.text, "false");
    }
    let logged = nowhere
        .stderr()
        .matches("the journal is not written")
        .count();
    assert_eq!(logged, 1, "{}", nowhere.stderr());
    for settings in ["{}", "{file: ''}"] {
        let silent = agent(&place, settings).await;
        assert_eq!(silent.ok("note", json!({"text": "x"})).await.text, "false");
        assert!(!silent.stderr().contains("journal"), "{}", silent.stderr());
    }
}

#[tokio::test]
async fn gateways_and_single_calls_find_the_same() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    let (a, b) = (agent(&place, "{}").await, agent(&place, "{}").await);
    a.ok("beat", json!({"id": "ann"})).await;
    b.ok("beat", json!({"id": "bob"})).await;
    for agent in [&a, &b] {
        assert_eq!(agent.ok("who", json!({})).await.text, "ann bob");
    }
    let done = place.run(&["call", "-c", &config(&place, "{}"), "who"]);
    assert_eq!(done.stdout, "ann bob\n", "{done:?}");
}
