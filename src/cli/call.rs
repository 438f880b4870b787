//! `jacquard call`: one tool, run in this process against the configured NATS.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::{Source, fail, logging, refuse, runtime, say, setup, signals};
use crate::engine::{Begin, Block, Reply, Session};
use crate::gateway::{Client, Gateway, Setup, content};
use crate::project::Environment;

/// How long the closing steps may take.
const CLOSE: Duration = Duration::from_secs(1);
/// How long to wait for NATS: a person waits, so fetching a server may take its time too.
const CONNECT: Duration = Duration::from_secs(10);

pub struct Request {
    pub source: Source,
    pub tool: String,
    pub arguments: Vec<String>,
    pub json: Option<String>,
    pub session: Vec<String>,
    pub structured: bool,
    pub content: bool,
}

pub fn run(request: &Request) -> ExitCode {
    let env = Environment::from_process();
    let setup = match setup::read(&request.source, &env) {
        Ok(setup) => setup,
        Err(report) => return refuse(&report),
    };
    logging::start(&setup, &env, LevelFilter::WARN);
    if let Err(message) = check_form(request) {
        eprintln!("jacquard: {message}");
        return ExitCode::from(2);
    }
    match runtime() {
        Ok(runtime) => runtime.block_on(call(request, setup, &env)),
        Err(error) => fail(format!("the runtime cannot start: {error}")),
    }
}

async fn call(request: &Request, setup: Setup, env: &Environment) -> ExitCode {
    let gateway = match Gateway::start(setup, env).await {
        Ok(gateway) => gateway,
        Err(error) => return fail(error),
    };
    find_services(&gateway).await;
    let code = match prepared(request, &gateway) {
        Ok((session, arguments)) => {
            let session = Arc::new(session);
            let background = gateway.begin(&session, Begin::ONCE);
            let code = reply(request, &gateway, &session, arguments).await;
            background.end(CLOSE).await;
            code
        }
        Err(message) => {
            eprintln!("jacquard: {message}");
            ExitCode::from(2)
        }
    };
    gateway.close().await;
    code
}

/// Makes the tools of NATS services, where a pack wants them: the call may be of one.
async fn find_services(gateway: &Arc<Gateway>) {
    if !gateway.follows_services() {
        return;
    }
    connect(gateway).await;
    if let Err(error) = gateway.find_services().await {
        eprintln!("jacquard: which NATS services there are is not known: {error}");
    }
}

/// Waits for NATS. Without a connection the call itself says what is wrong.
async fn connect(gateway: &Gateway) {
    gateway.nats().settle(CONNECT).await;
    let bus = gateway.nats().bus();
    let _ = bus.wait_connected(Duration::from_secs(2)).await;
}

async fn reply(
    request: &Request,
    gateway: &Arc<Gateway>,
    session: &Session,
    arguments: Map<String, Value>,
) -> ExitCode {
    // Who interrupts a call still wants its session to end in order.
    let cancel = CancellationToken::new();
    signals::guard(cancel.clone());
    tokio::select! {
        () = connect(gateway) => {}
        () = cancel.cancelled() => {}
    }
    let call = async {
        gateway.may(&Client::default(), &request.tool)?;
        gateway
            .call(session, &request.tool, Some(arguments), &cancel)
            .await
    };
    match call.await {
        Ok(reply) if reply.is_error => {
            eprintln!("{}", reply.text);
            ExitCode::FAILURE
        }
        Ok(reply) => {
            say(&shown(reply, request));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("jacquard: {error}");
            ExitCode::from(2)
        }
    }
}

/// What is printed of a reply.
fn shown(reply: Reply, request: &Request) -> String {
    match reply.structured.as_ref().filter(|_| request.structured) {
        Some(value) => value.to_string(),
        None if request.content => {
            let blocks = content::of_reply(reply);
            serde_json::to_string(&blocks).unwrap_or_else(|error| error.to_string())
        }
        None if reply.content.is_empty() => reply.text,
        None => {
            let blocks = reply.content.iter().map(Block::to_string);
            blocks.collect::<Vec<String>>().join("\n")
        }
    }
}

