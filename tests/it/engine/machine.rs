//! Files, programs and servers of the machine.

mod servers;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::support::wait_for;

const PACK: &str = r#"
settings: {type: object, properties: {unset: {type: string}}}
folders:
  notes: {path: notes}
  out: {path: out, write: true, create: true}
  unset: {path: "{{ config.unset | default(none) }}"}
programs:
  sh: {program: sh}
  missing: {program: no-such-program}
streams:
  log: {name: LOG, subjects: ["log.>"]}
tools:
  list:
    description: x
    input: {type: object, properties: {folder: {type: string, default: notes}, pattern: {}, deep: {type: boolean, default: false}, limit: {type: integer, default: 1000}}}
    output: {type: object, properties: {found: {}}}
    steps:
      - list_files: {folder: notes, pattern: "{{ args.pattern | default(none) }}", recursive: "{{ args.deep }}", read: yaml, limit: "{{ args.limit }}", where: "item.name != 'skipped.yaml'"}
        as: found
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {found: "{{ found }}"}}
  read:
    description: x
    input: {type: object, required: [path], properties: {path: {type: string}, most: {type: integer, default: 1000}}}
    output: {type: object, properties: {found: {}}}
    steps:
      - read_file: {folder: notes, path: "{{ args.path }}", as: yaml, max_bytes: "{{ args.most }}"}
        as: found
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {found: "{{ found }}"}}
  look:
    description: x
    input: {type: object, required: [path], properties: {path: {type: string}}}
    output: {type: object, properties: {found: {}}}
    steps:
      - read_file: {folder: notes, path: "{{ args.path }}"}
        as: found
    reply: {structured: {found: "{{ found }}"}}
  write:
    description: x
    input: {type: object, required: [path], properties: {path: {type: string}, text: {type: string, default: x}, create: {type: boolean, default: true}, overwrite: {type: boolean, default: true}}}
    output: {type: object, properties: {done: {}}}
    steps:
      - write_file: {folder: out, path: "{{ args.path }}", text: "{{ args.text }}", create: "{{ args.create }}", overwrite: "{{ args.overwrite }}"}
        as: done
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {done: "{{ done }}"}}
  delete:
    description: x
    input: {type: object, required: [path], properties: {path: {type: string}}}
    output: {type: object, properties: {done: {}}}
    steps:
      - delete_file: {folder: out, path: "{{ args.path }}"}
        as: done
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {done: "{{ done }}"}}
  unset:
    description: x
    steps:
      - read_file: {folder: unset, path: x}
        else: "{{ error.kind }}"
    reply: {text: x}
  parse:
    description: x
    input: {type: object, required: [text], properties: {text: {type: string}}}
    output: {type: object, properties: {data: {}}}
    steps:
      - parse: {text: "{{ args.text }}", as: yaml}
        as: got
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {data: "{{ got.data }}"}}
  run:
    description: x
    input: {type: object, required: [script], properties: {script: {type: string}, stdin: {type: string, default: ""}, timeout: {type: string, default: 20s}}}
    output: {type: object, properties: {done: {}}}
    steps:
      - run: {program: sh, args: ["-c", "{{ args.script }}", name, "{{ omit }}", 5], folder: out, timeout: "{{ args.timeout }}", stdin: "{{ args.stdin }}", env: {GIVEN: "a b"}}
        as: done
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {done: "{{ done }}"}}
  missing:
    description: x
    steps:
      - run: {program: missing}
        else: "{{ error.kind }}"
    reply: {text: x}
  connect:
    description: x
    input: {type: object, required: [address], properties: {address: {type: string}}}
    output: {type: object, properties: {done: {}}}
    steps:
      - connect: {address: "{{ args.address }}"}
        as: done
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {done: "{{ done }}"}}
  fetch:
    description: x
    input: {type: object, required: [url], properties: {url: {type: string}}}
    output: {type: object, properties: {done: {}}}
    steps:
      - fetch: {url: "{{ args.url }}", headers: {X-Asked: "yes"}}
        as: done
        else: "{{ error.kind }}: {{ error.message }}"
    reply: {structured: {done: "{{ done }}"}}
  say:
    description: x
    steps:
      - publish: {stream: log, subject: log.a, payload: x}
    reply: {text: x}
  erase:
    description: x
    input: {type: object, required: [seq], properties: {seq: {type: integer}}}
    output: {type: object, properties: {erased: {}}}
    steps:
      - erase: {stream: log, seq: "{{ args.seq }}"}
        as: done
    reply: {structured: {erased: "{{ done.erased }}"}}
"#;

