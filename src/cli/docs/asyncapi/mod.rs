//! AsyncAPI 3: a pack's side of NATS, for whoever writes the programs on the other.
//!
//! The application is the gateway: what it sends it publishes, and what it receives it reads or hears. A stream's subjects,
//! plain subjects and the entries of buckets are channels; each tool that uses one is an operation.

mod channels;
mod payload;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use self::channels::{Channel, Channels, Direction, Use};
use super::pack::Documented;
use crate::catalog::touch::{self, Owner};
use crate::spec::model::Pack;
use crate::spec::verbs::Step;

/// The path of the document of a pack.
pub fn path(pack: &str) -> String {
    format!("asyncapi/{pack}.asyncapi.yaml")
}

/// The document.
pub fn document(documented: &Documented) -> String {
    let value = value(documented);
    let text = serde_yaml::to_string(&value).unwrap_or_default();
    format!(
        "# Written by `{}`. Change what it is made of, not this file.\n{}\n",
        super::MADE_BY,
        text.trim_end()
    )
}

/// The document as a value.
pub fn value(documented: &Documented) -> Value {
    let pack = documented.pack.as_ref();
    let channels = used(documented);
    let mut operations = Map::new();
    for channel in channels.iter() {
        for one in &channel.uses {
            let (key, operation) = operation(channel, one);
            operations.insert(key, operation);
        }
    }
    let told: Map<String, Value> = channels
        .iter()
        .map(|channel| (channel.key.clone(), channel_value(channel)))
        .chain(replies(&channels))
        .collect();
    let body = json!({
        "defaultContentType": "application/json",
        "channels": told,
        "operations": operations,
    });
    let mut document = Map::new();
    document.insert("asyncapi".to_owned(), json!("3.0.0"));
    document.insert("info".to_owned(), info(documented, pack, &body));
    if let Value::Object(body) = body {
        document.extend(body);
    }
    Value::Object(document)
}

/// The version says whether the rest is another: it is made of it.
fn info(documented: &Documented, pack: &Pack, body: &Value) -> Value {
    let digest = Sha256::digest(body.to_string());
    let version: String = digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({
        "title": documented.title(),
        "version": version,
        "description": format!(
            "What the tools of the pack `{}` send and read on NATS. In an address, each parameter is filled in by the gateway. \
             A channel with `x-jetstream-stream` is stored by that stream, one with `x-jetstream-bucket` is an entry of that \
             bucket.",
            pack.name
        ),
    })
}

/// The channels of a pack with all that use them.
fn used(documented: &Documented) -> Channels<'_> {
    let pack = documented.pack.as_ref();
    let mut channels = Channels::new(pack);
    for tool in &documented.tools {
        let who = Use {
            owner: tool.key(),
            summary: tool.title.clone().unwrap_or_else(|| tool.name.clone()),
            ..Use::default()
        };
        for touch in touch::of_tool(pack, &tool.spec) {
            channels.touch(&touch, &who);
        }
        for said in payload::of_steps(pack, &tool.spec.steps, &tool.input) {
            channels.says(&said, &tool.key());
        }
    }
    let nothing = Map::new();
    for (owner, touches) in touch::of_pack(pack) {
        let Some((name, steps)) = by_itself(pack, owner) else {
            continue;
        };
        let who = Use {
            summary: name.replacen('_', " ", 1),
            owner: name.clone(),
            ..Use::default()
        };
        for touch in &touches {
            channels.touch(touch, &who);
        }
        for said in payload::of_steps(pack, steps, &nothing) {
            channels.says(&said, &name);
        }
    }
    channels
}

/// What uses channels without being called: its name here, and its steps. Tools are told by themselves, and inboxes and queues
/// with whoever uses them.
fn by_itself<'a>(pack: &'a Pack, owner: Owner<'_>) -> Option<(String, &'a [Step])> {
    let (name, steps): (String, &[Step]) = match owner {
        Owner::Timer(name) => (format!("timer_{name}"), &pack.timers.get(name)?.steps),
        Owner::Listener(name) => (format!("listener_{name}"), &pack.listeners.get(name)?.steps),
        Owner::Close => ("session_close".to_owned(), &pack.on.close),
        Owner::Resume => ("session_resume".to_owned(), &pack.on.resume),
        Owner::Resource(name) => (
            format!("resources_{name}"),
            &pack.resources.get(name)?.steps,
        ),
        Owner::Prompt(name) => (format!("prompt_{name}"), &pack.prompts.get(name)?.steps),
        Owner::Completion(name) => (
            format!("completion_{name}"),
            &pack.completions.get(name)?.steps,
        ),
        Owner::Table(name) => (format!("table_{name}"), &[]),
        Owner::Tool(_) | Owner::Generator(_) | Owner::Inbox(_) | Owner::Queue(_) => return None,
    };
    Some((name, steps))
}

fn channel_value(channel: &Channel) -> Value {
    let mut told = Map::new();
    told.insert("address".to_owned(), json!(channel.address.text));
    told.insert("title".to_owned(), json!(channel.title));
    if let Some(description) = &channel.description {
        told.insert("description".to_owned(), json!(description));
    }
    let parameters: Map<String, Value> = channel
        .address
        .parameters
        .iter()
        .map(|(name, made)| (name.clone(), json!({"description": made})))
        .collect();
    if !parameters.is_empty() {
        told.insert("parameters".to_owned(), Value::Object(parameters));
    }
    let messages: Map<String, Value> = channel
        .messages
        .iter()
        .map(|(name, payload)| (name.clone(), json!({"title": name, "payload": payload})))
        .collect();
    if !messages.is_empty() {
        told.insert("messages".to_owned(), Value::Object(messages));
    }
    if let Some((key, name)) = &channel.kept {
        told.insert(format!("x-jetstream-{key}"), json!(name));
    }
    Value::Object(told)
}

fn operation(channel: &Channel, one: &Use) -> (String, Value) {
    let action = match one.direction {
        Direction::Send => "send",
        Direction::Receive => "receive",
    };
    let reference = format!("#/channels/{}", channel.key);
    let mut told = Map::new();
    told.insert("action".to_owned(), json!(action));
    told.insert("channel".to_owned(), json!({"$ref": reference}));
    told.insert("title".to_owned(), json!(one.summary));
    told.insert(
        "summary".to_owned(),
        json!(format!("{}: {}", one.owner, one.verbs.join(", "))),
    );
    if one.direction == Direction::Send
        && channel.messages.iter().any(|(name, _)| *name == one.owner)
    {
        let message = format!("{reference}/messages/{}", one.owner);
        told.insert("messages".to_owned(), json!([{"$ref": message}]));
    }
    if one.replied {
        told.insert(
            "reply".to_owned(),
            json!({"channel": {"$ref": format!("#/channels/{REPLY}")}}),
        );
    }
    (
        format!("{}.{action}.{}", one.owner, channel.key),
        Value::Object(told),
    )
}

/// The channel of replies, whose subject is told by each request.
const REPLY: &str = "reply";

fn replies(channels: &Channels<'_>) -> Option<(String, Value)> {
    let replied = channels
        .iter()
        .any(|channel| channel.uses.iter().any(|one| one.replied));
    let told = json!({
        "address": null,
        "title": "Replies",
        "description": "The reply subject of a request, which its message names.",
    });
    replied.then(|| (REPLY.to_owned(), told))
}
