//! What comes before rmcp: the session of a request is found, and its end is handled.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use rmcp::transport::StreamableHttpService;
use serde_json::json;

use super::WITHOUT_SESSIONS;
use super::manager::{REQUEST, Request as OnItsWay};
use super::registry::{NoSession, Sessions};
use crate::gateway::{Client, Handler};

/// The header with a session's secret.
const SESSION: &str = "mcp-session-id";
/// The header with the version of MCP that a client speaks.
const VERSION: &str = "mcp-protocol-version";
/// Seconds after which a refused client may try again.
const LATER: HeaderValue = HeaderValue::from_static("1");

/// MCP over HTTP for all sessions of a gateway. Cheap to clone.
#[derive(Clone)]
pub struct Front {
    sessions: Arc<Sessions>,
    service: StreamableHttpService<Handler, Sessions>,
}

impl Front {
    pub(super) fn new(
        sessions: Arc<Sessions>,
        service: StreamableHttpService<Handler, Sessions>,
    ) -> Self {
        Self { sessions, service }
    }

    /// The sessions.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Answers one HTTP request. Who makes it is the [`Client`] in its extensions; without one it is nobody in particular.
    pub async fn handle(&self, mut request: Request<Body>) -> Response<Body> {
        let client = request.extensions().get::<Client>().cloned();
        let client = client.unwrap_or_default();
        let named = text(request.headers(), SESSION);
        let live = match named.filter(|_| has_sessions(request.headers())) {
            Some(secret) => match self.sessions.find(secret, &client).await {
                Ok(live) => Some(live),
                Err(refused) => return refusal(&refused),
            },
            None => None,
        };
        if let Some(live) = &live {
            if request.method() == Method::DELETE {
                self.sessions.end(live).await;
                return plain(StatusCode::NO_CONTENT);
            }
            request.extensions_mut().insert(Arc::clone(live));
        }
        let on_its_way = Arc::new(OnItsWay {
            client,
            live,
            created: OnceLock::new(),
            refused: OnceLock::new(),
        });
        let work = self.service.handle(request);
        let response = REQUEST.scope(Arc::clone(&on_its_way), work).await;
        match on_its_way.refused.get() {
            Some(refused) => refusal(refused),
            None => response.map(Body::new),
        }
    }
}

/// Whether the request is of a version of MCP that has sessions.
fn has_sessions(headers: &HeaderMap) -> bool {
    text(headers, VERSION).is_none_or(|version| version < WITHOUT_SESSIONS)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// A refusal as MCP wants it: a status, and a JSON-RPC error without an id.
fn refusal(why: &NoSession) -> Response<Body> {
    let (status, code, message) = match why {
        NoSession::Unknown => (
            StatusCode::NOT_FOUND,
            -32001,
            "there is no such session; send `initialize` again without Mcp-Session-Id",
        ),
        NoSession::Unavailable(message) => {
            (StatusCode::SERVICE_UNAVAILABLE, -32000, message.as_str())
        }
    };
    let error = json!({"code": code, "message": message});
    let body = json!({"jsonrpc": "2.0", "error": error, "id": null}).to_string();
    let mut response = plain(status);
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, LATER);
    }
    response
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
