//! Connections: taken up to a number, closed when their clients are too slow, ended in order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::patience::Patient;
use super::{Front, answer};

/// The most connections at once; further ones wait to be taken.
const MAX_CONNECTIONS: usize = 20_000;
/// How long the head of a request may take, and a connection may be open without one.
const HEAD: Duration = Duration::from_secs(30);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The pause after a connection could not be taken, as when the process has too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections that are open.
pub struct Open(GracefulShutdown);

impl Open {
    /// Waits until they are closed, at most `limit`: each after its last answer.
    pub async fn close(self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.0.shutdown()).await;
    }
}

/// Takes connections and serves them, until the gateway is told to stop.
pub async fn accept(front: &Arc<Front>, listener: TcpListener) -> Open {
    let open = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = front.stop.cancelled() => return Open(open),
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => begin(front, stream, peer, place, &open),
            Err(error) => {
                tracing::warn!("a connection cannot be taken: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn begin(
    front: &Arc<Front>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Option<OwnedSemaphorePermit>,
    open: &GracefulShutdown,
) {
    // Small messages are sent at once; a connection that does not take the option works all the same.
    let _ = stream.set_nodelay(true);
    // Where notifications come fast, the session notices first, and its log line says which it is.
    let patience = 2 * front.settings.push_timeout;
    let front = Arc::clone(front);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let front = Arc::clone(&front);
        async move {
            let request = request.map(Body::new);
            Ok::<_, Infallible>(answer(&front, request, peer).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Patient::new(stream, patience)), service);
    let connection = open.watch(connection);
    tokio::spawn(async move {
        match connection.await {
            Err(error) if is_unread(&error) => {
                tracing::warn!(%peer, "a connection is closed: its client has taken nothing for {patience:?}");
            }
            Err(error) => tracing::debug!(%peer, %error, "a connection ended"),
            Ok(()) => {}
        }
        drop(place);
    });
}

/// Whether a connection ended because its client did not read.
fn is_unread(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let cause = error
        .source()
        .and_then(|e| e.downcast_ref::<std::io::Error>());
    cause.is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut)
}
