//! `jacquard serve`

use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::{Source, fail, logging, refuse, runtime, setup};
use crate::gateway::{Gateway, Setup, stdio};
use crate::project::Environment;

/// How long the runtime may take to end; a blocked reader of standard input must not hold it.
const LINGER: Duration = Duration::from_millis(100);

pub fn run(source: &Source) -> ExitCode {
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
    let code = runtime.block_on(serve(setup, &env));
    runtime.shutdown_timeout(LINGER);
    code
}

async fn serve(setup: Setup, env: &Environment) -> ExitCode {
    let gateway = match Gateway::start(setup, env).await {
        Ok(gateway) => gateway,
        Err(error) => return fail(error),
    };
    let stop = CancellationToken::new();
    guard(stop.clone());
    let outcome = tokio::select! {
        outcome = stdio::serve(gateway.clone(), stop) => outcome,
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

/// The longest time between a signal to stop and the end of the process.
const GRACE: Duration = Duration::from_millis(1800);

/// Waits for a signal on a thread of its own: it must be heard, and obeyed in time, also while a call keeps the runtime busy.
fn guard(stop: CancellationToken) {
    let wait = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(stop_on_signal(stop)),
            Err(error) => return tracing::warn!(%error, "signals cannot be waited for"),
        }
        std::thread::sleep(GRACE);
        tracing::warn!("a call did not let go in time: the process ends without it");
        std::process::exit(1);
    };
    if let Err(error) = std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
    {
        tracing::warn!(%error, "signals cannot be waited for");
    }
}

/// Fires on ctrl-c and on the signal to terminate.
async fn stop_on_signal(stop: CancellationToken) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the signal to terminate cannot be caught");
                let _ = tokio::signal::ctrl_c().await;
            }
        }
    }
    #[cfg(not(unix))]
    {
        let _ = tokio::signal::ctrl_c().await;
    }
    stop.cancel();
}
