//! `install`: files of MCP clients, changed with care.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::mcp::Agent;
use crate::support::place::{Done, Place, run};
use crate::support::server::NatsServer;

fn good(done: &Done) -> &str {
    assert_eq!(done.code, Some(0), "{done:?}");
    &done.stdout
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&read(path)).unwrap()
}

fn copy_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bak");
    name.into()
}

/// The home folder of a place.
fn home(place: &Place) -> PathBuf {
    place.dir().parent().unwrap().join("home")
}

#[test]
fn every_client_gets_its_entry_and_loses_it_again() {
    let place = Place::without_nats();
    for (client, scope, file, section) in [
        (
            "claude",
            "project",
            place.dir().join(".mcp.json"),
            "mcpServers",
        ),
        (
            "claude",
            "user",
            home(&place).join(".claude.json"),
            "mcpServers",
        ),
        (
            "cursor",
            "project",
            place.dir().join(".cursor/mcp.json"),
            "mcpServers",
        ),
        (
            "cursor",
            "user",
            home(&place).join(".cursor/mcp.json"),
            "mcpServers",
        ),
        (
            "vscode",
            "project",
            place.dir().join(".vscode/mcp.json"),
            "servers",
        ),
    ] {
        let install = ["install", client, "--scope", scope];
        let done = place.run(&install);
        assert!(good(&done).contains("`jacquard` added to"), "{done:?}");
        let written = read(&file);
        let entry = json_of(&file)[section]["jacquard"].clone();
        assert_eq!(entry["args"], json!(["serve"]), "{client}");
        assert!(Path::new(entry["command"].as_str().unwrap()).is_absolute());
        assert!(!copy_of(&file).exists(), "there was nothing to keep");

        let again = place.run(&install);
        assert!(good(&again).contains("already"), "{again:?}");
        assert_eq!(read(&file), written);
        assert!(!copy_of(&file).exists());

        let printed = place.run(&[&install[..], &["--print"]].concat());
        let printed: Value = serde_json::from_str(good(&printed)).unwrap();
        assert_eq!(printed, json_of(&file));

        let removed = place.run(&[&install[..], &["--uninstall"]].concat());
        assert!(good(&removed).contains("removed from"), "{removed:?}");
        assert_eq!(json_of(&file), json!({section: {}}));
        assert_eq!(read(&copy_of(&file)), written);
        let again = place.run(&[&install[..], &["--uninstall"]].concat());
        assert!(good(&again).contains("is not in"), "{again:?}");
    }
}

#[test]
fn printing_writes_nothing() {
    let place = Place::without_nats();
    let done = place.run(&[
        "install",
        "claude",
        "--print",
        "--http",
        "http://127.0.0.1:8420",
    ]);
    assert_eq!(
        serde_json::from_str::<Value>(good(&done)).unwrap(),
        json!({"mcpServers": {"jacquard": {"type": "http", "url": "http://127.0.0.1:8420/mcp"}}})
    );
    assert!(!place.dir().join(".mcp.json").exists());
}

#[test]
fn only_the_entry_changes() {
    let place = Place::without_nats();
    let config = place.write("conf/gateway.yaml", "packs: [warp]\n");
    let before = r#"{
    "zeta": 1e3, "big": 123456789012345678901234567890,
    "mcpServers": {
        "other": {"command":"x",   "args": [ ]},
        "agents": {"command": "node", "args": ["server.js"], "env": {"AGENTS_NATS_URL": "nats://h"}}
    },
    "alpha": null
}"#;
    let file = place.write(".mcp.json", before);
    let args = [
        "install",
        "claude",
        "--name",
        "agents",
        "--config",
        "conf/gateway.yaml",
    ];
    let done = place.run(&args);
    assert!(good(&done).contains("changed in"), "{done:?}");
    assert_eq!(read(&copy_of(&file)), before);
    let after = read(&file);
    let entry = &json_of(&file)["mcpServers"]["agents"];
    assert_eq!(entry["env"], json!({"AGENTS_NATS_URL": "nats://h"}));
    assert_eq!(
        entry["args"],
        json!(["serve", "--config", config.to_str().unwrap()])
    );
    let (head, tail) = before.split_once(r#"{"command": "node""#).unwrap();
    let tail = &tail[tail.find("\n    },").unwrap()..];
    assert!(after.starts_with(head) && after.ends_with(tail), "{after}");

    good(&place.run(&["install", "claude", "--name", "agents", "--uninstall"]));
    let left = read(&file);
    assert!(
        left.contains("123456789012345678901234567890") && left.contains("1e3"),
        "{left}"
    );
    assert_eq!(
        json_of(&file)["mcpServers"],
        json!({"other": {"command": "x", "args": []}})
    );
}

