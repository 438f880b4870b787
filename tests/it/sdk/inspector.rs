//! The command line of the MCP Inspector.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::both::Desk;
use crate::support::fetched::{Wanted, node};
use crate::support::http::Served;
use crate::support::place::{Done, run};

/// The versions that it can be told to speak.
const ERAS: [&str; 2] = ["legacy", "modern"];

/// Runs the Inspector against a server with these arguments of its own.
fn inspect(desk: &Desk, era: &str, server: &[&str], args: &[&str]) -> Done {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let wanted = Wanted {
        name: "inspector",
        source: "sdk/inspector",
        files: &["package-lock.json", "package.json"],
        needs: "npm",
    };
    let folder = FOLDER.get_or_init(|| wanted.npm());
    let inspector = folder.join("node_modules/@modelcontextprotocol/inspector");
    let mut command = Command::new(node());
    command
        .arg(inspector.join("clients/launcher/build/index.js"))
        .arg("--cli")
        .args(server)
        .args(["--protocol-era", era])
        .args(args)
        .current_dir(desk.place.dir())
        .env_clear()
        .env("MCP_INSPECTOR_SECRET_STORE", "memory");
    for (name, value) in environment(desk) {
        command.env(name, value);
    }
    run(command)
}

/// What a gateway is run with.
fn environment(desk: &Desk) -> BTreeMap<String, String> {
    let gateway = desk.place.command(&[]);
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    gateway
        .get_envs()
        .filter_map(|(name, value)| Some((text(name), text(value?))))
        .collect()
}

/// What it prints, which must be JSON.
fn printed(done: &Done) -> Value {
    assert_eq!(done.code, Some(0), "{done:?}");
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

fn inspects(desk: &Desk, server: &[&str]) {
    for era in ERAS {
        let inspect = |args: &[&str]| inspect(desk, era, server, args);
        let listed = printed(&inspect(&["--method", "tools/list"]));
        let tools = listed["tools"].as_array().unwrap();
        assert_eq!(tools.len(), 4, "{era}: {listed}");
        let call = ["--method", "tools/call", "--tool-name", "divide"];
        let args = ["--tool-arg", "a=3", "b=2"];
        let done = printed(&inspect(&[&call[..], &args].concat()));
        let quotient = &done["structuredContent"]["quotient"];
        assert_eq!(*quotient, 1.5, "{era}: {done}");
        let args = ["--tool-arg", "a=3", "b=0"];
        let failed = inspect(&[&call[..], &args].concat());
        assert!(
            failed.stdout.contains("divided by zero"),
            "{era}: {failed:?}"
        );
    }
    let listed = printed(&inspect(
        desk,
        ERAS[1],
        server,
        &["--method", "prompts/list"],
    ));
    assert_eq!(listed["prompts"][0]["name"], "review");
    let read = ["--method", "resources/read", "--uri", "desk://about"];
    let read = printed(&inspect(desk, ERAS[0], server, &read));
    assert_eq!(read["contents"][0]["blob"], "iVBORw==");
}

#[test]
fn over_stdio() {
    let desk = Desk::start();
    let server = json!({
        "command": env!("CARGO_BIN_EXE_jacquard"),
        "args": ["serve", "--no-watch", "--config", desk.config],
        "env": environment(&desk),
    });
    let file = json!({"mcpServers": {"desk": server}}).to_string();
    let file = desk.place.write("mcp.json", &file);
    inspects(
        &desk,
        &["--config", &file.to_string_lossy(), "--server", "desk"],
    );
}

#[test]
fn over_http() {
    let desk = Desk::start();
    let gateway = Served::start(&desk.place, &["--config", &desk.config]);
    inspects(
        &desk,
        &["--transport", "http", "--server-url", &gateway.url],
    );
}
