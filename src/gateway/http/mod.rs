//! MCP over streamable HTTP: many clients, each with a session of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Gateway, sessions};

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
    let service = sessions::service(&gateway, stop.clone());
    let router = Router::new().nest_service("/mcp", service);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .map_err(|error| format!("serving on {address}: {error}"))
}
