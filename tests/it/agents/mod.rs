//! The pack `agents` as its users have it: real gateways on a real server, and a plain NATS client in the place of the
//! original.

mod crowd;
mod history;
mod names;
mod push;
mod tools;
mod web;
mod wire;

use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::support::place::Place;
use crate::support::raw::Raw;
use crate::support::server::NatsServer;

/// The method of a push.
pub const PUSH: &str = "notifications/claude/channel";

/// A client with a gateway of its own, on pipes.
pub struct Talker {
    pub raw: Raw,
    name: String,
    calls: u32,
}

impl Talker {
    /// A session that has not registered.
    pub fn start(command: Command) -> Self {
        Self {
            raw: Raw::start(command),
            name: String::new(),
            calls: 0,
        }
    }

    /// A registered one.
    pub fn join(server: &NatsServer, name: &str, group: &str) -> Self {
        let mut talker = Self::start(gateway(&Place::on(server), &[]));
        talker.register(name, group);
        talker
    }

    /// Registers; the answer.
    pub fn register(&mut self, name: &str, group: &str) -> Value {
        self.name = name.to_owned();
        let args = json!({"name": name, "description": format!("{name} at work"), "group": group});
        self.json("agent_register", args)
    }

    /// Calls a tool; its whole text, and whether it is an error.
    pub fn whole(&mut self, tool: &str, mut args: Value) -> (String, bool) {
        let named = [
            "agent_dm",
            "agent_broadcast",
            "channel_send",
            "dm_history",
            "poll_messages",
        ];
        if named.contains(&tool) && args.get("name").is_none() {
            args["name"] = json!(self.name);
        }
        self.calls += 1;
        let id = format!("call {}", self.calls);
        self.raw.tool(&id, tool, args)
    }

    /// Calls a tool that must succeed; its text without the trailer, which must be right.
    pub fn say(&mut self, tool: &str, args: Value) -> String {
        let (text, error) = self.whole(tool, args.clone());
        assert!(!error, "{tool} {args}: {text}");
        untrailed(&text)
    }

    /// Calls a tool that must refuse; its text without the trailer, which must be right.
    pub fn refused(&mut self, tool: &str, args: Value) -> String {
        let (text, error) = self.whole(tool, args.clone());
        assert!(error, "{tool} {args}: {text}");
        untrailed(&text)
    }

    /// Calls a tool that answers with JSON; the value without `_meta`, which must be right.
    pub fn json(&mut self, tool: &str, args: Value) -> Value {
        let (text, error) = self.whole(tool, args.clone());
        assert!(!error, "{tool} {args}: {text}");
        let mut value: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let meta = value
            .as_object_mut()
            .unwrap()
            .shift_remove("_meta")
            .unwrap();
        assert_eq!(
            meta["chars"],
            value.to_string().encode_utf16().count(),
            "{text}"
        );
        assert_eq!(meta["lines"], 1, "{text}");
        assert!(meta["ms"].is_u64(), "{text}");
        value
    }

    /// The next push.
    pub fn push(&mut self) -> Value {
        self.raw.notification(PUSH)
    }
}

/// `jacquard serve` with the config of this pack and these variables.
pub fn gateway(place: &Place, variables: &[(&str, &str)]) -> Command {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/agents.yaml");
    let mut command = place.command(&["serve", "--no-watch", "--config", config]);
    command.envs(variables.iter().copied());
    command
}

/// A text without its trailer, which must tell its size.
pub fn untrailed(text: &str) -> String {
    let (body, meta) = text
        .rsplit_once("\n---\n_meta: ")
        .unwrap_or_else(|| panic!("no trailer: {text}"));
    let meta: Value = serde_json::from_str(meta).unwrap();
    assert_eq!(meta["chars"], body.encode_utf16().count(), "{text}");
    assert_eq!(meta["lines"], body.split('\n').count(), "{text}");
    assert!(meta["ms"].is_u64(), "{text}");
    body.to_owned()
}

/// A client as the original has: nothing of ours in it.
pub async fn plain(server: &NatsServer) -> async_nats::Client {
    async_nats::connect(server.url()).await.unwrap()
}

pub fn jetstream(client: &async_nats::Client) -> Context {
    jetstream::new(client.clone())
}

/// The last token of a subject, as the original writes it.
pub fn token(name: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(name)
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis()
        .try_into()
        .unwrap()
}

/// The next message of a subscription.
pub async fn next(subscription: &mut async_nats::Subscriber) -> async_nats::Message {
    let message = tokio::time::timeout(Duration::from_secs(20), subscription.next()).await;
    message.expect("no message came").unwrap()
}

/// Waits until a tool's text is as wanted.
pub fn until(
    talker: &mut Talker,
    tool: &str,
    args: &Value,
    wanted: impl Fn(&str) -> bool,
) -> String {
    let mut last = String::new();
    for _ in 0..300 {
        last = talker.whole(tool, args.clone()).0;
        if wanted(&last) {
            return last;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{tool} never answered as wanted; at last {last}");
}