#[test]
fn comments_stay_where_the_client_takes_them() {
    let place = Place::without_nats();
    let before = "{\n  // ours\n  \"servers\": {\n    \"a\": {\"url\": \"http://a\"}, // the first\n  },\n}\n";
    let file = place.write(".vscode/mcp.json", before);
    good(&place.run(&["install", "vscode", "--http", "http://h:1/mcp"]));
    let after = read(&file);
    assert!(
        after.contains("// ours") && after.contains("}, // the first\n"),
        "{after}"
    );
    assert!(after.contains("\"url\": \"http://h:1/mcp\""), "{after}");
    good(&place.run(&["install", "vscode", "--uninstall"]));
    assert_eq!(read(&file), before);
}

#[test]
fn a_file_that_cannot_be_read_is_left_alone() {
    let place = Place::without_nats();
    let file = place.dir().join(".mcp.json");
    for (text, part) in [
        ("{\"mcpServers\": {", "is no JSON"),
        ("{\"mcpServers\": {}} // mine", "is no JSON"),
        ("[]", "is no JSON object"),
        ("{\"mcpServers\": []}", "is no object"),
    ] {
        place.write(".mcp.json", text);
        for more in [&[][..], &["--uninstall"]] {
            let done = place.run(&[&["install", "claude"], more].concat());
            assert_eq!(done.code, Some(1), "{text}: {done:?}");
            assert!(done.stderr.contains(part), "{text}: {done:?}");
            assert!(done.stderr.contains(".mcp.json"), "{text}: {done:?}");
            assert_eq!(read(&file), text);
        }
    }
    let files = std::fs::read_dir(place.dir()).unwrap().flatten();
    let names: Vec<_> = files
        .map(|f| f.file_name().into_string().unwrap())
        .collect();
    assert!(
        !names
            .iter()
            .any(|n| n.contains(".bak") || n.contains(".new")),
        "{names:?}"
    );
}

#[test]
fn what_cannot_be_served_is_not_installed() {
    let place = Place::without_nats();
    place.write("bad.yaml", "packs: [warp]\nnope: 1\n");
    for (args, code, part) in [
        (&["--config", "absent.yaml"][..], 1, "absent.yaml"),
        (&["--config", "bad.yaml"], 1, "nope"),
        (&["--http", "127.0.0.1:8420"], 1, "http://HOST:PORT/mcp"),
        (&["--name", "a b"], 2, "--name"),
        (
            &["--http", "http://h", "--config", "bad.yaml"],
            2,
            "--config",
        ),
        (&["--uninstall", "--print"], 2, "--print"),
        (&["--scope", "world"], 2, "world"),
    ] {
        let done = place.run(&[&["install", "claude"], args].concat());
        assert_eq!(done.code, Some(code), "{args:?}: {done:?}");
        assert!(done.stderr.contains(part), "{args:?}: {done:?}");
    }
    assert_eq!(place.run(&["install", "emacs"]).code, Some(2));
    assert!(!place.dir().join(".mcp.json").exists());
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::without_nats();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let real = place.write("dotfiles/claude.json", "{\"a\": 1}");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    let link = home(&place).join(".claude.json");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    good(&place.run(&["install", "claude", "--scope", "user"]));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(json_of(&real)["mcpServers"]["jacquard"]["type"], "stdio");
    assert_eq!((mode(&real), mode(&copy_of(&real))), (0o640, 0o640));
    good(&place.run(&["install", "cursor", "--scope", "user"]));
    assert_eq!(
        mode(&home(&place).join(".cursor/mcp.json")),
        0o600,
        "others need not read it"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_installed_works() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    // A config of the shell's environment goes with the entry: the client has another environment.
    place.write("shell.yaml", "packs: [warp]\n");
    let mut command = place.command(&["install", "claude"]);
    command.env("JACQUARD_CONFIG", "shell.yaml");
    good(&run(command));
    let entry = json_of(&place.dir().join(".mcp.json"))["mcpServers"]["jacquard"].clone();
    let args: Vec<&str> = entry["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect();
    assert_eq!(args[..2], ["serve", "--config"]);
    assert_eq!(entry["command"], env!("CARGO_BIN_EXE_jacquard"));
    let mut command = place.command(&args);
    command.current_dir("/");
    let agent = Agent::start(command).await;
    assert!(agent.tools.iter().any(|t| t.name == "warp_channels_send"));
    agent.close().await;
}
