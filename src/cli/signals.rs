//! Signals that tell the program to stop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The longest time between a signal to stop and the end of the process.
const GRACE: Duration = Duration::from_millis(1800);

/// Fires `stop` on a signal, and ends the process if it is still there [`GRACE`] later. Waits on a thread of its own: the
/// signal must be heard, and obeyed in time, also while a call keeps the runtime busy.
pub fn guard(stop: CancellationToken) {
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
