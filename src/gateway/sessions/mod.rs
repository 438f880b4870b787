//! The sessions of a gateway over HTTP.

use std::sync::Arc;

use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use super::http::Settings;
use super::{Gateway, Handler};

/// MCP over HTTP for all sessions of a gateway, until `stop` fires. Names and sizes have been checked in front of it.
pub fn service(
    gateway: &Arc<Gateway>,
    settings: &Settings,
    stop: CancellationToken,
) -> StreamableHttpService<Handler, LocalSessionManager> {
    let gateway = Arc::clone(gateway);
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_max_request_body_bytes(settings.max_body)
        .with_sse_keep_alive(Some(settings.keep_alive))
        .with_cancellation_token(stop);
    let factory = move || Ok(Handler::new(Arc::clone(&gateway)));
    StreamableHttpService::new(factory, Arc::default(), config)
}
