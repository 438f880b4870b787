//! `jacquard serve`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::{Source, fail, logging, refuse, runtime, setup, signals};
use crate::gateway::http::Settings;
use crate::gateway::reload::Reloading;
use crate::gateway::{Gateway, Setup, http, stdio};
use crate::project::Environment;
use crate::spec::config::Transport;

/// How long the runtime may take to end; a blocked reader of standard input must not hold it.
const LINGER: Duration = Duration::from_millis(100);

/// How clients reach the gateway, as the command line has it.
#[derive(Debug, Clone, Default, Args)]
pub struct Way {
    /// Serve streamable HTTP, at this IP address and port [default: `http.address` of the config, else 127.0.0.1:8420]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, value_parser = address)]
    #[allow(clippy::option_option)]
    http: Option<Option<SocketAddr>>,
    /// Let everybody who reaches the address call every tool, also from other machines
    #[arg(long)]
    dangerously_allow_unauthenticated_network: bool,
    /// Serve changed configs, specs, templates and project files as soon as they are written [default over HTTP]
    #[arg(long, overrides_with = "no_watch")]
    watch: bool,
    /// Serve them when the process gets SIGHUP, and not before [default on stdio]
    #[arg(long)]
    no_watch: bool,
}

impl Way {
    /// The settings of HTTP; `None` for stdio.
    fn settings(&self, setup: &Setup) -> Result<Option<Settings>, String> {
        if self.http.is_none() && setup.config.transport == Transport::Stdio {
            return Ok(None);
        }
        let open = self.dangerously_allow_unauthenticated_network;
        Settings::new(setup, self.http.flatten(), open).map(Some)
    }
}

pub fn run(source: &Source, way: &Way) -> ExitCode {
    let env = Arc::new(Environment::from_process());
    let since = SystemTime::now();
    let setup = match setup::read(source, &env) {
        Ok(setup) => setup,
        Err(report) => return refuse(&report),
    };
    logging::start(&setup, &env, LevelFilter::INFO);
    let settings = match way.settings(&setup) {
        Ok(settings) => settings,
        Err(error) => return fail(error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(format!("the runtime cannot start: {error}")),
    };
    let reloading = Reloading {
        watch: way.watch || (settings.is_some() && !way.no_watch),
        origin: Arc::new(setup::Origin {
            source: source.clone(),
            env: Arc::clone(&env),
        }),
        asked: Arc::default(),
        since,
    };
    let code = runtime.block_on(serve(setup, &env, settings, reloading));
    runtime.shutdown_timeout(LINGER);
    code
}

async fn serve(
    setup: Setup,
    env: &Environment,
    settings: Option<Settings>,
    reloading: Reloading,
) -> ExitCode {
    signals::hangups(Arc::clone(&reloading.asked));
    // Before anything is done on NATS: a gateway that nobody can reach must leave no trace there.
    let door = match settings {
        None => None,
        Some(settings) => match http::bind(&settings).await {
            Ok(listener) => Some((listener, settings)),
            Err(error) => return fail(error),
        },
    };
    let gateway = match Gateway::start(setup, env).await {
        Ok(gateway) => gateway,
        Err(error) => return fail(error),
    };
    let stop = CancellationToken::new();
    signals::guard(stop.clone());
    let client = async {
        match door {
            Some((listener, settings)) => {
                http::serve(gateway.clone(), listener, settings, stop).await
            }
            None => Box::pin(stdio::serve(gateway.clone(), stop)).await,
        }
    };
    let outcome = tokio::select! {
        outcome = client => outcome,
        () = forever(gateway.keep_prepared()) => Ok(()),
        () = forever(gateway.keep_swept()) => Ok(()),
        () = forever(gateway.keep_watched()) => Ok(()),
        () = forever(gateway.keep_tasks()) => Ok(()),
        () = forever(gateway.keep_announced()) => Ok(()),
        () = forever(gateway.keep_exposed()) => Ok(()),
        () = forever(gateway.keep_services()) => Ok(()),
        () = gateway.keep_reloaded(reloading) => Ok(()),
    };
    gateway.close().await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// Where to listen.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "give an IP address and a port, such as 127.0.0.1:8420".to_owned())
}

/// Work that goes on beside the session and never ends it.
async fn forever(work: impl Future<Output = ()>) {
    work.await;
    std::future::pending().await
}
