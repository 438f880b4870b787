//! MCP over streamable HTTP: many clients, each with a session of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::sessions::SessionOptions;
use super::{Gateway, sessions};

/// How long calls in flight may go on after `stop`.
const DRAIN: Duration = Duration::from_secs(1);

/// Serves clients at an address until `stop` fires.
///
/// # Errors
/// An address that cannot be listened on.
pub async fn serve(
    gateway: Arc<Gateway>,
    address: SocketAddr,
    stop: CancellationToken,
) -> Result<(), String> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!("listening on http://{address}/mcp");
    }
    let front = sessions::service(&gateway, SessionOptions::default());
    let all = Arc::clone(front.sessions());
    let answer = move |request: Request| {
        let front = front.clone();
        async move { front.handle(request).await }
    };
    let router = Router::new().route("/mcp", any(answer));
    let ending = async {
        stop.cancelled().await;
        all.close(DRAIN).await;
    };
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(stop.clone().cancelled_owned())
        .into_future();
    let (served, ()) = tokio::join!(served, ending);
    served.map_err(|error| format!("serving on {address}: {error}"))
}
