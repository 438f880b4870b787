//! Signals that tell the program to stop, or to read again what it serves.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The longest time between a signal to stop and the end of the process.
const GRACE: Duration = Duration::from_millis(1800);
/// How long to wait for the thread that waits for signals.
const INSTALL: Duration = Duration::from_millis(500);

/// Fires `stop` on a signal, and ends the process if it is still there [`GRACE`] later. Waits on a thread of its own: the
/// signal must be heard, and obeyed in time, also while a call keeps the runtime busy.
///
/// Returns when signals are heard: one that comes right after it must not end the process as if nobody cared.
pub fn guard(stop: CancellationToken) {
    let (ready, installed) = channel();
    let wait = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        match runtime {
            Ok(runtime) => runtime.block_on(stop_on_signal(stop, ready)),
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
    let _ = installed.recv_timeout(INSTALL);
}

/// Notifies `asked` on each SIGHUP from now on, where there is such a signal. Wants a runtime around it.
pub fn hangups(asked: Arc<Notify>) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::hangup()) {
            Ok(mut hangups) => drop(tokio::spawn(async move {
                while hangups.recv().await.is_some() {
                    asked.notify_one();
                }
            })),
            Err(error) => tracing::warn!(%error, "SIGHUP cannot be caught"),
        }
    }
    #[cfg(not(unix))]
    drop(asked);
}

/// Fires on ctrl-c and on the signal to terminate; says when it listens.
async fn stop_on_signal(stop: CancellationToken, ready: Sender<()>) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt());
        let terminate = signal(SignalKind::terminate());
        let _ = ready.send(());
        match (interrupt, terminate) {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            (Ok(mut only), Err(error)) | (Err(error), Ok(mut only)) => {
                tracing::warn!(%error, "one of the signals to stop cannot be caught");
                let _ = only.recv().await;
            }
            (Err(error), Err(_)) => {
                tracing::warn!(%error, "signals cannot be caught");
                return std::future::pending().await;
            }
        }
    }
    #[cfg(not(unix))]
    {
        let _ = ready.send(());
        let _ = tokio::signal::ctrl_c().await;
    }
    stop.cancel();
}
