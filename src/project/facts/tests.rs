#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::project::{Format, Level};
use crate::spec::check::base_scope;
use crate::spec::diag::Code;
use crate::spec::shape::Shape;

/// A folder with files in it, and an environment whose home is its `home`.
struct World {
    root: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home").display().to_string();
        Self {
            root,
            variables: vec![("HOME".into(), home)],
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn discover(&self, project: &str) -> Result<Facts, Report> {
        discover(
            Some(&self.path(project)),
            None,
            &self.variables.iter().cloned().collect(),
        )
    }

    fn facts(&self, project: &str) -> Facts {
        self.discover(project).unwrap()
    }

    fn sources(&self, names: &[&str]) -> Vec<String> {
        let shown = |name: &&str| self.path(name).display().to_string();
        names.iter().map(shown).collect()
    }
}

const USER: &str = "home/.nats-mcp/config.json";

#[test]
fn without_files_everything_has_its_default() {
    let world = World::new();
    let facts = world.facts("p/none");
    assert_eq!(facts.channels, Channel::defaults());
    let names: Vec<&str> = facts.channels.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["roadmap", "parallel-work", "errors"]);
    for channel in &facts.channels {
        assert_eq!(
            (
                channel.max_messages,
                channel.max_bytes,
                channel.max_age.as_str()
            ),
            (10_000, 10_485_760, "24h")
        );
    }
    assert_eq!(facts.namespace, facts.id);
    assert_eq!(facts.nats_url, None);
    assert_eq!(facts.logging, Logging::default());
    assert_eq!(facts.work_queue, WorkQueue::default());
    assert_eq!(facts.user, None);
    assert!(!facts.hostname.is_empty());
    assert!(facts.sources.is_empty());
}

#[cfg(unix)]
#[test]
fn ids_are_those_that_warp_derives() {
    assert_eq!(short_hash("/srv/demo/proj-a"), "ef9d16d7cd7cfd50");
    let env = Environment::from_iter([("MCP_PROJECT_PATH", "/srv/x/.././demo//proj-a/")]);
    let path = locate::project_path(None, &env).unwrap();
    assert_eq!(path, Path::new("/srv/demo/proj-a"));
    assert_eq!(short_hash(&path.to_string_lossy()), "ef9d16d7cd7cfd50");
    let above = locate::project_path(Some(Path::new("/../..")), &env).unwrap();
    assert_eq!(above, Path::new("/"));
}

#[test]
fn the_path_is_the_one_given_then_the_variable_then_the_working_folder() {
    let world = World::new();
    let variable = world.path("v").display().to_string();
    let env = Environment::from_iter([("MCP_PROJECT_PATH", variable.as_str())]);
    let given = world.path("g");
    assert_eq!(locate::project_path(Some(&given), &env).unwrap(), given);
    assert_eq!(locate::project_path(None, &env).unwrap(), world.path("v"));
    let none = Environment::from_iter([("MCP_PROJECT_PATH", "")]);
    let here = std::env::current_dir().unwrap();
    assert_eq!(locate::project_path(None, &none).unwrap(), here);
    let relative = locate::project_path(Some(Path::new("a/../b")), &none).unwrap();
    assert_eq!(relative, here.join("b"));
}

#[test]
fn an_empty_path_is_an_error() {
    let env = Environment::from_iter([("HOME", "")]);
    let report = discover(Some(Path::new("")), None, &env).unwrap_err();
    assert_eq!(codes(&report), [Code::Io]);
}

#[test]
fn a_project_id_must_be_sixteen_hex_digits() {
    let id = |value: &str| World::new().set("LOOMINAL_PROJECT_ID", value).facts("p").id;
    assert_eq!(id("0123456789abcdef"), "0123456789abcdef");
    for bad in [
        "0123456789ABCDEF",
        "0123456789abcde",
        "0123456789abcdefa",
        "x",
    ] {
        let id = id(bad);
        assert_ne!(id, bad);
        assert_eq!(id.len(), 16);
    }
    // The id has no say in the namespace.
    let world = World::new().set("LOOMINAL_PROJECT_ID", "0123456789abcdef");
    assert_eq!(
        world.facts("p").namespace,
        short_hash(&world.path("p").to_string_lossy())
    );
}