/// The tools in a folder of their own, with these servers allowed.
async fn tools(server: &NatsServer, dir: &Path, connect: &[String]) -> Tools {
    std::fs::create_dir_all(dir.join("p")).unwrap();
    std::fs::create_dir_all(dir.join("notes/deep")).unwrap();
    std::fs::create_dir_all(dir.join("out")).unwrap();
    std::fs::write(dir.join("secret.yaml"), "no: yes").unwrap();
    std::fs::write(dir.join("p/p.yaml"), PACK).unwrap();
    let allow = json!({"read": ["notes"], "write": ["out"], "run": ["sh", "no-such-program"], "connect": connect});
    let config = json!({"packs": ["./p"], "allow": allow}).to_string();
    let config = config::load(Source::new("c.yaml", config), None).0.unwrap();
    let project = json!({"path": "/p", "id": "0", "namespace": "ns", "hostname": "h", "user": "u", "channels": []});
    let (catalog, _) = Catalog::build(&config, dir, &project).unwrap();
    let bus = crate::bus::bus(server).await;
    let engine = Arc::new(Engine::new(Arc::new(catalog), bus).unwrap());
    engine.keep_tables();
    Tools {
        engine,
        session: Arc::default(),
    }
}

#[tokio::test]
async fn files_are_listed_and_read() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let tools = tools(&server, dir.path(), &[]).await;
    for (name, text) in [
        ("b.yaml", "n: 2"),
        ("a.yaml", "n: [1\n"),
        ("deep/c.yaml", "n: 3"),
        ("d.md", "# d"),
        ("skipped.yaml", ""),
    ] {
        std::fs::write(dir.path().join("notes").join(name), text).unwrap();
    }
    let found = tools
        .ok("list", json!({"pattern": "*.yaml", "deep": true}))
        .await;
    let found = &found["found"];
    assert_eq!(
        (&found["count"], &found["truncated"]),
        (&json!(3), &json!(false)),
        "{found}"
    );
    let items = found["items"].as_array().unwrap();
    let paths: Vec<&Value> = items.iter().map(|item| &item["path"]).collect();
    assert_eq!(paths, ["a.yaml", "b.yaml", "deep/c.yaml"]);
    assert!(
        items[0]["error"].as_str().unwrap().starts_with("line "),
        "{found}"
    );
    assert_eq!(
        (&items[1]["data"], &items[1]["error"]),
        (&json!({"n": 2}), &Value::Null)
    );
    assert_eq!(
        (&items[2]["name"], &items[2]["bytes"]),
        (&json!("c.yaml"), &json!(4))
    );
    assert!(items[2]["modified"].as_str().unwrap().ends_with('Z'));
    let found = tools
        .ok("list", json!({"pattern": ["d.*", "b.*"], "limit": 1}))
        .await;
    assert_eq!(
        (&found["found"]["count"], &found["found"]["truncated"]),
        (&json!(1), &json!(true))
    );
    assert!(
        tools
            .fails("list", json!({"pattern": "[a"}))
            .await
            .starts_with("range: ")
    );

    let read = tools.ok("read", json!({"path": "deep/c.yaml"})).await;
    assert_eq!(
        (&read["found"]["data"], &read["found"]["text"]),
        (&json!({"n": 3}), &json!("n: 3"))
    );
    let text = tools.fails("read", json!({"path": "a.yaml"})).await;
    assert!(text.starts_with("syntax: \"a.yaml\": line "), "{text}");
    assert!(
        tools
            .fails("read", json!({"path": "none.yaml"}))
            .await
            .starts_with("not_found: ")
    );
    assert!(
        tools
            .fails("read", json!({"path": "b.yaml", "most": 3}))
            .await
            .starts_with("too_large: ")
    );
    // Without an `else`, that it is not there is an answer.
    let none = tools.ok("look", json!({"path": "none.yaml"})).await;
    assert_eq!(
        (&none["found"]["found"], &none["found"]["text"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(tools.fails("unset", json!({})).await, "not_configured");
    std::fs::remove_dir_all(dir.path().join("notes")).unwrap();
    let found = tools.ok("list", json!({})).await;
    assert_eq!(
        found["found"],
        json!({"count": 0, "items": [], "truncated": false})
    );
}

#[tokio::test]
async fn no_path_leads_out_of_the_folder() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let tools = tools(&server, dir.path(), &[]).await;
    let absolute = dir.path().join("secret.yaml").display().to_string();
    let long = "x".repeat(1025);
    for path in [
        "",
        ".",
        "..",
        "../secret.yaml",
        "a/../../secret.yaml",
        "/etc/passwd",
        &absolute,
        "a\nb",
        "a\u{0}b",
        "deep/",
        &long,
    ] {
        for tool in ["read", "write", "delete"] {
            let text = tools.fails(tool, json!({"path": path})).await;
            assert!(
                text.starts_with("invalid_path: "),
                "{tool} {path:?}: {text}"
            );
        }
    }
    #[cfg(unix)]
    for folder in ["notes", "out"] {
        std::os::unix::fs::symlink("../secret.yaml", dir.path().join(folder).join("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join(folder).join("up")).unwrap();
    }
    #[cfg(unix)]
    for path in ["link", "up/secret.yaml"] {
        for tool in ["read", "write"] {
            let text = tools.fails(tool, json!({"path": path})).await;
            assert!(text.starts_with("invalid_path: "), "{tool} {path}: {text}");
        }
    }
    assert_eq!(
        std::fs::read_to_string(dir.path().join("secret.yaml")).unwrap(),
        "no: yes"
    );
}

#[tokio::test]
async fn files_are_written_and_removed() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let tools = tools(&server, dir.path(), &[]).await;
    let path = dir.path().join("out/a/b.txt");
    std::fs::remove_dir(dir.path().join("out")).unwrap();
    let gone = tools.ok("delete", json!({"path": "a/b.txt"})).await;
    assert_eq!(gone["done"]["deleted"], false);
    let text = tools
        .fails("write", json!({"path": "a/b.txt", "create": false}))
        .await;
    assert!(text.starts_with("not_found: "), "{text}");
    let done = tools
        .ok("write", json!({"path": "a/b.txt", "text": "ö"}))
        .await;
    assert_eq!(
        done["done"],
        json!({"path": "a/b.txt", "bytes": 2, "created": true})
    );
    let text = tools
        .fails("write", json!({"path": "a/b.txt", "overwrite": false}))
        .await;
    assert!(text.starts_with("already_exists: "), "{text}");
    let done = tools
        .ok(
            "write",
            json!({"path": "a/b.txt", "text": "2", "create": false}),
        )
        .await;
    assert_eq!(done["done"]["created"], false);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
    let gone = tools.ok("delete", json!({"path": "a/b.txt"})).await;
    assert_eq!(gone["done"]["deleted"], true);
    assert!(!path.exists());
}

#[tokio::test]
async fn texts_are_parsed() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let tools = tools(&server, dir.path(), &[]).await;
    let data = tools.ok("parse", json!({"text": "a: [1, b]"})).await;
    assert_eq!(data["data"], json!({"a": [1, "b"]}));
    let text = tools.fails("parse", json!({"text": "a: 1\na: 2\n"})).await;
    assert!(text.starts_with("invalid: line 2, column 1: "), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn programs_run_to_their_end() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let tools = tools(&server, dir.path(), &[]).await;
    let script = "cat; echo \"$0 $1 $GIVEN $CARGO_MANIFEST_DIR\"; pwd -P; echo bad >&2; exit 3";
    let done = tools
        .ok("run", json!({"script": script, "stdin": "in\n"}))
        .await;
    let out = dir.path().join("out").canonicalize().unwrap();
    assert_eq!(
        done["done"],
        json!({
            "ok": false, "code": 3, "stdout": format!("in\nname 5 a b \n{}\n", out.display()), "stderr": "bad\n",
            "truncated": false, "timed_out": false,
        })
    );
    let done = tools
        .ok(
            "run",
            json!({"script": "head -c 3000000 /dev/zero | tr '\\0' x"}),
        )
        .await;
    assert_eq!(
        (&done["done"]["ok"], &done["done"]["truncated"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(done["done"]["stdout"].as_str().unwrap().len(), 1 << 20);
    let done = tools.ok("run", json!({"script": "kill -9 $$"})).await;
    assert_eq!(done["done"]["code"], 137);
    assert_eq!(tools.fails("missing", json!({})).await, "program");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_waited_for_is_ended_with_all_it_started() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let tools = tools(&server, dir.path(), &[]).await;
    let pid = dir.path().join("out/pid");
    let script = "sleep 1000 & echo $! > pid.new; mv pid.new pid; wait";
    let began = Instant::now();
    let text = tools
        .fails("run", json!({"script": script, "timeout": "500ms"}))
        .await;
    assert!(
        text.starts_with("timeout: ") && began.elapsed() < Duration::from_secs(900),
        "{text}"
    );
    assert!(pid.exists());
    has_ended(&pid);
    std::fs::remove_file(&pid).unwrap();
    // A call that is taken back.
    let call = tokio::spawn({
        let tools = tools.clone();
        async move { tools.call("run", json!({"script": script})).await }
    });
    wait_for("the program to run", || pid.exists());
    call.abort();
    has_ended(&pid);
}

/// A process that has ended may wait for somebody to ask how.
#[cfg(unix)]
fn has_ended(pid: &Path) {
    let pid = std::fs::read_to_string(pid).unwrap();
    wait_for("the end of the program", || {
        let ps = std::process::Command::new("ps")
            .args(["-o", "stat=", "-p", pid.trim()])
            .output()
            .unwrap();
        let state = String::from_utf8(ps.stdout).unwrap();
        state.trim().is_empty() || state.starts_with('Z')
    });
}

#[tokio::test]
async fn one_message_is_erased() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let tools = tools(&server, dir.path(), &[]).await;
    assert_eq!(tools.ok("erase", json!({"seq": 1})).await["erased"], false);
    for _ in 0..3 {
        tools.ok("say", json!({})).await;
    }
    for (seq, erased) in [(2, true), (2, false), (9, false)] {
        assert_eq!(
            tools.ok("erase", json!({"seq": seq})).await["erased"],
            erased,
            "{seq}"
        );
    }
    assert!(tools.call("erase", json!({"seq": 0})).await.is_error);
}
