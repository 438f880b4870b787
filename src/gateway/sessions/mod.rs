//! The sessions of a gateway over HTTP.

use std::sync::Arc;

use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use super::{Gateway, Handler};

/// MCP over HTTP for all sessions of a gateway, until `stop` fires.
pub fn service(
    gateway: &Arc<Gateway>,
    stop: CancellationToken,
) -> StreamableHttpService<Handler, LocalSessionManager> {
    let gateway = Arc::clone(gateway);
    let config = StreamableHttpServerConfig::default().with_cancellation_token(stop);
    let factory = move || Ok(Handler::new(Arc::clone(&gateway)));
    StreamableHttpService::new(factory, Arc::default(), config)
}
