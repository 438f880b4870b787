//! The official MCP SDKs against the real program: what they check, and what a client made with them sees.

mod asks;
mod both;
mod http;
mod inspector;
mod push;
mod stdio;

use serde_json::json;

use crate::support::place::{Place, tools_of};
use crate::support::sdk::Client;

/// What holds over any transport. The SDKs check every structured result against its tool's schema.
fn is_served(client: &mut Client, place: &Place, handle: &str) {
    assert_eq!(client.ready["serverInfo"]["name"], "jacquard");
    assert!(client.ready["capabilities"]["tools"].is_object());
    assert!(client.ready["instructions"].is_string());
    assert_eq!(client.get("ping"), json!({}));

    let listed = client.get("list");
    let tools = listed["tools"].as_array().unwrap();
    assert_eq!(tools.len(), tools_of("warp"));
    assert!(
        tools
            .iter()
            .all(|tool| tool["inputSchema"]["type"] == "object")
    );

    let args = json!({"channel": "roadmap", "message": "ünï \u{1f600}"});
    let refused = client.call("warp_channels_send", args.clone()).unwrap();
    assert_eq!(refused["isError"], true, "{refused}");
    client.ok("warp_handle_set", json!({"handle": handle}));
    let sent = client.ok("warp_channels_send", args);
    let text = format!("Message sent to #roadmap by {handle}");
    assert_eq!(sent["content"][0]["text"], text.as_str());
    let read = client.ok(
        "warp_channels_read",
        json!({"channel": "roadmap", "limit": 1}),
    );
    assert_eq!(
        read["structuredContent"]["messages"][0]["message"],
        "ünï \u{1f600}"
    );

    let unknown = client.call("warp_nope", json!({})).unwrap_err();
    assert_eq!(unknown["code"], -32602, "{unknown}");
    let wrong = client.call("warp_channels_send", json!({"channel": "roadmap"}));
    assert_eq!(wrong.unwrap()["isError"], true);

    let asked: Vec<u64> = (0..20)
        .map(|_| client.ask("call", json!({"tool": "warp_handle_get", "arguments": {}})))
        .collect();
    for id in asked {
        let got = client.answer(id).unwrap();
        assert_eq!(
            got["structuredContent"]["handle"], handle,
            "{}",
            place.namespace
        );
    }
}