#[test]
fn the_nearest_folder_wins_and_in_it_the_newer_name() {
    let world = World::new()
        .file("p/.mcp-config.json", r#"{"namespace": "p-mcp"}"#)
        .file("p/q/.mcp-config.json", r#"{"namespace": "q-mcp"}"#)
        .file("p/.loominal-config.json", r#"{"namespace": "p-loominal"}"#);
    let facts = world.facts("p/q");
    assert_eq!(facts.namespace, "q-mcp");
    assert_eq!(facts.sources, world.sources(&["p/q/.mcp-config.json"]));
    let facts = world.facts("p/r");
    assert_eq!(facts.namespace, "p-loominal");
    assert_eq!(facts.sources, world.sources(&["p/.loominal-config.json"]));
    // The hash stays that of the project's own path.
    assert_eq!(facts.id, short_hash(&world.path("p/r").to_string_lossy()));
}

#[test]
fn four_parents_are_searched_and_no_more() {
    let world = World::new().file("p/.mcp-config.json", r#"{"namespace": "found"}"#);
    assert_eq!(world.facts("p/1/2/3/4").namespace, "found");
    assert!(world.facts("p/1/2/3/4/5").sources.is_empty());
}

#[test]
fn a_key_is_taken_whole_from_the_first_that_has_it() {
    let world = World::new()
        .file(
            "p/.mcp-config.json",
            r#"{"channels": [{"name": "only", "description": "x"}], "logging": {"level": "ERROR"}}"#,
        )
        .file(
            USER,
            r#"{"namespace": "mine", "natsUrl": "nats://user-file",
                "channels": [{"name": "other", "description": "x"}],
                "logging": {"level": "DEBUG", "format": "text"},
                "workQueue": {"maxDeliveryAttempts": 9}}"#,
        );
    let facts = world.facts("p");
    assert_eq!(facts.sources, world.sources(&["p/.mcp-config.json", USER]));
    assert_eq!(facts.namespace, "mine");
    assert_eq!(facts.channels.len(), 1);
    assert_eq!(facts.channels[0].name, "only");
    assert_eq!(facts.logging.level, Some(Level::Error));
    assert_eq!(facts.logging.format, None);
    assert_eq!(facts.work_queue.max_delivery_attempts, 9);
    let url = facts.nats_url.unwrap();
    assert_eq!(
        (url.url.expose(), url.origin),
        ("nats://user-file", Origin::UserFile)
    );
}

#[test]
fn the_environment_comes_before_the_files() {
    let text = r#"{"natsUrl": "nats://project-file", "logging": {"level": "ERROR", "format": "text"},
                   "workQueue": {"ackTimeoutMs": 5000, "maxDeliveryAttempts": 5}}"#;
    let world = World::new()
        .file("p/.mcp-config.json", text)
        .file(USER, r#"{"natsUrl": "nats://user-file"}"#);
    let url = world.facts("p").nats_url.unwrap();
    assert_eq!(
        (url.url.expose(), url.origin),
        ("nats://project-file", Origin::ProjectFile)
    );

    let facts = world
        .set("NATS_URL", "nats://env")
        .set("WORKQUEUE_ACK_TIMEOUT", "2000")
        .set("WORKQUEUE_DLQ_TTL", "3000")
        .set("USERNAME", "ann")
        .facts("p");
    let url = facts.nats_url.unwrap();
    assert_eq!(
        (url.url.expose(), url.origin),
        ("nats://env", Origin::Environment)
    );
    // The log's own variables are read where logging is started.
    assert_eq!(facts.logging.level, Some(Level::Error));
    assert_eq!(facts.logging.format, Some(Format::Text));
    assert_eq!(
        facts.work_queue,
        WorkQueue {
            ack_timeout_ms: 2000,
            max_delivery_attempts: 5,
            dead_letter_ttl_ms: 3000
        }
    );
    assert_eq!(facts.user.as_deref(), Some("ann"));
}

#[test]
fn variables_that_make_no_sense_are_passed_over() {
    let facts = World::new()
        .file("p/.mcp-config.json", r#"{"logging": {"level": "WARN"}}"#)
        .set("WORKQUEUE_ACK_TIMEOUT", "999")
        .set("WORKQUEUE_MAX_ATTEMPTS", "-1")
        .set("WORKQUEUE_DLQ_TTL", "soon")
        .facts("p");
    assert_eq!(facts.logging.level, Some(Level::Warn));
    assert_eq!(facts.logging.format, None);
    assert_eq!(facts.work_queue, WorkQueue::default());
    assert_eq!(facts.warnings.len(), 3);
    // More than any queue allows.
    let facts = World::new()
        .set("WORKQUEUE_ACK_TIMEOUT", "86400001")
        .set("WORKQUEUE_MAX_ATTEMPTS", "1001")
        .facts("p");
    assert_eq!(facts.work_queue, WorkQueue::default());
    assert_eq!(facts.warnings.len(), 2);
    let facts = World::new()
        .set("WORKQUEUE_ACK_TIMEOUT", "86400000")
        .set("WORKQUEUE_MAX_ATTEMPTS", "1000")
        .facts("p");
    assert_eq!(facts.work_queue.ack_timeout_ms, 86_400_000);
    assert_eq!(facts.work_queue.max_delivery_attempts, 1_000);
}

fn codes(report: &Report) -> Vec<Code> {
    report.sorted().iter().map(|d| d.code).collect()
}

#[test]
fn broken_files_are_all_reported_each_by_its_name() {
    let world = World::new()
        .file(
            "p/.mcp-config.json",
            "{\"namespace\": \"a\",\n \"nmspace\": 1}",
        )
        .file(USER, "{\"channels\": ");
    let report = world.discover("p").unwrap_err();
    let mut found: Vec<(Code, String, usize)> = report
        .sorted()
        .iter()
        .map(|d| {
            let source = &d.label.as_ref().unwrap().source;
            (d.code, source.name().to_owned(), d.place().unwrap().line)
        })
        .collect();
    found.sort();
    let name = |name: &str| world.path(name).display().to_string();
    assert_eq!(
        found,
        [
            (Code::Syntax, name(USER), 1),
            (Code::UnknownKey, name("p/.mcp-config.json"), 2),
        ]
    );
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_absence() {
    let world = World::new();
    std::fs::create_dir_all(world.path("p/.mcp-config.json")).unwrap();
    assert_eq!(codes(&world.discover("p").unwrap_err()), [Code::Io]);
    let world = World::new().file("p/.mcp-config.json", "");
    std::fs::write(world.path("p/.mcp-config.json"), [0xff, 0xfe]).unwrap();
    assert_eq!(codes(&world.discover("p").unwrap_err()), [Code::Io]);
    // A file where a folder would have to be: there can be nothing below it.
    let world = World::new().file("p", "");
    assert!(world.facts("p/q").sources.is_empty());
}

fn assert_fits(value: &Value, shape: &Shape, at: &str) {
    match (value, shape) {
        (Value::String(_), Shape::Text) | (Value::Number(_), Shape::Number) => {}
        (Value::Array(items), Shape::List(inner)) => {
            assert!(!items.is_empty(), "{at}: nothing to compare");
            for item in items {
                assert_fits(item, inner, at);
            }
        }
        (Value::Object(map), Shape::Object(fields)) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            assert_eq!(keys, fields.known.keys().collect::<Vec<_>>(), "{at}");
            for (key, field) in &fields.known {
                assert_fits(&map[key], &field.shape, &format!("{at}/{key}"));
            }
        }
        _ => panic!("{at}: {value} is no {shape:?}"),
    }
}

#[test]
fn expressions_see_what_they_are_promised() {
    let facts = World::new()
        .set("NATS_URL", "nats://u:hunter2@h")
        .facts("p");
    let json = facts.to_json();
    assert_fits(&json, base_scope(None).get("project").unwrap(), "project");
    assert_eq!(json["user"], "");
    assert_eq!(json["id"], Value::from(facts.id.as_str()));
    assert_eq!(json["channels"][0]["maxBytes"], 10_485_760);
    assert_eq!(json["nats_url"], "nats://***@h:4222");
    assert_eq!(json["work_queue"]["max_delivery_attempts"], 3);
    assert!(!json.to_string().contains("hunter2"));
    assert!(!format!("{facts:?}").contains("hunter2"));
}

#[test]
fn a_named_project_depends_on_its_name_alone() {
    let named = |folder: &str| {
        let mut facts = World::new().set("JACQUARD_PROJECT", "shop").facts(folder);
        facts.hostname = folder.to_owned();
        (facts.id.clone(), facts.namespace.clone(), facts.home())
    };
    assert_eq!(named("a"), named("b"));
    assert_eq!(named("a").1, "shop");
    let other = World::new().set("JACQUARD_PROJECT", "shop2").facts("a");
    assert_ne!(other.id, named("a").0);
    let world = World::new().set("JACQUARD_PROJECT", "Not a name");
    assert_eq!(codes(&world.discover("p").unwrap_err()), [Code::Io]);
    // The variable comes before the config's name.
    let env = Environment::from_iter([("JACQUARD_PROJECT", "one")]);
    let facts = discover(Some(Path::new("/p")), Some("two"), &env).unwrap();
    assert_eq!(facts.name.as_deref(), Some("one"));
    assert!(
        discover(
            Some(Path::new("/p")),
            Some("no name"),
            &Environment::from_iter([("A", "b")])
        )
        .is_err()
    );
}

#[test]
fn who_an_agent_is_told_to_be_is_passed_on() {
    let facts = World::new()
        .set("LOOMINAL_AGENT_ID", "6f1c5a52-0d9e-4f5c-9d0a-0e5a6f7b8c9d")
        .set("LOOMINAL_SUBAGENT_TYPE", "explore")
        .facts("p");
    let json = facts.to_json();
    assert_eq!(json["agent_id"], "6f1c5a52-0d9e-4f5c-9d0a-0e5a6f7b8c9d");
    assert_eq!(json["subagent_type"], "explore");
    assert_eq!(
        json["home"],
        format!("{}{}", facts.hostname, facts.path.display())
    );
}

#[test]
fn the_server_of_a_config_comes_after_the_environment_and_before_the_files() {
    let file = r#"{"natsUrl": "nats://file"}"#;
    let mut facts = World::new()
        .file("p/.loominal-config.json", file)
        .facts("p");
    facts.prefer_url(None);
    let origin = |facts: &Facts| facts.nats_url.as_ref().map(|u| u.origin);
    assert_eq!(origin(&facts), Some(Origin::ProjectFile));
    facts.prefer_url(Some("nats://config"));
    assert_eq!(origin(&facts), Some(Origin::Config));
    let mut facts = World::new().set("NATS_URL", "nats://env").facts("p");
    facts.prefer_url(Some("nats://config"));
    assert_eq!(origin(&facts), Some(Origin::Environment));
}
