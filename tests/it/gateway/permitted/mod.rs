//! The permissions that `jacquard permissions` prints are enough, and none of them is too much: by the examples of the packs,
//! and by scenarios where examples do not reach.

mod examples;
mod packs;
mod web;

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::Value;

use crate::support::mcp::{Agent, Answer};
use crate::support::place::Place;
use crate::support::server::NatsServer;

/// The own prefix, so that nothing is allowed by accident that others use.
const INBOX: &str = "_INBOX_own";
/// Runs at the same time.
const AT_ONCE: usize = 3;

/// One gateway after the other, each as the user of one account.
struct Site<'a> {
    place: &'a Place,
    config: &'a str,
    server: &'a NatsServer,
    account: usize,
}

impl Site<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let (port, account) = (self.server.port(), self.account);
        let url = format!("nats://gateway{account}:x@127.0.0.1:{port}");
        let args = [&["serve", "-c", self.config], args].concat();
        let mut command = self.place.command(&args);
        command.env("NATS_URL", url).env("NATS_INBOX_PREFIX", INBOX);
        command
    }

    async fn user(&self) -> User {
        User {
            agent: Agent::start(self.command(&[])).await,
            log: self.log(),
            account: self.account,
        }
    }

    fn log(&self) -> PathBuf {
        self.server.dir().join("nats.log")
    }

    async fn admin(&self) -> async_nats::Client {
        let login = async_nats::ConnectOptions::with_user_and_password(
            format!("admin{}", self.account),
            "x".to_owned(),
        );
        let address = format!("127.0.0.1:{}", self.server.port());
        login.connect(address).await.unwrap()
    }
}

/// A gateway, and the log of the server that may refuse it something.
struct User {
    agent: Agent,
    log: PathBuf,
    account: usize,
}

impl User {
    async fn ok(&self, tool: &str, args: Value) -> Result<Answer, String> {
        let answer = self.agent.call(tool, args).await;
        if answer.error {
            return Err(format!("{tool}: {}", answer.text));
        }
        self.unrefused()?;
        Ok(answer)
    }

    /// What is refused counts also where the gateway can do without.
    fn unrefused(&self) -> Result<(), String> {
        unrefused(&self.log, self.account)
    }

    /// Waits until this holds, or something is refused.
    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) -> Result<(), String> {
        for _ in 0..600 {
            self.unrefused()?;
            if holds().await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err(format!("{what} takes too long"))
    }

    async fn heard(&self, count: usize) -> Result<(), String> {
        let heard = async || self.agent.client.service().all().len() >= count;
        self.until("hearing", heard).await
    }

    /// Ends in order; what is refused at the end counts too.
    async fn close(self) -> Result<(), String> {
        self.agent.close().await;
        unrefused(&self.log, self.account)
    }
}

/// Whether the server has refused nothing to the gateways of an account.
fn unrefused(log: &Path, account: usize) -> Result<(), String> {
    let log = std::fs::read_to_string(log).unwrap();
    let user = format!("user:gateway{account}\"");
    let refused = |line: &&str| line.contains(&user) && line.contains("Violation");
    let refused = log.lines().find(refused);
    refused.map_or(Ok(()), |line| Err(line.to_owned()))
}

/// Runs `work` with all lines, then without each of those that have one of these texts in `SIDE SUBJECT`.
/// `spared` are lines that the scenario does not need.
async fn prove<W>(config: &str, options: &[&str], tried: &[&str], spared: &[&str], work: W)
where
    W: AsyncFn(Site<'_>) -> Result<(), String>,
{
    let place = Place::without_nats();
    place.project(r#"{"namespace": "shop"}"#);
    place.write("desk/desk.yaml", include_str!("../../http/desk.yaml"));
    place.write(
        "errands/errands.yaml",
        include_str!("../../http/errands.yaml"),
    );
    let config = place.write("config.yaml", config);
    let config = config.to_str().unwrap();
    let args = [&["permissions", "-c", config, "--format", "json"], options].concat();
    let mut command = place.command(&args);
    let printed = command.env("NATS_INBOX_PREFIX", INBOX).output().unwrap();
    let told: Value = serde_json::from_slice(&printed.stdout).unwrap();
    let mut blocks = blocks(&told);
    let whole = blocks.remove(0);
    blocks.retain(|(line, _)| tried.iter().any(|part| line.contains(part)));
    for part in tried {
        let found = blocks.iter().any(|(line, _)| line.contains(part));
        assert!(found, "no line has {part}: {told:#}");
    }
    blocks.retain(|(line, _)| !spared.contains(&line.as_str()));
    blocks.insert(0, whole);
    let server = NatsServer::with_config(&accounts(&blocks));
    let site = |account| Site {
        place: &place,
        config,
        server: &server,
        account,
    };
    let whole = work(site(0)).await;
    assert_eq!(whole, Ok(()), "with {told:#}");
    let runs = blocks.iter().enumerate().skip(1);
    let runs = runs.map(|(account, (without, _))| {
        // What is refused may come as a panic of whoever waits.
        let run = AssertUnwindSafe(work(site(account))).catch_unwind();
        async move { (without, run.await) }
    });
    let outcomes: Vec<_> = futures_util::stream::iter(runs)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let needless: Vec<&String> = outcomes
        .into_iter()
        .filter(|(_, outcome)| matches!(outcome, Ok(Ok(()))))
        .map(|(without, _)| without)
        .collect();
    assert!(needless.is_empty(), "nothing needs {needless:#?}");
}

/// The whole block, then the block without each of its lines; with each, what is missing.
fn blocks(told: &Value) -> Vec<(String, Value)> {
    let mut whole = told.clone();
    whole.as_object_mut().unwrap().remove("why");
    let mut blocks = vec![("nothing".to_owned(), whole.clone())];
    for side in ["publish", "subscribe"] {
        let count = told[side]["allow"].as_array().map_or(0, Vec::len);
        for index in 0..count {
            let mut block = whole.clone();
            let line = block[side]["allow"].as_array_mut().unwrap().remove(index);
            let line = line.as_str().unwrap();
            blocks.push((format!("{side} {line}"), block));
        }
    }
    if whole.get("allow_responses").is_some() {
        let mut block = whole.clone();
        block.as_object_mut().unwrap().remove("allow_responses");
        blocks.push(("allow_responses".to_owned(), block));
    }
    blocks
}

/// An account for each block, with a user who may do all as well.
fn accounts(blocks: &[(String, Value)]) -> String {
    let mut text = String::from("accounts {\n");
    for (index, (_, block)) in blocks.iter().enumerate() {
        writeln!(
            text,
            "A{index}: {{ jetstream: enabled, users: [\n\
             {{user: gateway{index}, password: x, permissions: {block}}},\n\
             {{user: admin{index}, password: x}}] }}"
        )
        .unwrap();
    }
    text.push_str("}\n");
    text
}
