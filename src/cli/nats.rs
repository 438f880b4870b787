//! `jacquard nats`: the local nats-server that gateways share when no other is there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{fail, runtime, say};
use crate::bus::local::{self, LocalServer, Notice, Options};
use crate::gateway::full;

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Start it and keep it running with no gateway
    Up,
    /// Tell whether it runs, where, and where its data is
    Status,
    /// Print its address with the token in it, for other NATS clients of this user
    Url,
    /// Stop it
    Down {
        /// Also while gateways use it; they start it again when they next need it
        #[arg(long)]
        force: bool,
    },
    /// Stop the server when its last user has left
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        dir: PathBuf,
    },
    /// Run the server of a test until standard input ends
    #[command(hide = true)]
    Guard {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        binary: PathBuf,
    },
    /// Use the server until standard input ends
    #[command(hide = true)]
    Hold {
        #[arg(long)]
        no_supervisor: bool,
    },
}

pub fn run(action: &Action) -> ExitCode {
    // It blocks, and must not hold a runtime.
    if let Action::Supervise { dir } = action {
        return match local::supervise(dir) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => fail(error),
        };
    }
    if let Action::Guard { dir, binary } = action {
        return match local::guard(dir, binary) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(full(&error)),
        };
    }
    match runtime() {
        Ok(runtime) => runtime.block_on(act(action)),
        Err(error) => fail(format!("the runtime cannot start: {error}")),
    }
}

async fn act(action: &Action) -> ExitCode {
    let mut options = match Options::from_env() {
        Ok(options) => options,
        Err(error) => return fail(full(&error)),
    };
    options.supervisor = std::env::current_exe().ok();
    let tell = |notice: Notice| eprintln!("jacquard: {notice}");
    match action {
        Action::Up => print(local::up(options, &tell).await),
        Action::Status => print(local::status(&options).await),
        Action::Url => url(options).await,
        Action::Down { force } => match local::down(&options, *force).await {
            Ok(was_running) => print(Ok::<_, local::Error>(serde_json::json!({
                "was_running": was_running
            }))),
            Err(error) => fail(full(&error)),
        },
        Action::Hold { no_supervisor } => {
            if *no_supervisor {
                options.supervisor = None;
            }
            match hold(options).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(full(&error)),
            }
        }
        Action::Supervise { .. } | Action::Guard { .. } => ExitCode::SUCCESS,
    }
}

/// The address of the running server. One that does not run has none: it would end again with this command.
async fn url(options: Options) -> ExitCode {
    match local::status(&options).await {
        Ok(status) if status.running => {}
        Ok(_) => {
            return fail("the local nats-server does not run; start it with `jacquard nats up`");
        }
        Err(error) => return fail(full(&error)),
    }
    match LocalServer::join(options, &|_| {}).await {
        Ok(server) => {
            say(&server.address());
            ExitCode::SUCCESS
        }
        Err(error) => fail(full(&error)),
    }
}

/// Joins, prints one line, and on each line of input makes sure that the server runs; leaves at its end.
async fn hold(options: Options) -> Result<(), local::Error> {
    let server = LocalServer::join(options, &|notice| eprintln!("jacquard: {notice}")).await?;
    say(&serde_json::json!({
        "url": server.url(), "pid": server.pid(), "started_here": server.started_here()
    })
    .to_string());
    loop {
        let input = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
        match input.await {
            Ok(Some(Ok(_))) => {}
            _ => break,
        }
        let changed = server.ensure_running().await?;
        say(&serde_json::json!({
            "url": server.url(), "pid": server.pid(), "changed": changed
        })
        .to_string());
    }
    server.leave().await
}

fn print<T: serde::Serialize>(outcome: Result<T, local::Error>) -> ExitCode {
    match outcome.map(|value| serde_json::to_string_pretty(&value)) {
        Ok(Ok(text)) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => fail(error),
        Err(error) => fail(full(&error)),
    }
}
