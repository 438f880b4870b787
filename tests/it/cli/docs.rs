//! `jacquard docs`: pages of a pack of one's own, and AsyncAPI as its authors define it.

use std::path::Path;

use serde_json::Value;

use crate::support::fetched::Wanted;
use crate::support::place::Place;

const PACK: &str = r#"
pack: {name: notes, title: Notes}
streams:
  log: {name: "{{ project.namespace }}_log", subjects: ["{{ project.namespace }}.log.>"], max_age: 7d}
buckets:
  notes: {description: What is known, name: my_notes}
tools:
  note_save:
    title: Save a note
    description: Saves a note. Read it with {{ tools.note_read }}.
    input:
      type: object
      required: [name]
      properties: {name: {type: string, description: What it is called}, text: {type: string, default: "a | b"}}
    steps:
      - put: {bucket: notes, key: "{{ args.name }}", value: {text: "{{ args.text }}", at: "{{ now() }}"}}
      - publish: {stream: log, subject: "{{ project.namespace }}.log.{{ args.name }}", payload: {name: "{{ args.name }}", kind: saved}}
    reply: {text: Saved}
    examples:
      - {title: A first note, call: {name: a}, expect: {text: Saved}}
  note_read:
    description: Reads a note.
    input: {type: object, required: [name], properties: {name: {type: string}}}
    steps:
      - get: {bucket: notes, key: "{{ args.name }}"}
        as: note
      - request: {subject: "ask.{{ args.name }}"}
    reply: {text: "{{ note.text }}"}
  never:
    when: config.all
    description: Is there in no config here.
    reply: {text: x}
settings: {type: object, properties: {all: {type: boolean, default: false}}}
"#;

fn place() -> Place {
    let place = Place::without_nats();
    place.write("notes/notes.yaml", PACK);
    place.write("gateway.yaml", "packs: [./notes]\n");
    place
}

fn read(place: &Place, path: &str) -> String {
    std::fs::read_to_string(place.dir().join(path)).unwrap()
}

#[test]
fn a_config_of_ones_own_is_documented_as_it_is_served() {
    let place = place();
    let docs = ["docs", "-c", "gateway.yaml", "--out", "pages"];
    let done = place.run(&docs);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.stdout.contains("3 page(s) written"), "{done:?}");
    let page = read(&place, "pages/tools/notes.md");
    for part in [
        "# Notes\n",
        "Saves a note. Read it with note_read.",
        "| **`name`** | string | What it is called. |",
        "| `text` | string | Default: `a \\| b`. |",
        "t0 -->|put| n0",
        "- stream `log`: publish `{namespace}.log.{name}`",
        "Example: A first note",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(!page.contains("never"), "{page}");
    assert!(!page.contains(&*place.dir().to_string_lossy()), "{page}");

    let done = place.run(&[&docs[..], &["--check"]].concat());
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = place.run(&docs);
    assert!(done.stdout.contains("0 page(s) written, 3 as"), "{done:?}");

    place.write("pages/tools/notes.md", "something else");
    let done = place.run(&[&docs[..], &["--check"]].concat());
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("notes.md is not as it would be"),
        "{done:?}"
    );
}

#[test]
fn a_pack_is_documented_with_all_its_tools() {
    let place = place();
    let done = place.run(&["docs", "./notes", "--out", "pages"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let page = read(&place, "pages/tools/notes.md");
    assert!(
        page.contains("Only there where `config.all` holds."),
        "{page}"
    );

    let done = place.run(&["docs", "warpp"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("did you mean `warp`"), "{done:?}");
}

/// The schema of AsyncAPI, fetched as its authors publish it.
fn asyncapi() -> Value {
    let wanted = Wanted {
        name: "asyncapi",
        source: "asyncapi",
        files: &["package-lock.json", "package.json"],
        needs: "node (20 or newer) and npm",
    };
    let folder = wanted.npm();
    let schema = "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json";
    serde_json::from_str(&std::fs::read_to_string(folder.join(schema)).unwrap()).unwrap()
}

#[test]
fn documents_are_asyncapi() {
    let place = place();
    let done = place.run(&["docs", "./notes", "--out", "pages"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let own = place.dir().join("pages/asyncapi/notes.asyncapi.yaml");
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/asyncapi");
    let published = std::fs::read_dir(published).unwrap();
    let files = published.map(|entry| entry.unwrap().path()).chain([own]);
    let validator = jsonschema::validator_for(&asyncapi()).unwrap();
    let mut checked = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let document: Value = serde_yaml::from_str(&text).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error:.300}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", file.display());
        checked += 1;
    }
    assert!(checked > 3, "{checked} documents were checked");

    let broken = serde_json::json!({"asyncapi": "3.0.0", "info": {"title": "x"}});
    assert!(!validator.is_valid(&broken));
}

#[test]
fn what_is_sent_is_told_as_far_as_it_is_known() {
    let place = place();
    place.run(&["docs", "./notes", "--out", "pages"]);
    let text = read(&place, "pages/asyncapi/notes.asyncapi.yaml");
    let document: Value = serde_yaml::from_str(&text).unwrap();
    let channel = &document["channels"]["namespace.log.name"];
    assert_eq!(channel["address"], "{namespace}.log.{name}");
    assert_eq!(channel["x-jetstream-stream"], "{namespace}_log");
    let payload = &channel["messages"]["note_save"]["payload"];
    assert_eq!(payload["properties"]["name"]["type"], "string");
    assert_eq!(payload["properties"]["kind"]["const"], "saved");
    let bucket = &document["channels"]["KV.my_notes.key"];
    assert_eq!(bucket["address"], "$KV.my_notes.{key}");
    let at = &bucket["messages"]["note_save"]["payload"]["properties"]["at"];
    assert_eq!(at["format"], "date-time");
    let operations = &document["operations"];
    assert_eq!(
        operations["note_save.send.KV.my_notes.key"]["action"],
        "send"
    );
    assert_eq!(
        operations["note_read.receive.KV.my_notes.key"]["action"],
        "receive"
    );
    let asked = &operations["note_read.send.ask.name"];
    assert_eq!(asked["reply"]["channel"]["$ref"], "#/channels/reply");
}
