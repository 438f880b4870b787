//! Mutations of requests over HTTP: other methods, paths, headers and bodies; requests come twice, or in another order.

use super::chance::Chance;
use super::lines;

const LINES: &[&str] = &[
    "POST /mcp",
    "GET /mcp",
    "DELETE /mcp",
    "OPTIONS /mcp",
    "PUT /mcp",
    "HEAD /mcp",
    "POST /mcp/",
    "POST /mcp/all",
    "POST /mcp/a/b",
    "GET /health",
    "GET /ready",
    "HEAD /metrics",
    "GET /.well-known/oauth-protected-resource/mcp",
    "GET /",
    "POST //mcp",
    "POST /mcp?x=1",
    "POST /%6dcp",
    "POST *",
    "GET http://other/mcp",
    "BREW /mcp",
    "GET /../etc/passwd",
];
const HEADERS: &[&str] = &[
    "content-type: application/json",
    "content-type: text/plain",
    "content-type: application/json; charset=utf-16",
    "accept: text/event-stream",
    "accept: application/json, text/event-stream",
    "accept: */*",
    "mcp-session-id: $S",
    "mcp-session-id: none",
    "mcp-session-id: $S$S",
    "jacquard-session: a",
    "jacquard-session: $S",
    "mcp-protocol-version: 2025-06-18",
    "mcp-protocol-version: 2026-07-28",
    "mcp-protocol-version: 3000-01-01",
    "mcp-method: tools/call",
    "mcp-method: subscriptions/listen",
    "mcp-name: echo",
    "mcp-name: =?base64?ZWNobw==?=",
    "mcp-name: =?base64?*?=",
    "mcp-param-x: 1",
    "last-event-id: 0",
    "last-event-id: $E",
    "last-event-id: $S/1",
    "last-event-id: 18446744073709551616",
    "origin: null",
    "origin: http://localhost:1",
    "host: example.com",
    "host: [::1]",
    "host: localhost:99999",
    "authorization: Bearer x",
    "content-length: 5",
    "transfer-encoding: chunked",
    "expect: 100-continue",
    "upgrade: websocket",
    "connection: keep-alive",
    "x: \u{e9}",
    "accept-encoding: gzip",
    "forwarded: for=1.2.3.4",
];

/// One change.
pub fn mutated(text: &str, chance: &mut Chance) -> String {
    let mut all: Vec<String> = text.split("\n%%\n").map(str::to_owned).collect();
    let at = chance.below(all.len());
    match chance.below(8) {
        0 => all.push(all[at].clone()),
        1 => drop(all.remove(at)),
        2 => {
            let other = chance.below(all.len());
            all.swap(at, other);
        }
        3..=5 => all[at] = changed(&all[at], chance, body),
        _ => all[at] = changed(&all[at], chance, head),
    }
    all.join("\n%%\n")
}

fn changed(
    request: &str,
    chance: &mut Chance,
    change: fn(&str, &str, &mut Chance) -> String,
) -> String {
    if request.starts_with(lines::ANSWER) {
        return lines::message(request, chance);
    }
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    change(head, body, chance)
}

/// Another body; where the head tells of the method and the name, often the right ones.
fn body(head: &str, body: &str, chance: &mut Chance) -> String {
    let body = match chance.below(3) {
        0 => chance
            .of(&lines::MESSAGES)
            .map(ToString::to_string)
            .unwrap_or_default(),
        _ => lines::message(body, chance),
    };
    if chance.below(4) == 0 {
        return format!("{head}\n\n{body}");
    }
    let message: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let params = &message["params"];
    let name = ["name", "uri", "taskId"]
        .into_iter()
        .find_map(|key| params[key].as_str());
    let value = |key: &str| match key {
        "mcp-method" => message["method"].as_str(),
        "mcp-name" => name,
        _ => None,
    };
    let lines = head.lines().map(|line| match line.split_once(": ") {
        Some((key, _)) => value(key).map_or(line.to_owned(), |value| format!("{key}: {value}")),
        None => line.to_owned(),
    });
    format!("{}\n\n{body}", lines.collect::<Vec<_>>().join("\n"))
}

/// Another first line, or a header more, less or other.
fn head(head: &str, body: &str, chance: &mut Chance) -> String {
    let mut lines: Vec<&str> = head.lines().collect();
    let header = chance.of(HEADERS).copied().unwrap_or_default();
    let at = 1 + chance.below(lines.len().saturating_sub(1));
    match chance.below(4) {
        0 => {
            if let (Some(first), Some(line)) = (lines.first_mut(), chance.of(LINES)) {
                *first = line;
            }
        }
        1 => lines.push(header),
        2 if at < lines.len() => drop(lines.remove(at)),
        _ if at < lines.len() => lines[at] = header,
        _ => lines.push(header),
    }
    format!("{}\n\n{body}", lines.join("\n"))
}
