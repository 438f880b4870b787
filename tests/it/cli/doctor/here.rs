//! What it finds out of this machine: the config, entries of clients, a gateway that runs.

use std::path::Path;

use super::{NOTES, Told, notes};
use crate::support::http::Served;
use crate::support::place::Place;
use crate::support::server::NatsServer;
use crate::support::wait_for;

#[test]
fn a_broken_config_is_told_by_its_place() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    notes(&place);
    place.write(
        "gateway.yaml",
        "packs: [./mine]\nsettings: {mine: {age: 5}}\nnats: {token: '${NO_SUCH_VARIABLE}'}\n",
    );
    let told = Told::of(&place, &["-c", "gateway.yaml"]);
    told.line("config", "error", "NO_SUCH_VARIABLE");
    told.line("config", "error", "gateway.yaml:2:");
    told.line("nats", "warning", "not looked at");
    // A pack that is broken leaves NATS to be looked at.
    place.write("gateway.yaml", "packs: [./mine]\n");
    place.write(
        "mine/notes.yaml",
        &NOTES.replace("stream: log, ", "stream: lgo, "),
    );
    let told = Told::of(&place, &["-c", "gateway.yaml"]);
    told.line("config", "error", "mine/notes.yaml:");
    told.line("nats", "ok", "answers in");
    place.write("mine/notes.yaml", NOTES);
    place.project("{\"namespace\": \"UPPER\"}");
    let told = Told::of(&place, &["-c", "gateway.yaml"]);
    told.line("project", "error", ".loominal-config.json:1:");
    let none = Told::of(&place, &["-c", "nowhere.yaml"]);
    none.line("config", "error", "nowhere.yaml");
}

#[test]
fn entries_of_clients_are_looked_after() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    notes(&place);
    let config = place.dir().join("gateway.yaml");
    let config = config.to_str().unwrap();
    let installed = |args: &[&str]| {
        let done = place.run(args);
        assert_eq!(done.code, Some(0), "{done:?}");
    };
    installed(&["install", "claude", "--config", config]);
    installed(&["install", "cursor", "--http", "http://127.0.0.1:8420"]);
    let told = Told::of(&place, &[]);
    told.line("clients", "ok", ".mcp.json (`jacquard`) starts ");
    told.line("clients", "ok", "reaches http://127.0.0.1:8420/mcp");
    installed(&["install", "claude", "--scope", "user"]);
    let told = Told::of(&place, &[]);
    let line = told.line("clients", "warning", "only one of them counts");
    assert!(
        line["do"]
            .as_str()
            .unwrap()
            .contains("jacquard install claude --name jacquard --scope user --uninstall"),
        "{line}"
    );
    // What has gone, is broken, or is found by chance.
    place.write("gateway.yaml", "packs: [warp]\nnasts: {}\n");
    place.write(".cursor/mcp.json", "{\"mcpServers\": {\"jacquard\": {\"command\": \"/nowhere/jacquard\", \"args\": [\"serve\"]}}}");
    let program = Path::new(env!("CARGO_BIN_EXE_jacquard")).to_str().unwrap();
    let twice =
        format!("\"mine\": {{\"command\": {program:?}, \"args\": [\"-c\", \"served.yaml\"]}}");
    place.write("served.yaml", "packs: [warp]\n");
    place.write(
        ".vscode/mcp.json",
        &format!("{{\"servers\": {{{twice}, {twice}}}}}"),
    );
    let told = Told::of(&place, &[]);
    told.line("clients", "error", "nasts");
    let line = told.line(
        "clients",
        "error",
        "starts /nowhere/jacquard, which is no program here",
    );
    assert!(
        line["do"]
            .as_str()
            .unwrap()
            .contains("jacquard install cursor"),
        "{line}"
    );
    told.line("clients", "warning", "has `mine` twice");
    told.line("clients", "warning", "served.yaml, which is found only if");
    place.write(".mcp.json", "{");
    Told::of(&place, &[]).line("clients", "error", "is no JSON");
}

#[test]
fn a_gateway_over_http_tells_of_a_change_that_it_does_not_serve() {
    let server = NatsServer::start();
    let place = Place::on(&server);
    notes(&place);
    let served = Served::watching(&place, &["-c", "gateway.yaml"]);
    let args = ["-c", "gateway.yaml", "--http", served.address()];
    wait_for("a ready gateway", || {
        let told = Told::of(&place, &args);
        told.lines().any(|line| line["what"] == "it is ready")
    });
    let told = Told::of(&place, &args);
    told.line("gateway", "ok", "1 tool(s)");
    assert_eq!(told.count("errors"), 0, "{:#}", told.0);
    place.write(
        "mine/notes.yaml",
        &NOTES.replace("stream: log, ", "stream: lgo, "),
    );
    wait_for("a reload that failed", || {
        let told = Told::of(&place, &args);
        told.lines().any(|line| {
            let what = line["what"].as_str().unwrap();
            line["subject"] == "gateway"
                && line["level"] == "error"
                && what.contains("a change is not served since")
                && what.contains("mine/notes.yaml:")
        })
    });
    place.write("mine/notes.yaml", NOTES);
    wait_for("a reload that went well", || {
        let told = Told::of(&place, &args);
        told.count("errors") == 0
    });
}

#[test]
fn without_any_nats_it_says_what_a_gateway_would_do() {
    let place = Place::without_nats();
    let told = Told::of(&place, &["--no-local-nats"]);
    // Somebody may run a server at the default address.
    let nats = told.lines().find(|line| line["subject"] == "nats").unwrap();
    assert!(
        nats["what"].as_str().unwrap().contains("127.0.0.1:4222"),
        "{nats}"
    );
    if nats["level"] == "ok" {
        return;
    }
    assert!(
        nats["do"]
            .as_str()
            .unwrap()
            .contains("is the default address"),
        "{nats}"
    );
    let told = Told::of(&place, &[]);
    told.line(
        "nats",
        "ok",
        "a gateway runs a local server when it needs one",
    );
    assert!(!place.data_dir().exists(), "the doctor has made a folder");
    let up = place.run(&["nats", "up"]);
    assert_eq!(up.code, Some(0), "{up:?}");
    let told = Told::of(&place, &[]);
    told.line("nats", "ok", "gateways share the local server in");
    told.line("permissions", "ok", "may do everything");
    assert_eq!(told.count("errors"), 0, "{:#}", told.0);
    let token = std::fs::read_to_string(place.data_dir().join("nats/token")).unwrap();
    assert!(!told.0.to_string().contains(token.trim()));
    assert_eq!(
        place.run(&["nats", "down"]).code,
        Some(0),
        "the doctor still uses it"
    );
}
