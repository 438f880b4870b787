//! `jacquard send` and `jacquard tail`, also under the program name `snd`: a person's line to agents that talk over the
//! subjects `agents.dm.*`, `agents.channel.*` and `agents.broadcast.*`.
//!
//! These subjects and their JSON are a wire that other programs speak too. No tool is behind this: it is a command line
//! of its own, and works where no gateway runs.

mod line;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::words::{Words, usage};
use super::{runtime, say, signals};
use crate::bus::{Bus, BusConfig, Bytes, INBOX, Outgoing, State, StreamSpec, Subscription, Tls};
use crate::gateway::full;
use crate::project::Environment;

/// The variable that says where NATS is.
const URL: &str = "AGENTS_NATS_URL";
/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long leaving NATS may take.
const CLOSE: Duration = Duration::from_millis(500);
/// What is heard.
const SUBJECTS: [&str; 3] = ["agents.dm.*", "agents.broadcast.*", "agents.channel.*"];

/// The program name under which all of this is reached without a subcommand.
pub const NAME: &str = "snd";

/// Sends one message, or whatever else the words ask for.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let env = Environment::from_process();
    let (target, content) = match words::parse(arguments) {
        Ok(Words::Message(target, content)) => (target, content),
        Ok(Words::Tail) => return tail(),
        Ok(Words::Help) => return shown(ExitCode::SUCCESS),
        Ok(Words::Nothing) => return shown(ExitCode::FAILURE),
        Err(message) => return wrong(&message),
    };
    let Some(config) = config(&env) else {
        return wrong(&format!("{URL} is required"));
    };
    let from = env.get("SND_FROM").unwrap_or_else(|| "human".to_owned());
    let payload = line::payload(&target, &from, &content, line::now_ms());
    let message = Outgoing::new(target.subject(), payload);
    let outcome = started().and_then(|runtime| runtime.block_on(send(config, message)));
    match outcome {
        Ok(()) => {
            eprintln!("[snd] -> {target}: {content}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("[snd] failed: {reason}");
            ExitCode::from(2)
        }
    }
}

/// Shows what is sent, until it is told to stop.
pub fn tail() -> ExitCode {
    let Some(config) = config(&Environment::from_process()) else {
        return wrong(&format!("{URL} is required"));
    };
    match started().and_then(|runtime| runtime.block_on(watch(config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("[snd --tail] connect failed: {reason}");
            ExitCode::from(2)
        }
    }
}

fn shown(code: ExitCode) -> ExitCode {
    say(usage());
    code
}

fn wrong(message: &str) -> ExitCode {
    eprintln!("snd: {message}");
    ExitCode::FAILURE
}

fn started() -> Result<tokio::runtime::Runtime, String> {
    runtime().map_err(|error| format!("the runtime cannot start: {error}"))
}

/// How to reach NATS; `None` when nobody says where it is. Ways to log in are those of a gateway.
fn config(env: &Environment) -> Option<BusConfig> {
    let file = |name: &str| env.get_os(name).map(Into::into);
    Some(BusConfig {
        servers: vec![env.get(URL)?],
        inbox_prefix: env
            .get("NATS_INBOX_PREFIX")
            .unwrap_or_else(|| INBOX.to_owned()),
        user: env.get("NATS_USER"),
        password: env.get("NATS_PASS"),
        token: env.get("NATS_TOKEN"),
        nkey_seed: env.get("NATS_NKEY_SEED"),
        creds_file: file("NATS_CREDS"),
        tls: Tls {
            ca: file("NATS_CA"),
            cert: file("NATS_CERT"),
            key: file("NATS_KEY"),
            required: false,
        },
        name: "jacquard snd".to_owned(),
        ..BusConfig::default()
    })
}

/// Stores a message. The stream is made if it is absent, with the limits that all who speak this wire begin with; one
/// that exists is used as it is.
async fn send(config: BusConfig, message: Outgoing) -> Result<(), String> {
    let bus = connected(config).await?;
    let stream = bus.stream(StreamSpec {
        name: "agents-history".to_owned(),
        subjects: ["agents.dm.>", "agents.channel.>", "agents.broadcast.>"]
            .map(str::to_owned)
            .to_vec(),
        max_age: Some(Duration::from_secs(30 * 24 * 60 * 60)),
        max_bytes: Some(512 * 1024 * 1024),
        max_messages_per_subject: Some(10_000),
        ..StreamSpec::default()
    });
    let stored = stream.publish(message, None).await;
    bus.close(CLOSE).await;
    stored.map(drop).map_err(|error| full(&error))
}

async fn watch(config: BusConfig) -> Result<(), String> {
    let stop = CancellationToken::new();
    signals::guard(stop.clone());
    let bus = tokio::select! {
        bus = connected(config) => bus?,
        () = stop.cancelled() => return Ok(()),
    };
    let subjects = SUBJECTS.map(str::to_owned);
    let heard = bus.subscribe(&subjects, Subscription::CAPACITY).await;
    let heard = heard.map_err(|error| full(&error))?;
    eprintln!("[snd --tail] watching {} — Ctrl-C to exit", bus.servers());
    tokio::select! {
        () = print(heard) => {}
        () = tell(&bus) => {}
        () = stop.cancelled() => {}
    }
    bus.close(CLOSE).await;
    Ok(())
}

async fn connected(config: BusConfig) -> Result<Bus, String> {
    let bus = Bus::connect(config).await.map_err(|e| full(&e))?;
    bus.wait_connected(CONNECT).await.map_err(|e| full(&e))?;
    Ok(bus)
}

/// Prints what comes, until nobody reads it any more.
async fn print(mut heard: Subscription) {
    use std::io::{IsTerminal as _, Write as _};
    let tame = std::io::stdout().is_terminal();
    let mut lost = 0;
    while let Some(message) = heard.next().await {
        if heard.dropped() > lost {
            eprintln!(
                "[snd --tail] {} messages came too fast and are not shown",
                heard.dropped() - lost
            );
            lost = heard.dropped();
        }
        let payload: Bytes = message.payload;
        let Some(text) = line::shown(&message.subject, &payload, line::now_ms()) else {
            continue;
        };
        let text = if tame { line::tamed(&text) } else { text };
        if writeln!(std::io::stdout().lock(), "{text}").is_err() {
            return;
        }
    }
}

/// Tells when the connection is lost, and when it is back: meanwhile nothing is heard.
async fn tell(bus: &Bus) {
    let mut states = bus.watch();
    let mut up = true;
    while states.changed().await.is_ok() {
        let state = states.borrow_and_update().clone();
        match state {
            State::Disconnected { reason, .. } if up => {
                eprintln!("[snd --tail] connection lost, trying again: {reason}");
                up = false;
            }
            state if state.is_connected() && !up => {
                eprintln!("[snd --tail] connected again");
                up = true;
            }
            _ => {}
        }
    }
}
