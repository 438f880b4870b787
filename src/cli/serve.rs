//! `jacquard serve`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::{Source, fail, logging, refuse, runtime, setup, signals};
use crate::gateway::{Gateway, Setup, http, stdio};
use crate::project::Environment;

/// How long the runtime may take to end; a blocked reader of standard input must not hold it.
const LINGER: Duration = Duration::from_millis(100);

pub fn run(source: &Source, http: Option<SocketAddr>) -> ExitCode {
    let env = Environment::from_process();
    let setup = match setup::read(source, &env) {
        Ok(setup) => setup,
        Err(report) => return refuse(&report),
    };
    logging::start(&setup, &env, LevelFilter::INFO);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(format!("the runtime cannot start: {error}")),
    };
    let code = runtime.block_on(serve(setup, &env, http));
    runtime.shutdown_timeout(LINGER);
    code
}

async fn serve(setup: Setup, env: &Environment, http: Option<SocketAddr>) -> ExitCode {
    let gateway = match Gateway::start(setup, env).await {
        Ok(gateway) => gateway,
        Err(error) => return fail(error),
    };
    let stop = CancellationToken::new();
    signals::guard(stop.clone());
    let client = async {
        match http {
            Some(address) => http::serve(gateway.clone(), address, stop).await,
            None => stdio::serve(gateway.clone(), stop).await,
        }
    };
    let outcome = tokio::select! {
        outcome = client => outcome,
        () = forever(gateway.keep_prepared()) => Ok(()),
        () = forever(gateway.keep_swept()) => Ok(()),
    };
    gateway.close().await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// Work that goes on beside the session and never ends it.
async fn forever(work: impl Future<Output = ()>) {
    work.await;
    std::future::pending().await
}