fn prepared(request: &Request, gateway: &Gateway) -> Result<(Session, Map<String, Value>), String> {
    let catalog = gateway.catalog();
    let session = gateway.session();
    let tool = catalog.tool(&request.tool);
    if let Some(tool) = &tool {
        let pack = &catalog.packs[tool.pack];
        for pair in &request.session {
            let (name, text) = split(pair)?;
            let declared = pack.session.get(name).ok_or_else(|| {
                format!(
                    "the pack `{}` has no session value `{name}`",
                    pack.pack.name
                )
            })?;
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
            let value = if declared.check(&value).is_ok() {
                value
            } else {
                Value::from(text)
            };
            declared
                .check(&value)
                .map_err(|lines| format!("the session value `{name}`: {}", lines.join("; ")))?;
            session.set(&pack.pack.name, name, Some(value));
        }
    }
    if let Some(json) = &request.json {
        let arguments = serde_json::from_str(json).map_err(|e| format!("--json: {e}"))?;
        return Ok((session, arguments));
    }
    let mut arguments = Map::new();
    for pair in &request.arguments {
        let (name, text) = split(pair)?;
        let schema = tool.as_ref().and_then(|t| declared(&t.input, name));
        arguments.insert(name.to_owned(), typed(text, schema));
    }
    Ok((session, arguments))
}

/// What can be told of the command line before anything is started.
fn check_form(request: &Request) -> Result<(), String> {
    for pair in request.arguments.iter().chain(&request.session) {
        split(pair)?;
    }
    match request.json.as_deref().map(serde_json::from_str::<Value>) {
        None | Some(Ok(Value::Object(_))) => Ok(()),
        Some(Ok(_)) => Err("--json takes one JSON object".to_owned()),
        Some(Err(error)) => Err(format!("--json: {error}")),
    }
}

fn split(pair: &str) -> Result<(&str, &str), String> {
    pair.split_once('=')
        .ok_or_else(|| format!("`{pair}` is not of the form name=value"))
}

/// What a schema says of an argument, also where it is declared elsewhere in the schema (`$ref`).
fn declared<'a>(input: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    /// A `$ref` may lead to another, and in a circle.
    const MOST: usize = 8;
    let mut schema = input.get("properties")?.get(name)?;
    for _ in 0..MOST {
        let place = schema.get("$ref").and_then(Value::as_str);
        match place.and_then(|place| within(input, place)) {
            Some(meant) => schema = meant,
            None => break,
        }
    }
    Some(schema)
}

/// What stands at a place (`#/$defs/size`) of a schema.
fn within<'a>(input: &'a Map<String, Value>, place: &str) -> Option<&'a Value> {
    let place = place.strip_prefix("#/")?;
    match place.split_once('/') {
        Some((first, rest)) => input.get(first)?.pointer(&format!("/{rest}")),
        None => input.get(place),
    }
}

/// What a person typed, as the type that the argument has: a number for a number, JSON for lists and objects, the text
/// itself otherwise.
fn typed(text: &str, schema: Option<&Value>) -> Value {
    let is_text = schema
        .and_then(|s| s.get("type"))
        .is_none_or(|kind| kind == "string")
        && schema.is_some();
    if is_text {
        return Value::from(text);
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn values_take_the_type_of_the_argument() {
        let text = json!({"type": "string"});
        let number = json!({"type": "integer"});
        assert_eq!(typed("5", Some(&text)), json!("5"));
        assert_eq!(typed("5", Some(&number)), json!(5));
        assert_eq!(typed("x", Some(&number)), json!("x"));
        assert_eq!(typed("[1]", Some(&json!({"type": "array"}))), json!([1]));
        let input = json!({
            "properties": {"n": {"$ref": "#/$defs/n"}, "x": {"$ref": "#/properties/x"}},
            "$defs": {"n": number}
        });
        let input = input.as_object().unwrap();
        assert_eq!(declared(input, "n"), Some(&number));
        assert_eq!(declared(input, "x"), input["properties"].get("x"));
        assert_eq!(declared(input, "y"), None);
        assert!(split("novalue").is_err());
        assert_eq!(split("a=b=c"), Ok(("a", "b=c")));
    }
}
